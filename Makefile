# SPDX-License-Identifier: GPL-2.0

KDIR ?= /lib/modules/$(shell uname -r)/build

KERNEL ?= debug
MINUTES ?= 10
CYCLES ?= 1000

# Where "make install" puts what is not the kernel's
PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo

pinowner := build/pinowner/release/pinowner

# Where several processors come upon the same records, marks and stacks
RACY := cma holders input lifetimes mark pins-io races storm unload

.PHONY: module modules_install install pinowner clean help demo test check fuzz test-debug \
	test-races torture soak bench

module:
	@test -e $(KDIR)/.config || { \
		echo "page_pin_owner: KDIR=$(KDIR) is not a built kernel tree (no .config)" >&2; exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

modules_install clean:
	$(if $(filter clean,$@),rm -rf build)
	$(MAKE) -C $(KDIR) M=$(CURDIR) $@

pinowner: $(pinowner)

# Built for this machine; what is built already is not built again, so that root, who
# installs it, needs no cargo.
$(pinowner): $(shell find tools/pinowner/src rust/store -name '*.rs' 2>/dev/null) \
		$(wildcard tools/pinowner/Cargo.*)
	$(CARGO) build --release --locked --manifest-path tools/pinowner/Cargo.toml \
		--target-dir build/pinowner
	@touch $@

install: module $(pinowner)
	$(MAKE) -C $(KDIR) M=$(CURDIR) $(if $(DESTDIR),INSTALL_MOD_PATH=$(abspath $(DESTDIR))) modules_install
	install -D -m 755 $(pinowner) $(DESTDIR)$(PREFIX)/bin/pinowner
	rm -rf build/share
	$(pinowner) manual build/share
	cd build/share && find . -type f -printf '%P\n' | while read -r file; do \
		install -D -m 644 "$$file" "$(DESTDIR)$(PREFIX)/share/$$file" || exit 1; done

demo test check bench: %:
	@scripts/$(if $(filter test,$*),run-tests,$*)

test-debug:
	@scripts/run-tests --kernel debug

test-races:
	@scripts/run-tests --kernel kcsan torture=60 $(RACY)

torture:
	@scripts/run-tests --kernel $(KERNEL) torture=$$(($(MINUTES) * 60))

fuzz:
	@scripts/fuzz $$(($(MINUTES) * 60))

soak:
	@scripts/run-tests soak=$(CYCLES)

help:
	@echo 'On a kernel of your own:'
	@echo '  make KDIR=DIR                  build page_pin_owner.ko for the built kernel tree DIR'
	@echo '                                 (the running kernel'\''s if not given; LLVM=1 as for the kernel)'
	@echo '  make KDIR=DIR modules_install  install it for that kernel'
	@echo '  make pinowner                  build the command that records and reports, with cargo'
	@echo '  make KDIR=DIR install          install the module, the command, its manual and completions for'
	@echo '                                 shells (PREFIX=/usr/local, DESTDIR)'
	@echo '  dkms add .                     for DKMS; then "dkms install page_pin_owner/0.1.0", and it is built for'
	@echo '                                 each kernel that is installed later, if that can have it'
	@echo '  make KDIR=DIR clean            remove what was built'
	@echo ''
	@echo 'With nothing but Debian 12 or 13; each installs what is missing, and builds a test'
	@echo 'kernel once into ~/.cache/page_pin_owner (PPO_CACHE):'
	@echo '  make demo                      a CMA allocation fails on a pinned page in QEMU: who holds it?'
	@echo '  make test                      all tests, on the host and in QEMU; which holders were named'
	@echo '  make check                     formatting and lint'
	@echo '  make fuzz MINUTES=N            made-up input for the parsers of pinowner, N minutes (10) for each target'
	@echo '  make test-debug                all scenarios on a debug kernel (KASAN, lockdep, kmemleak...): an hour'
	@echo '  make test-races                torture and some scenarios on a kernel with KCSAN: data races of the module'\''s'
	@echo '  make torture MINUTES=N         everything at once, for N minutes (10), on the debug kernel (KERNEL=lab, kcsan: others)'
	@echo '  make bench                     instructions of a guest, beside what else one could use, in tables'
	@echo '  make soak CYCLES=N             loaded, used and unloaded N times (1000): does memory grow?'
	@echo '  scripts/run-tests NAME...      some of the tests: host, loom, parsers, bad, or a scenario of tests/scenarios/'
