# SPDX-License-Identifier: Apache-2.0
# Rules only; the names of what is built stand in the Kbuild files. `make help` says what there is.
#
#   O=DIR          where everything built goes (build)          V=1       show the commands
#   CC=clang       compiler                                     SAN=LIST  sanitizers: address,undefined
#   COV=1          coverage                                     VMLINUX_H=FILE  for hosts without BTF
#   DESTDIR= PREFIX=/usr  for install                           CFLAGS, LDFLAGS: yours, added to ours

MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.SECONDARY:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

O ?= build
V ?= 0
PREFIX ?= /usr
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PKG_CONFIG ?= pkg-config
BTF ?= /sys/kernel/btf/vmlinux
VERSION := 0.1.0
ifeq ($(origin CC),default)
CC := gcc
endif

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),@:,@printf '  %-7s %s\n' '$(1)' '$(patsubst $(O)/%,%,$(2))')

# --- names ------------------------------------------------------------------------------------------------------------

include Kbuild
kinds := bpf-y agent-y test-y program-y fuzz-y
define read-folder
$(foreach kind,$(kinds),$(eval $(kind) :=))
$(eval include $(1)/Kbuild)
$(foreach kind,$(kinds),$(eval all-$(kind) += $(addprefix $(1)/,$($(kind)))))
endef
$(foreach folder,$(folders),$(call read-folder,$(folder)))

