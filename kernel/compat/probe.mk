# SPDX-License-Identifier: GPL-2.0-only
#
# What the kernel's headers have, asked of the headers themselves: distributions
# carry features back, so version numbers lie. Each probe that matches adds
# -DBARTER_HAVE_NAME. Included from Kbuild; needs $(srctree).
#
# A probe is a fixed string that must occur in a header. Two sentinels guard the
# probing itself: one that every kernel has, one that none has.

# $(call barter-probe,NAME,header below include/,string without brackets)
barter-probe = $(shell grep -qF -e '$(3)' $(srctree)/include/$(2) 2>/dev/null \
		 && echo -DBARTER_HAVE_$(1))

ifeq ($(call barter-probe,SANE,linux/dma-buf.h,struct dma_buf_ops),)
$(error barter: cannot read the kernel headers below $(srctree)/include)
endif
ifneq ($(call barter-probe,INSANE,linux/dma-buf.h,barter_no_kernel_has_this),)
$(error barter: header probes answer yes to everything)
endif

barter-probes := \
	$(call barter-probe,INVALIDATE_MAPPINGS,linux/dma-buf.h,invalidate_mappings) \
	$(call barter-probe,FENCE_DRIVER_NAME,linux/dma-fence.h,dma_fence_driver_name) \
	$(call barter-probe,DMA_IOVA,linux/dma-mapping.h,dma_iova_link) \
	$(call barter-probe,VFIO_GET_IOMAP,linux/vfio_pci_core.h,vfio_pci_core_get_iomap) \
	$(call barter-probe,VFIO_MATCH_TOKEN_UUID,linux/vfio.h,match_token_uuid) \
	$(call barter-probe,VFIO_REGION_INFO_CAPS,linux/vfio.h,get_region_info_caps) \
	$(call barter-probe,VFIO_PASID_IOAS,linux/vfio.h,pasid_attach_ioas)
