# vmmigrate: build, install, test. `make help` says what there is.
VERSION  = 0.1.0
BUILD   ?= build
CC      ?= gcc
PREFIX   = /usr
LIBEXEC  = $(PREFIX)/libexec/vmmigrate
LIBDIR   = $(PREFIX)/lib/vmmigrate
DESTDIR  =

PACKAGES = json-c libssh libvirt libvirt-qemu libxml-2.0 libcrypto libssl libzstd inih lxc
LIBS     = $(shell pkg-config --libs $(PACKAGES)) -lrsync -pthread
WARN     = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla -Werror
CFLAGS  ?= -O2 -g
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -DVMM_VERSION='"$(VERSION)"' -fPIC -fvisibility=hidden $(WARN) -Iplugin -I. \
	     $(shell pkg-config --cflags $(PACKAGES)) $(CPPFLAGS) $(CFLAGS) $(SANITIZE)

# The rooms, from the top down. Everything in them but the programs' main files is one library; each program takes what it needs of it.
ROOMS	 = $(addprefix plugin/, engine migration plan node guest guest/qemu guest/lxc copy tree track cluster link base) storage
MAINS    = plugin/engine/main.c plugin/node/agent-main.c plugin/tree/pipe.c
LIB_SRC  = $(filter-out $(MAINS), $(wildcard $(ROOMS:%=%/*.c)))
LIB_OBJ  = $(LIB_SRC:%.c=$(BUILD)/%.o)
LIB      = $(BUILD)/libengine.a
CLI_SRC  = $(wildcard cli/*.c) plugin/base/suggest.c
PLUGIN_SRC = $(wildcard plugin/*.c)

PROGRAMS = $(BUILD)/vmmigrate $(BUILD)/vmmigrate.so $(BUILD)/vmmigrate-engine $(BUILD)/vmmigrate-agent $(BUILD)/libvirt-guard $(BUILD)/lxc-hold $(BUILD)/tree-pipe

# One short line a step; `make V=1` shows the commands.
Q = $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)  $@")

all: $(PROGRAMS)

$(LIB): $(LIB_OBJ)
	@rm -f $@
	$(call say,AR)
	$(Q)$(AR) rcs $@ $^

$(BUILD)/vmmigrate-engine: $(BUILD)/plugin/engine/main.o $(LIB)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(LIB) $(LIBS)

$(BUILD)/vmmigrate-agent: $(BUILD)/plugin/node/agent-main.o $(LIB)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(LIB) $(LIBS)

$(BUILD)/vmmigrate.so: $(PLUGIN_SRC:%.c=$(BUILD)/%.o) plugin/vmmigrate.map
	$(call say,LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -shared -Wl,--version-script=plugin/vmmigrate.map -Wl,-z,defs,-z,now -o $@ $(filter %.o, $^)

# The command loads the plug-in; JSON is all that it needs besides libc.
$(BUILD)/vmmigrate: $(CLI_SRC:%.c=$(BUILD)/%.o)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs json-c) -ldl

# Small programs of libc alone: the guard, the hold of a container's start, rsync's line.
$(BUILD)/lxc-hold: $(BUILD)/hooks/lxc/hold.o
$(BUILD)/tree-pipe: $(BUILD)/plugin/tree/pipe.o
$(BUILD)/lxc-hold $(BUILD)/tree-pipe:
	$(call say,LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $<

$(BUILD)/libvirt-guard: $(BUILD)/hooks/libvirt/guard.o
	$(call say,LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $<

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# ---------------------------------------------------------------- tests
# Each test is a target of its own, NAME.run: `make -j2 -O units` runs two side by side, and what each says stays together.
# The longest come first.
UNIT_SRC = $(wildcard tests/scenarios/test-*.c tests/unit/test-*.c)
UNITS    = $(UNIT_SRC:%.c=$(BUILD)/%)
HELPERS  = $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(UNIT_SRC), $(wildcard tests/unit/*.c tests/scenarios/*.c)))

# Tests of the link need OpenSSH's sshd: each starts its own on loopback.
LINK_SRC = $(wildcard tests/link/test-*.c)
LINKS	 = $(LINK_SRC:%.c=$(BUILD)/%)
$(LINKS): HELPERS += $(BUILD)/tests/link/own-sshd.o
$(LINKS): $(BUILD)/tests/link/own-sshd.o

units: $(UNITS:%=%.run)
link-tests: $(LINKS:%=%.run)
$(BUILD)/tests/unit/test-tree.run: $(BUILD)/tree-pipe
$(UNITS:%=%.run) $(LINKS:%=%.run): %.run: %
	@echo "== $<"; $(RUNNER) $<

# A test names the functions that it replaces in a line `wrap: name name`.
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(HELPERS) $(LIB)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(shell sed -n 's/^.*\bwrap: \(.*[a-z_]\)[ */]*$$/\1/p' tests/$*.c | sed 's/[a-z_0-9]\+/-Wl,--wrap=&/g') \
		-o $@ $< $(HELPERS) $(LIB) $(LIBS) -lcmocka

.PRECIOUS: $(BUILD)/%.o

# The tables that help and the manual are made from.
check-tables: $(BUILD)/tests/scenarios/test-tables.run

# ---------------------------------------------------------------- tests of the plug-in and of the command
$(BUILD)/tests/abi/test-plugin: $(BUILD)/tests/abi/test-plugin.o
	$(call say,LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< -lcmocka -ldl -pthread

$(BUILD)/tests/abi/fake-engine: $(BUILD)/tests/abi/fake-engine.o
	$(call say,LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $<

abi: $(BUILD)/vmmigrate.so $(BUILD)/tests/abi/test-plugin $(BUILD)/tests/abi/fake-engine
	tests/abi/run.sh $(BUILD)

cli-tests: $(BUILD)/vmmigrate $(BUILD)/vmmigrate.so $(BUILD)/vmmigrate-engine
	BUILD=$(abspath $(BUILD)) tests/cli/run.sh

# ---------------------------------------------------------------- what is made of the tables
# The engine just built says what its tables hold.
TELL = VMMIGRATE_PLUGIN=$(abspath $(BUILD))/vmmigrate.so VMMIGRATE_ENGINE=$(abspath $(BUILD))/vmmigrate-engine $(BUILD)/vmmigrate
TOLD = $(BUILD)/vmmigrate $(BUILD)/vmmigrate.so $(BUILD)/vmmigrate-engine

$(BUILD)/vmmigrate.1: cli/man/vmmigrate.1.in $(TOLD)
	$(call say,MAN)
	$(Q)$(TELL) help --man > $@.tables
	$(Q)sed -e '/^@TABLES@$$/{r $@.tables' -e 'd}' -e 's/@VERSION@/$(VERSION)/' $< > $@

$(BUILD)/vmmigrate.bash: $(TOLD)
	$(call say,BASH)
	$(Q)$(TELL) help --completion > $@

$(BUILD)/vmmigrate-plugin.pc: plugin/vmmigrate-plugin.pc.in
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|' $< > $@

# ---------------------------------------------------------------- install, packages
UNITDIR  ?= $(or $(shell pkg-config --variable=systemdsystemunitdir systemd 2>/dev/null),/lib/systemd/system)
SHARE     = $(DESTDIR)$(PREFIX)/share
# The names in the table of hooks: each has a directory for an administrator's programs and one for packages'.
HOOKS     = $(shell sed -n 's/.*{ \.name = "\([a-z-]*\)", \.failure.*/\1/p' plugin/node/hooks.c)
GENERATED = $(BUILD)/vmmigrate.1 $(BUILD)/vmmigrate.bash $(BUILD)/vmmigrate-plugin.pc

# The guard is installed beside the plug-in; libvirt runs the copy that the package's postinst (or you) puts into
# /etc/libvirt/hooks/qemu.d.
install: $(PROGRAMS) $(GENERATED)
	install -D -m 755 $(BUILD)/vmmigrate $(DESTDIR)$(PREFIX)/bin/vmmigrate
	install -D -m 644 $(BUILD)/vmmigrate.so $(DESTDIR)$(LIBDIR)/vmmigrate.so
	install -D -m 755 $(BUILD)/libvirt-guard $(DESTDIR)$(LIBDIR)/libvirt-guard
	install -D -m 755 -t $(DESTDIR)$(LIBEXEC) $(BUILD)/vmmigrate-engine $(BUILD)/vmmigrate-agent \
		$(BUILD)/lxc-hold $(BUILD)/tree-pipe
	install -D -m 644 $(BUILD)/vmmigrate.1 $(SHARE)/man/man1/vmmigrate.1
	install -D -m 644 cli/man/vmmigrate.conf.5 $(SHARE)/man/man5/vmmigrate.conf.5
	install -D -m 644 $(BUILD)/vmmigrate.bash $(SHARE)/bash-completion/completions/vmmigrate
	install -D -m 644 plugin/cluster/vmmigrate.conf $(SHARE)/doc/vmmigrate/examples/vmmigrate.conf
	install -D -m 644 plugin/org.vmmigrate.policy $(SHARE)/polkit-1/actions/org.vmmigrate.policy
	install -D -m 644 -t $(DESTDIR)$(UNITDIR) cli/systemd/vmmigrate-recover.service cli/systemd/vmmigrate-recover.timer
	install -D -m 644 plugin/vmmigrate-plugin.h $(DESTDIR)$(PREFIX)/include/vmmigrate-plugin.h
	install -D -m 644 $(BUILD)/vmmigrate-plugin.pc $(SHARE)/pkgconfig/vmmigrate-plugin.pc
	install -d $(HOOKS:%=$(DESTDIR)/etc/vmmigrate/hooks.d/%.d) $(HOOKS:%=$(DESTDIR)$(LIBDIR)/hooks.d/%.d)

# Packages in build/, made of a copy, so that nothing is left in the tree.
DEB_TREE = $(BUILD)-deb/vmmigrate-$(VERSION)
deb:
	rm -rf $(BUILD)-deb $(BUILD)/*.deb
	mkdir -p $(BUILD) $(DEB_TREE)
	tar -c --exclude-vcs --exclude=./build --exclude='./build-*' . | tar -xC $(DEB_TREE)
	cd $(DEB_TREE) && dpkg-buildpackage -b -us -uc
	mv $(BUILD)-deb/*.deb $(BUILD)-deb/*.changes $(BUILD)-deb/*.buildinfo $(BUILD)
	rm -rf $(BUILD)-deb
	@ls $(BUILD)/*.deb

package-tests: deb
	tests/package/run.sh $(BUILD)

lint-deb:
	lintian --fail-on error --tag-display-limit 0 $(BUILD)/vmmigrate_*.changes

# ---------------------------------------------------------------- all tests
# `make check` sets up what it needs. In the order of cost: style and tables, units, scenarios, the command, sanitizers, real nodes.
IN_LAB	 = tests/lab/lab
SHELLS	 = $(shell git ls-files '*.sh' 2>/dev/null) tests/lab/lab tests/lab/run tests/lab/demo tests/lab/selftest .ci/run
SOURCES  = $(shell git ls-files '*.c' '*.h' 2>/dev/null)
NODES	 = $(sort $(wildcard tests/nodes/*.sh tests/faults/*.sh))

setup:
	$(Q)$(IN_LAB) setup

SIDE_BY_SIDE = $(Q)$(MAKE) --no-print-directory -j2 -O

check: setup
	$(SIDE_BY_SIDE) all
	$(SIDE_BY_SIDE) lint check-format units link-tests abi cli-tests hooks-tests check-model
	$(Q)$(MAKE) --no-print-directory check-asan check-valgrind check-fuzz package-tests check-nodes

check-layers:
	$(Q)tests/layers.sh

# The model of who may run a guest, searched for every order of events; its tables are the code's.
$(BUILD)/tests/model/tables: $(BUILD)/tests/model/tables.o $(LIB)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(LIB) $(LIBS)

check-model: $(BUILD)/tests/model/tables
	$(Q)tests/model/check.sh $(BUILD)

# What they find ends the program: a finding that is only printed would pass.
SANITIZERS = -fsanitize=address,undefined -fno-sanitize-recover=all
SANITIZED  = BUILD=$(BUILD)/asan SANITIZE="$(SANITIZERS) -fno-omit-frame-pointer" CFLAGS="-O1 -g"
check-asan:
	$(SIDE_BY_SIDE) $(SANITIZED) units

# Random images, targets, cuts and rounds: 2000 cases under the sanitizers, half of them on each of two cores; CASES=n more or fewer.
CASES	?= 2000
PROPERTY = tests/unit/test-copy-property
check-copy:
	$(Q)$(MAKE) --no-print-directory -j2 $(SANITIZED) $(BUILD)/asan/$(PROPERTY)
	$(Q)TMPDIR=/dev/shm COPY_CASES=$$(($(CASES) / 2)) $(BUILD)/asan/$(PROPERTY) & \
		sleep 0.01; TMPDIR=/dev/shm COPY_CASES=$$(($(CASES) / 2)) $(BUILD)/asan/$(PROPERTY); other=$$?; \
		wait $$! && exit $$other

# Memory that is never freed or read before it is written, where the sanitizers do not look: the libraries' side. Tests that run programs
# are left out: Debian 12's valgrind does not know pidfd_open.
check-valgrind:
	$(SIDE_BY_SIDE) RUNNER="valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite" \
		UNITS="$(filter %test-config %test-definition %test-frames %test-journal %test-record %test-checks %test-plan %test-request, $(UNITS))" units

check-nodes: deb
	$(Q)tests/lab/run $(NODES)

# What takes too long, or too much of the machine, for `make check`: more cases of the same, other filesystems, a container by debootstrap.
check-long: setup deb check-copy
	$(Q)LIMIT=900 tests/lab/run $(sort $(wildcard tests/long/*.sh))
	$(Q)$(MAKE) --no-print-directory RUNS=1000 MINUTES=3 run-chaos

# Random migrations in whose middle something is killed: RUNS of them; SEED=s FIRST=n repeats run n of a seed, KEEP=1 goes on after a
# finding. tests/chaos/README.md
RUNS	?= 100
check-chaos: setup deb run-chaos

run-chaos:
	$(Q)tests/chaos/chaos.py --runs $(RUNS) $(if $(SEED),--seed $(SEED)) $(if $(FIRST),--first $(FIRST)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(KEEP),--keep)

hooks-tests: $(PROGRAMS) $(GENERATED)
	$(Q)for t in $(sort $(wildcard tests/hooks/test-*.sh)); do echo "== $$t"; BUILD=$(BUILD) $$t || exit 1; done

# Lines of at most 120 columns (a tab is 8); clang-format cannot break strings and tables. Characters count, not bytes.
check-lines:
	$(Q)for f in $(SOURCES); do expand -t 8 $$f | LC_ALL=C.UTF-8 grep -nE '^.{121,}' | sed "s|^\([0-9]*\):.*|$$f:\1: over 120 columns|"; done | \
		{ ! grep .; }

lint: check-layers check-lines
	$(Q)cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --suppress=varFuncNullUB --error-exitcode=1 -Iplugin -I. $(filter plugin/% storage/% cli/% hooks/%, $(filter %.c, $(SOURCES)))
	$(Q)shellcheck -x -P SCRIPTDIR --severity=warning $(SHELLS)
	$(Q)tests/faults-listed.sh
	$(Q)tests/pipes.sh

format:
	$(Q)clang-format -i $(SOURCES)

check-format:
	$(Q)clang-format --dry-run -Werror $(SOURCES)

# ---------------------------------------------------------------- the table of targets
# Times ours against its peers: about 15 minutes; BENCH=quick makes it 3. Needs root. tests/bench/run.sh says what is measured.
BENCH_PROGRAMS = $(BUILD)/tests/bench/image $(BUILD)/tests/bench/floor $(BUILD)/tests/bench/peak $(BUILD)/tests/bench/push

$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(LIB)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(LIB) $(LIBS)

bench: setup
	$(Q)$(MAKE) --no-print-directory -j2 all $(BENCH_PROGRAMS) deb
	$(Q)BENCH=$(BENCH) tests/bench/run.sh $(abspath $(BUILD))

# ---------------------------------------------------------------- fuzzing
# Each target for TIME seconds, from the corpus in the tree; what is found lies in build/fuzz/found. Needs clang.
TIME	?= 600
FUZZERS	 = $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/fuzz/fuzz-*.c)))

$(BUILD)/tests/fuzz/fuzz-%: $(BUILD)/tests/fuzz/fuzz-%.o $(BUILD)/tests/fuzz/memory-stream.o $(LIB)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $(filter %.o, $^) $(LIB) $(LIBS)

fuzz:
	$(Q)$(MAKE) --no-print-directory -j2 BUILD=$(BUILD)/fuzz CC=clang WARN=-Wall CFLAGS="-O1 -g" \
		SANITIZE="-fsanitize=fuzzer-no-link $(SANITIZERS)" fuzzers
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz TIME=$(TIME) run-fuzzers

# A few seconds each, for what the last change broke.
check-fuzz:
	$(Q)$(MAKE) --no-print-directory TIME=3 fuzz

fuzzers: $(FUZZERS)

run-fuzzers:
	@for f in $(FUZZERS); do n=$$(basename $$f | sed s/fuzz-//); echo "== fuzz-$$n"; \
		mkdir -p $(BUILD)/corpus/$$n $(BUILD)/found; \
		$$f -max_total_time=$(TIME) -timeout=30 -rss_limit_mb=1024 -verbosity=0 -print_final_stats=1 \
			-artifact_prefix=$(BUILD)/found/$$n- $(BUILD)/corpus/$$n tests/fuzz/corpus/$$n || exit 1; done

# ---------------------------------------------------------------- the lab
demo:
	$(Q)tests/lab/demo

lab-up: setup deb
	$(Q)$(IN_LAB) up && $(IN_LAB) install $(BUILD)/vmmigrate_*.deb && $(IN_LAB) join
	@echo "make lab-shell NODE=node1 opens a shell; tests/lab/README.md says how to make guests; make lab-down ends it"

lab-shell:
	$(Q)$(IN_LAB) shell $(or $(NODE),node1)

lab-down:
	$(Q)$(IN_LAB) down

help:
	@echo "make            build           make demo       the main job between two nodes on this machine"
	@echo "make check      all tests       make deb        build/vmmigrate_*.deb, build/vmmigrate-dev_*.deb"
	@echo "make units      no root         make lab-up lab-shell NODE=node1 lab-down"
	@echo "make bench      ours against its peers (BENCH=quick: a few minutes)"
	@echo "make check-long longer tests    make check-copy fuzz (TIME=600)"
	@echo "make check-chaos (RUNS=100)     random migrations, and something killed in the middle of each"
	@echo "make lint       make format     make check-asan check-valgrind check-layers check-tables check-model check-nodes"

-include $(shell find $(BUILD) -name '*.d' -type f 2>/dev/null)

clean:
	rm -rf $(BUILD)

.PHONY: all check-copy fuzz check-fuzz fuzzers run-fuzzers units check-tables abi cli-tests install deb package-tests lint-deb clean setup check check-layers check-lines check-model check-asan check-valgrind check-nodes check-long check-chaos run-chaos hooks-tests \
	lint format check-format bench demo lab-up lab-shell lab-down help
