# SPDX-License-Identifier: GPL-2.0-only
#
# What the kernel's headers have, as -DBARTER_HAVE_NAME in $(barter-probes). Stops
# the build for a kernel that META does not list, and where the headers can't be
# asked. probe.sh does the asking; its log stays in the build folder, probes.log.
# Included from Kbuild; needs $(srctree), $(objtree), $(obj).
#
# BARTER_ANY_KERNEL=1 on make's command line lets any kernel through.

barter-probe-dir := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
barter-probes := $(shell $(CONFIG_SHELL) $(barter-probe-dir)/probe.sh \
	$(srctree)/include $(objtree)/include/generated/uapi/linux/version.h \
	$(obj)/probes.log $(BARTER_ANY_KERNEL))

ifeq ($(strip $(barter-probes)),)
$(error barter: the header probes, $(barter-probe-dir)/probe.sh, did not run)
endif
ifneq ($(filter error:,$(barter-probes)),)
$(error barter: $(filter-out error:,$(barter-probes)))
endif

clean-files += probes.log
