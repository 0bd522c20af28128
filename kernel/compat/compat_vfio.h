/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * vfio-pci-core's differences between kernels, for barter-vfio-pci alone.
 */
#ifndef BARTER_COMPAT_VFIO_H
#define BARTER_COMPAT_VFIO_H

#include <linux/vfio.h>
#include <linux/vfio_pci_core.h>

/*
 * Callbacks that later kernels ask for. The first two compile when forgotten and
 * fail at run time: a call through NULL, and regions that are all -EINVAL.
 */
#ifdef BARTER_HAVE_VFIO_MATCH_TOKEN_UUID
#define BARTER_VFIO_OP_TOKEN	.match_token_uuid = vfio_pci_core_match_token_uuid,
#else
#define BARTER_VFIO_OP_TOKEN
#endif
#ifdef BARTER_HAVE_VFIO_REGION_INFO_CAPS
#define BARTER_VFIO_OP_REGION \
	.get_region_info_caps = vfio_pci_ioctl_get_region_info,
#else
#define BARTER_VFIO_OP_REGION
#endif
#ifdef BARTER_HAVE_VFIO_PASID_IOAS
#define BARTER_VFIO_OP_PASID \
	.pasid_attach_ioas = vfio_iommufd_physical_pasid_attach_ioas, \
	.pasid_detach_ioas = vfio_iommufd_physical_pasid_detach_ioas,
#else
#define BARTER_VFIO_OP_PASID
#endif
#define BARTER_VFIO_LATER_OPS \
	BARTER_VFIO_OP_TOKEN BARTER_VFIO_OP_REGION BARTER_VFIO_OP_PASID

/* Claim a BAR's resource, as core does before it touches one. */
static inline int barter_vfio_claim_bar(struct vfio_pci_core_device *core,
					unsigned int bar)
{
#ifdef BARTER_HAVE_VFIO_GET_IOMAP
	void __iomem *io = vfio_pci_core_get_iomap(core, bar);

	return IS_ERR(io) ? PTR_ERR(io) : 0;
#else
	int ret = vfio_pci_core_setup_barmap(core, bar);

	/* Core claims at the first access, without a lock; who loses is told so. */
	if (ret == -EBUSY && READ_ONCE(core->barmap[bar]))
		ret = 0;
	return ret;
#endif
}

/* The kernel's own exporter works for a driver that says how it is asked. */
#if defined(BARTER_HAVE_VFIO_GET_DMABUF_PHYS) && \
	IS_ENABLED(CONFIG_VFIO_PCI_DMABUF)
#define BARTER_VFIO_HAS_NATIVE	true
static inline void barter_vfio_allow_native(struct vfio_pci_core_device *core)
{
	static const struct vfio_pci_device_ops ops = {
		.get_dmabuf_phys = vfio_pci_core_get_dmabuf_phys,
	};

	core->pci_ops = &ops;
}
#else
#define BARTER_VFIO_HAS_NATIVE	false
static inline void barter_vfio_allow_native(struct vfio_pci_core_device *core)
{
}
#endif

#endif /* BARTER_COMPAT_VFIO_H */
