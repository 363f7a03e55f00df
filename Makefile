# SPDX-License-Identifier: GPL-2.0

KDIR ?= /lib/modules/$(shell uname -r)/build

.PHONY: module modules_install clean help demo test check

module:
	@test -e $(KDIR)/.config || { \
		echo "page_pin_owner: KDIR=$(KDIR) is not a built kernel tree (no .config)" >&2; exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

modules_install clean:
	$(if $(filter clean,$@),rm -rf build)
	$(MAKE) -C $(KDIR) M=$(CURDIR) $@

demo test check: %:
	@scripts/$(if $(filter test,$*),run-tests,$*)

help:
	@echo 'On a kernel of your own:'
	@echo '  make KDIR=DIR                  build page_pin_owner.ko for the built kernel tree DIR'
	@echo '                                 (the running kernel'\''s if not given; LLVM=1 as for the kernel)'
	@echo '  make KDIR=DIR modules_install  install it for that kernel'
	@echo '  make KDIR=DIR clean            remove what was built'
	@echo ''
	@echo 'With nothing but Debian 12 or 13; each installs what is missing, and builds a test'
	@echo 'kernel once into ~/.cache/page_pin_owner (PPO_CACHE):'
	@echo '  make demo                      a CMA allocation fails on a pinned page in QEMU: who holds it?'
	@echo '  make test                      all tests, on the host and in QEMU; which holders were named'
	@echo '  make check                     formatting and lint'
	@echo '  scripts/run-tests NAME...      some of the tests: host, loom, bad, or a scenario of tests/scenarios/'
