#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# clang-tidy and cppcheck over what the build compiles, shell syntax, and the SPDX line of every file.
#   scripts/lint.sh [FILE.c...]     only these files' clang-tidy
# Says `ok …` or `not ok …` a check; exit 1 when one failed.
set -u

cd "$(dirname "$0")/.." || exit 2
failed=0
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT

verdict() { # NAME FILE-OF-COMPLAINTS
	if [ -s "$2" ]; then
		failed=1
		cat "$2"
		echo "not ok $1: $(wc -l <"$2") lines of complaint"
	else
		echo "ok $1"
	fi
}

need() {
	command -v "$1" >/dev/null 2>&1 && return 0
	echo "SKIP $1: not installed (scripts/deps.sh test)"
	return 1
}

ours() { git ls-files --cached --others --exclude-standard "$@" 2>/dev/null || find . -path ./build -prune -o -type f -print | sed 's|^\./||'; }

# --- clang-tidy ---------------------------------------------------------------------------------------------------------

if need clang-tidy; then
	make --silent compile_commands.json >"$log/make" 2>&1
	if [ $# -gt 0 ]; then
		printf '%s\n' "$@" >"$log/files"
	else
		sed -n 's/.*"file":"\([^"]*\.c\)".*/\1/p' compile_commands.json | grep -v '\.bpf\.c$' | grep -v '^tests/' >"$log/files"
	fi
	# Two at a time, and each in a process of its own: clang-tidy 14 sees uninitialised va_lists in the second file of a process.
	xargs -P 2 -n 1 clang-tidy --quiet -p . --extra-arg=-Wno-unknown-warning-option <"$log/files" >"$log/tidy.all" 2>/dev/null
	# Skeletons are bpftool's, not ours.
	awk '/(warning|error):/ { show = !/\/gen\/[a-z_]+\.skel\.h:/ } show' "$log/tidy.all" >"$log/tidy"
	[ -s "$log/files" ] || { echo 'nothing to look at: compile_commands.json is missing or empty' && cat "$log/make"; } >>"$log/tidy"
	verdict "clang-tidy, $(wc -l <"$log/files") files" "$log/tidy"
fi
[ $# -eq 0 ] || exit $failed

# --- cppcheck -----------------------------------------------------------------------------------------------------------

if need cppcheck; then
	cppcheck --quiet --std=c11 --language=c --enable=warning,portability,performance --inconclusive --inline-suppr -j 2 \
		--suppressions-list=scripts/cppcheck.txt --template='{file}:{line}: {id}: {message}' \
		-D_GNU_SOURCE -D__x86_64__ -DNODEMEND_VERSION='""' -I include -I agent -I . agent remedies >"$log/cppcheck" 2>&1
	verdict "cppcheck" "$log/cppcheck"
fi

# --- shell and Python ---------------------------------------------------------------------------------------------------

for script in $(ours 'scripts/*.sh' 'tests/*.sh' | grep '\.sh$'); do
	sh -n "$script" 2>&1
done >"$log/shell"
verdict "shell syntax" "$log/shell"

ours 'tests/*.py' 'scripts/*.py' | grep '\.py$' | xargs -r /usr/bin/python3 -c '
import ast, sys
for name in sys.argv[1:]:
    try:
        ast.parse(open(name, encoding="utf-8").read(), name)
    except SyntaxError as error:
        print(f"{name}:{error.lineno}: {error.msg}")
' >"$log/python" 2>&1
verdict "Python syntax" "$log/python"

# --- licences -----------------------------------------------------------------------------------------------------------

ours '*.c' '*.h' '*.sh' '*.py' 'Makefile' '*Kbuild' | grep -E '(\.(c|h|sh|py)|Makefile|Kbuild)$' | sort -u | while read -r file; do
	[ -s "$file" ] || continue
	line=$(head -n 3 "$file" | grep -m1 'SPDX-License-Identifier:')
	case $file:$line in
	bpf/*.c:*'GPL-2.0-only OR BSD-2-Clause'* | bpf/*.h:*'GPL-2.0-only OR BSD-2-Clause'* | tests/*.bpf.c:*'GPL-2.0-only OR BSD-2-Clause'*) ;;
	bpf/*.c:* | bpf/*.h:*) echo "$file: wants SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause in its first lines" ;;
	*:*Apache-2.0*) ;;
	*Kbuild:*) ;; # lists of names: nothing to license
	*) echo "$file: wants SPDX-License-Identifier: Apache-2.0 in its first lines" ;;
	esac
done >"$log/spdx"
verdict "SPDX lines" "$log/spdx"

exit $failed
