# SPDX-License-Identifier: Apache-2.0
# What tests/vm/guest.sh said, as lines with the kernel in front: ok, not ok, SKIP, and `ladder` for a test that asked for a rung
# above the one on which its collector stands there. A test that ends badly or says less than it planned has failed.
function name_of(line) { sub(/^(not )?ok ([0-9]+ )?(- )?(# SKIP )?/, "", line); return line }
function say(verdict, what) { print verdict " " kernel " " test "/" what }
function fail(why) { print "not ok " kernel " " test ": " why; bad++ }

/^@kernel/ { kernel = $2; match(kernel, /^[0-9]+\.[0-9]+/); kernel = substr(kernel, 1, RLENGTH); next }
/^@test/ { test = $2; sub(/.*\//, "", test); said = ""; below = ""; reason = ""; bad = good = seen = planned = 0; running = 1; next }
/^@end/ {
	if ($2 && !bad) fail($2 == 143 || $2 == 124 ? "still running after " $3 " s" : "ended with " $2)
	else if (planned > seen && !bad) fail("planned " planned " and ran " seen)
	else if (!seen && reason != "") print "SKIP " kernel " " test ": " reason
	else if (!seen && !bad) fail("said nothing")
	if (bad) printf "%s", said
	print "# " kernel " " test ": " $3 " s"
	running = 0
	next
}
/^@complaint/ { sub(/^@complaint /, ""); print "not ok " kernel " kernel log: " $0; next }
/^@done/ { done = 1; next }
/^@doctor/ { next }
!running { if (/^not ok/) { sub(/^not ok /, ""); print "not ok " kernel " " $0 } next }

{ said = said "    " $0 "\n" }
/^1\.\.[0-9]+$/ { planned += substr($0, 4); next }
/^SKIP / { reason = substr($0, 6); next }
/^BELOW / { below = substr($0, 7); next }
/^LADDER / { stands[$2] = $0; next }
/^not ok .*# SKIP/ {
	seen++
	if (below != "") { collector = below; sub(/:.*/, "", collector); say("ladder", name_of($0) ": " below " (" substr(stands[collector], 8) ")") }
	else say("SKIP", name_of($0) (reason != "" ? ": " reason : ""))
	below = reason = ""
	next
}
/^not ok/ { seen++; bad++; say("not ok", name_of($0)); next }
/^ok / { seen++; good++; say("ok", name_of($0)) }

END {
	if (!done) {
		print "not ok " kernel " the guest died" (running ? " in " test : "")
		printf "%s", said
	}
}
