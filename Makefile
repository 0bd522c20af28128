# SPDX-License-Identifier: GPL-2.0-only
# The front door: "make help" lists what there is.

# Which kernel of vmtest/ the targets below use; MACHINE is for the shell.
KERNEL ?= stock-6.12
MACHINE ?= base

.DEFAULT_GOAL := all
.PHONY: all help deps modules lib cli examples check check-whole check-all matrix lint fuzz bench bench-check demo vm clean \
	install install-dkms uninstall deb rpm

all: lib cli modules ## build all: library, command line, kernel modules

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | \
		awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'
	@echo
	@echo "Variables, as in: make check KERNEL=debug-6.12"
	@echo "  KERNEL        for modules, check, check-whole, fuzz, vm; now $(KERNEL), of:"
	@echo "                $$(vmtest/kernel | cut -d' ' -f1 | xargs)"
	@echo "  MACHINE       for vm; now $(MACHINE), of: $$(ls vmtest/machines | xargs)"
	@echo "  WIDE=1        check: also narrow suites that each take a boot, and parts of lint"
	@echo "  PART=1        check, check-whole: leave the sum to a later call with REST=1"
	@echo "  REST=1        check-whole, check-all: only what the calls before have not run"
	@echo "  MINUTES=N     check-all: begin nothing new after so many"
	@echo "  FUZZ_TIME=S   fuzz: so many seconds (600); SEED=N: from that seed (the time)"
	@echo "  PREFIX=DIR    install, uninstall: where to (/usr/local); LIBDIR and INCLUDEDIR are"
	@echo "                lib and include below it; DESTDIR=DIR is put before all of them"

deps: ## install what building and testing needs (apt-get, as root)
	@scripts/deps

lib: ## the library, in build/lib
	@$(MAKE) --no-print-directory -C lib

cli: lib ## the barter command, in build/cli
	@$(MAKE) --no-print-directory -C cli

examples: ## programs that use the library as installed, in build/examples
	@$(MAKE) --no-print-directory -s -C examples staged

modules: ## the kernel modules for KERNEL, in build/modules/KERNEL
	@scripts/build-modules $(KERNEL) --tests

# Where installing goes.
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
install install-dkms uninstall: export DESTDIR := $(DESTDIR)
install install-dkms uninstall: export PREFIX := $(PREFIX)
install install-dkms uninstall: export LIBDIR := $(LIBDIR)
install install-dkms uninstall: export INCLUDEDIR := $(INCLUDEDIR)
install: lib cli ## library, command, man pages to PREFIX (/usr/local)
	@scripts/install

install-dkms: ## the modules' source to /usr/src, for dkms install
	@scripts/install dkms

uninstall: ## remove what the two before have installed
	@scripts/install --uninstall user
	@scripts/install --uninstall dkms

deb: deps ## Debian packages, in build/deb
	@scripts/deb

rpm: deps ## RPM packages, in build/rpm
	@scripts/rpm

check: deps ## tests on KERNEL, the bed, units under sanitizers; parts on debug-7
	@scripts/check $(if $(PART),-p) $(if $(WIDE),-c) $(KERNEL)

check-whole: deps ## the same with all tests on KERNEL
	@scripts/check -w $(if $(PART),-p) $(if $(REST),-r) $(KERNEL)

check-all: deps ## the matrix of all kernels, machines and tests, as a table
	@scripts/check -a $(if $(REST),-r) $(if $(MINUTES),-m $(MINUTES))

matrix: deps ## compile all modules for each kernel with gcc and clang, W=1
	@scripts/matrix

lint: deps ## all that can be said of the sources without running them
	@scripts/lint

# Needs a kernel with KCOV to be worth its time: debug-7, if none is named.
FUZZ_TIME ?= 600
SEED ?= $(shell date +%s)
fuzz: deps ## random calls for FUZZ_TIME seconds (600), from SEED; leaves build/fuzz
	@tests/fuzz/run -k $(if $(filter file,$(origin KERNEL)),debug-7,$(KERNEL)) \
		-t $(FUZZ_TIME) -- --seed $(SEED)

bench: deps ## count what attaching and mapping cost, on two kernels; leaves out/bench
	@bench/run

bench-check: deps ## the same, and compare with bench/baseline.json: 5 % more is a failure
	@bench/run && bench/check

demo: deps ## lend a BAR before your eyes; leaves out/demo
	@demo/run

vm: deps lib cli ## a shell in the test machine, with barter in it
	@vmtest/vmtest -k $(KERNEL) -m $(MACHINE) -f build/cli/barter -i

clean: ## remove build/ and out/, but no cached kernel
	rm -rf build out