bpf-objects := $(addprefix $(O)/,$(all-bpf-y))
skeletons := $(patsubst bpf/%.bpf.o,$(O)/gen/%.skel.h,$(all-bpf-y))
main-object := $(O)/agent/main.o
sender-object := $(O)/agent/push/main.o
kube-object := $(O)/agent/kube/main.o
publisher-object := $(O)/agent/publish/main.o
objects := $(addprefix $(O)/,$(all-agent-y))
test-programs := $(addprefix $(O)/,$(all-test-y))
attack-programs := $(filter $(O)/tests/unit/test_attack_%,$(test-programs))
fault-programs := $(addprefix $(O)/,$(all-program-y))
fuzz-programs := $(addprefix $(O)/,$(all-fuzz-y))
policies := $(sort $(wildcard remedies/policy.d/*.yaml))

# --- flags ------------------------------------------------------------------------------------------------------------

packages := libelf zlib libnl-3.0 libnl-route-3.0 libnl-genl-3.0 libcjson yaml-0.1 libsystemd libmicrohttpd libcap libseccomp nettle libprotobuf-c gnutls libxcrypt libpcre2-8 libnghttp2
# The network's: of the sender alone, so they are linked only where something asks for them.
sender-libraries := $(shell $(PKG_CONFIG) --libs libcurl) -lsnappy
includes := -iquote include -iquote agent -iquote . -iquote $(O)/gen
# Debian keeps libnl's headers in a folder of their own.
package-cflags := $(shell $(PKG_CONFIG) --cflags $(packages))
warnings := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wno-unused-parameter
# gcc warns of paths that its own sanitizer checks make up; the plain builds of both compilers warn of the real ones.
warnings += $(if $(SAN),-Wno-unknown-warning-option -Wno-format-truncation -Wno-format-overflow)
hardening := $(if $(SAN),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fPIE
our-cflags := -std=gnu11 -O2 -g $(warnings) $(hardening) -D_GNU_SOURCE -DNODEMEND_VERSION='"$(VERSION)"' $(includes) $(package-cflags) \
	$(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all) $(if $(COV),--coverage)
our-ldflags := -pie -Wl,-z,relro,-z,now $(if $(SAN),-fsanitize=$(SAN)) $(if $(COV),--coverage)
# libbpf is linked in: hosts carry old ones, and the agent must not depend on which.
# As needed: a program maps, and relocates, only what it calls.
libraries = $(if $(SAN),,-Wl,--as-needed) -l:libbpf.a $(shell $(PKG_CONFIG) --libs $(packages)) $(sender-libraries) -lm
bpf-arch := $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/;s/ppc64le/powerpc/;s/riscv64/riscv/;s/s390x/s390/')
bpf-cflags := -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_$(bpf-arch) -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-declarations $(includes)

compile-c = $(CC) $(our-cflags) $(CFLAGS) -MMD -MP -MF $(2:.o=.d) -c $(1) -o $(2)
compile-bpf = $(CLANG) $(bpf-cflags) -MMD -MP -MF $(2:.o=.d) -c $(1) -o $(2)

# --- what there is ----------------------------------------------------------------------------------------------------

.PHONY: all help run test unit check-vm bench bench-detect bench-forecast lint fuzz install clean FORCE compile_commands.json check-fresh
all: $(O)/nodemend $(O)/nm-publisher $(O)/nm-sender $(O)/nm-kube ## the program
programs: $(fault-programs)
.PHONY: programs
tests: all $(test-programs) $(fault-programs)
.PHONY: tests

help: ## this
	@sed -n 's/^\([a-z_.-]*\):[^#]*## \(.*\)/  make \1@\2/p' Makefile | column -t -s@ 2>/dev/null || true

run: ## install what is missing, build, and start the agent with its defaults (as root)
	@scripts/deps.sh build
	@$(MAKE) all
	@exec $(O)/nodemend run

test: ## install what the tests need and run them all
	@scripts/deps.sh build test vm
	@scripts/test.sh

unit: tests ## the unit tests only
	@scripts/test.sh unit

check-vm: ## the BPF tests and the agent on other kernels, in virtual machines
	@scripts/deps.sh build test vm
	@$(MAKE) tests
	@scripts/vm-matrix.sh

campaign: ## injected faults, every kind many times (long, as root); the table goes into docs/detection.md. CAMPAIGN='--seed N --trials N --minutes N'
	@scripts/deps.sh build test
	@$(MAKE) tests
	@tests/e2e/campaign_long.py faults --write $(CAMPAIGN)

soak: ## an ordinary node under the shipped policies, for SOAK_MINUTES (60): no incident
	@scripts/deps.sh build test
	@$(MAKE) tests
	@tests/e2e/campaign_long.py soak --minutes $(or $(SOAK_MINUTES),60)

crash: ## SIGKILL at CRASH_TRIALS (100) moments around an act, of each kind (long, as root)
	@scripts/deps.sh build test
	@$(MAKE) tests
	@NODEMEND_CRASH_TRIALS=$(or $(CRASH_TRIALS),100) tests/e2e/test_crash.py
.PHONY: campaign soak crash

duel: ## side by side with others in virtual machines (very long); raw data and tables into docs/duel. DUEL='--seeds 1-30 --family memory'
	@scripts/deps.sh build test vm
	@$(MAKE) all programs
	@NODEMEND_BUILD=$(abspath $(O)) /usr/bin/python3 tests/duel/duel.py $(DUEL)

attack: ## attackers against what deletes and kills, a million rounds each (hours, as root). ATTACK_ROUNDS=N, ATTACK_SECONDS=N: of each at most
	@scripts/deps.sh build test
	@$(MAKE) $(attack-programs)
	@failed=0; for test in $(attack-programs); do \
		NODEMEND_ATTACK_ROUNDS=$(or $(ATTACK_ROUNDS),1000000) $(if $(ATTACK_SECONDS),NODEMEND_ATTACK_SECONDS=$(ATTACK_SECONDS)) nice $$test || failed=1; \
	done; exit $$failed
.PHONY: duel attack

bench: ## the costs, beside peers, as ratios
	@scripts/deps.sh build test bench
	@$(MAKE) tests
	@scripts/bench.sh

bench-forecast: $(O)/tests/bench/bench_forecast ## the forecast beside predict_linear and node-mixin, on made-up series and real fills
	@scripts/bench-forecast.sh

bench-detect: $(O)/nodemend $(O)/tests/bench/bench_detect $(O)/tests/bench/bench_forecast ## the detectors on labelled data (DETECT_DATA=DIR), beside others' figures
	@NODEMEND_BUILD=$(abspath $(O)) PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 tests/bench/detect.py
	@scripts/bench-forecast.sh

lint: ## clang-tidy and cppcheck
	@scripts/lint.sh

fuzz: ## a smoke run of every fuzz target (clang)
	@scripts/fuzz.sh

install: all ## into DESTDIR
	install -D -m 0755 $(O)/nodemend $(DESTDIR)$(PREFIX)/sbin/nodemend
	install -D -m 0755 $(O)/nm-publisher $(DESTDIR)$(PREFIX)/sbin/nm-publisher
	install -D -m 0755 $(O)/nm-sender $(DESTDIR)$(PREFIX)/sbin/nm-sender
	install -D -m 0755 $(O)/nm-kube $(DESTDIR)$(PREFIX)/sbin/nm-kube
	install -d -m 0755 $(DESTDIR)/etc/nodemend/conf.d $(DESTDIR)$(PREFIX)/share/doc/nodemend $(DESTDIR)$(PREFIX)/share/nodemend/policy.d $(DESTDIR)$(PREFIX)/share/nodemend/profiles
	install -m 0644 $(policies) $(DESTDIR)$(PREFIX)/share/nodemend/policy.d/
	install -m 0644 $(wildcard deploy/profiles/*.yaml) $(DESTDIR)$(PREFIX)/share/nodemend/profiles/
	install -d -m 0755 $(DESTDIR)/lib/systemd/system
	install -m 0644 $(wildcard deploy/systemd/*.service deploy/systemd/*.timer) $(DESTDIR)/lib/systemd/system/
	install -D -m 0644 deploy/prometheus/nodemend.rules.yaml $(DESTDIR)$(PREFIX)/share/nodemend/prometheus/nodemend.rules.yaml
	install -m 0644 README.md docs/*.md $(DESTDIR)$(PREFIX)/share/doc/nodemend/

clean: ## remove what was built
	rm -rf $(O)

# --- kernel side ------------------------------------------------------------------------------------------------------

$(O)/gen/vmlinux.h: $(VMLINUX_H)
	@mkdir -p $(@D)
	$(call say,BTF,$@)
	$(Q)if [ -n '$(VMLINUX_H)' ]; then cp '$(VMLINUX_H)' $@; \
	elif [ -r '$(BTF)' ]; then $(BPFTOOL) btf dump file '$(BTF)' format c > $@; \
	else echo 'no $(BTF) on this host: give VMLINUX_H=FILE, made on one that has it with "bpftool btf dump file $(BTF) format c"' >&2; exit 1; fi

$(O)/bpf/%.bpf.o: bpf/%.bpf.c $(O)/gen/vmlinux.h $(O)/flags.bpf
	@mkdir -p $(@D)
	$(call say,BPF,$@)
	$(Q)$(call compile-bpf,$<,$@)

$(O)/gen/%.skel.h: $(O)/bpf/%.bpf.o
	@mkdir -p $(@D)
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen object $(O)/bpf/$*.linked.o $<
	$(Q)$(BPFTOOL) gen skeleton $(O)/bpf/$*.linked.o name $*_bpf > $@

# --- host side --------------------------------------------------------------------------------------------------------

$(O)/gen/policies.inc: $(policies) remedies/Kbuild
	@mkdir -p $(@D)
	$(call say,EMBED,$@)
	$(Q){ cat $(policies) /dev/null | od -An -v -tu1 | sed 's/[0-9][0-9]*/&,/g'; echo 0; } > $@

# Names of syscalls, from the compiler's own headers: `[0] = "read",` a line. The names are listed first and then given to the
# preprocessor, since some stand for another. An architecture with one header has no 32-bit table here: numbers stand for names.
syscall-tables := $(O)/gen/syscalls_64.inc $(O)/gen/syscalls_32.inc
$(syscall-tables): $(O)/gen/syscalls_%.inc: $(O)/flags.c
	@mkdir -p $(@D)
	$(call say,NAMES,$@)
	$(Q)header=asm/unistd_$*.h; \
	printf '#include <%s>\n' $$header | $(CC) -E - >/dev/null 2>&1 || header=$(if $(filter 64,$*),asm/unistd.h,/dev/null); \
	if [ $$header = /dev/null ]; then : > $@; exit 0; fi; \
	{ printf '#include <%s>\n' $$header; printf '#include <%s>\n' $$header | $(CC) -E -dM - | \
		sed -n '/__NR_syscalls/d; s/^#define __NR_\([a-z0-9_]*\) .*/@[__NR_\1] = "\1",/p'; } | $(CC) -E -P - | \
		sed -n 's/^@//p' | sort -u -t '[' -k 2n > $@

protos := $(wildcard agent/publish/*.proto agent/push/*.proto)
messages := $(addprefix $(O)/gen/,$(notdir $(protos:.proto=.pb-c.c)))
vpath %.proto agent/publish agent/push
$(messages): $(O)/gen/%.pb-c.c: %.proto
	@mkdir -p $(@D)
	$(call say,PROTO,$@)
	$(Q)protoc-c --proto_path=$(<D) --c_out=$(@D) $(<F)

$(O)/%.o: %.c $(O)/flags.c | $(messages) $(skeletons) $(O)/gen/policies.inc $(syscall-tables)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(call compile-c,$<,$@)

$(O)/libnodemend.a: $(objects)
	$(call say,AR,$@)
	$(Q)rm -f $@; ar rcs $@ $(objects)

$(O)/nodemend: $(main-object) $(O)/libnodemend.a
	$(call say,LD,$@)
	$(Q)$(CC) $(our-ldflags) $(main-object) $(O)/libnodemend.a $(libraries) $(LDFLAGS) -o $@

$(O)/nm-publisher: $(publisher-object) $(O)/libnodemend.a
	$(call say,LD,$@)
	$(Q)$(CC) $(our-ldflags) $(publisher-object) $(O)/libnodemend.a $(libraries) $(LDFLAGS) -o $@

$(O)/nm-sender: $(sender-object) $(O)/libnodemend.a
	$(call say,LD,$@)
	$(Q)$(CC) $(our-ldflags) $(sender-object) $(O)/libnodemend.a $(libraries) $(LDFLAGS) -o $@

$(O)/nm-kube: $(kube-object) $(O)/libnodemend.a
	$(call say,LD,$@)
	$(Q)$(CC) $(our-ldflags) $(kube-object) $(O)/libnodemend.a $(libraries) $(LDFLAGS) -o $@

# --- tests ------------------------------------------------------------------------------------------------------------

$(test-programs): %: %.o $(O)/libnodemend.a
	$(call say,LD,$@)
	$(Q)$(CC) $(our-ldflags) $< $(O)/libnodemend.a $(libraries) -lcmocka $(LDFLAGS) -o $@

# Fault programs stand alone: what they do must not depend on ours.
$(fault-programs): $(O)/%: %.c $(O)/flags.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -std=gnu11 -O2 -g -Wall -Wextra -Werror -D_GNU_SOURCE $< -o $@ -lpthread

# Fuzz targets need every object built with clang's coverage: scripts/fuzz.sh calls this with its own O= and SAN=. Some share the hand-made scenes of the unit tests.
$(fuzz-programs): $(O)/%: %.c $(O)/libnodemend.a
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)
	$(Q)$(CC) $(our-cflags) $(CFLAGS) $(our-ldflags) $< $(O)/libnodemend.a $(libraries) -lcmocka -fsanitize=fuzzer $(LDFLAGS) -o $@
fuzz-programs: $(fuzz-programs)
.PHONY: fuzz-programs

# --- exactness --------------------------------------------------------------------------------------------------------

# A changed flag, compiler or list rebuilds; an unchanged one does not.
define keep-text
@mkdir -p $(@D)
@printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(1))' > $@
endef
$(O)/flags.c: FORCE
	$(call keep-text,$(CC) $(our-cflags) $(CFLAGS) $(our-ldflags) $(LDFLAGS))
$(O)/flags.bpf: FORCE
	$(call keep-text,$(CLANG) $(bpf-cflags))

# Written by make itself: one shell command of them all is longer than the kernel takes.
json-entry = $(file >>$@.new,{"directory":"$(CURDIR)","file":"$(1)","command":"$(subst ",\",$(2))"},)
sources := $(patsubst $(O)/%.o,%.c,$(objects) $(main-object) $(publisher-object) $(sender-object) $(kube-object)) $(addsuffix .c,$(all-test-y) $(all-fuzz-y))
compile_commands.json: $(skeletons) $(O)/gen/policies.inc $(syscall-tables) ## for editors and clang-tidy
	@: $(file >$@.new,[) $(foreach s,$(sources),$(call json-entry,$(s),$(call compile-c,$(s),$(O)/$(s:.c=.o)))) \
	$(foreach s,$(all-bpf-y:.o=.c),$(call json-entry,$(s),$(call compile-bpf,$(s),$(O)/$(s:.c=.o)))) $(file >>$@.new,{}])
	@sed 'N;$$!P;$$!D;s/,\n{}\]/\n]/' $@.new > $@ && rm $@.new

# What tests keep in cache/ may be whole systems, and theirs has files of that name, too.
-include $(shell [ -d $(O) ] && find $(O) -path '*/cache' -prune -o -type f -name '*.d' -print 2>/dev/null)
