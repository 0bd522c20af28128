// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * What a device offers through its fd: regions, configuration space, power, reset,
 * DMA to memory of this process.
 */
#include "internal.h"

#include <linux/pci_regs.h>
#include <sys/ioctl.h>

BARTER_API int barter_device_region(struct barter_device *device,
				    uint32_t index,
				    struct barter_region *region)
{
	struct vfio_region_info info = {
		.argsz = sizeof(info),
		.index = index,
	};

	if (ioctl(device->fd, VFIO_DEVICE_GET_REGION_INFO, &info))
		return -errno;
	*region = (struct barter_region) {
		.index = index,
		.flags = info.flags & (VFIO_REGION_INFO_FLAG_READ |
				       VFIO_REGION_INFO_FLAG_WRITE |
				       VFIO_REGION_INFO_FLAG_MMAP),
		.length = info.size,
		.offset = info.offset,
	};
	return 0;
}

/* Is that a piece of a BAR? Which region it is, is told. */
int barter_bar_check(struct barter_device *device, uint32_t bar,
		     uint64_t offset, uint64_t length,
		     struct barter_region *region)
{
	int ret;

	if (bar >= BARTER_BARS)
		return -ENODEV;
	ret = barter_device_region(device, bar, region);
	if (ret)
		return ret;
	if (!region->length)
		return -ENODEV;
	return !length || offset > region->length ||
	       length > region->length - offset ? -EINVAL : 0;
}

BARTER_API int barter_device_map(struct barter_device *device, uint32_t bar,
				 uint64_t offset, uint64_t length, int prot,
				 void **address)
{
	struct barter_region region;
	int ret;

	ret = barter_bar_check(device, bar, offset, length, &region);
	if (ret)
		return ret;
	if (!(region.flags & VFIO_REGION_INFO_FLAG_MMAP))
		return -EOPNOTSUPP;
	return barter_map_aligned(device->fd, region.offset + offset, offset,
				  length, prot, address);
}

/*
 * A configuration access outside the region would be an access to whatever
 * region comes next, so it is refused here.
 */
static int config_check(const struct barter_device *device, uint64_t offset,
			size_t length)
{
	if (offset > device->config.length ||
	    length > device->config.length - offset)
		return -EINVAL;
	return 0;
}

BARTER_API int barter_device_config_read(struct barter_device *device,
					 uint64_t offset, void *data,
					 size_t length)
{
	int ret = config_check(device, offset, length);
	ssize_t got;

	if (ret)
		return ret;
	got = pread(device->fd, data, length,
		    (off_t)(device->config.offset + offset));
	if (got < 0)
		return -errno;
	return (size_t)got == length ? 0 : -EIO;
}

BARTER_API int barter_device_config_write(struct barter_device *device,
					  uint64_t offset, const void *data,
					  size_t length)
{
	int ret = config_check(device, offset, length);
	ssize_t put;

	if (!ret)
		ret = barter_peers_before_write(device, offset, data, length);
	if (ret)
		return ret;
	put = pwrite(device->fd, data, length,
		     (off_t)(device->config.offset + offset));
	if (put < 0)
		return -errno;
	return (size_t)put == length ? 0 : -EIO;
}

/* Configuration space is little endian whatever the machine is. */
static int command_change(struct barter_device *device, unsigned int bit,
			  int on)
{
	uint8_t bytes[2];
	int ret;

	ret = barter_device_config_read(device, PCI_COMMAND, bytes, 2);
	if (ret)
		return ret;
	if (on)
		bytes[0] |= (uint8_t)bit;
	else
		bytes[0] &= (uint8_t)~bit;
	return barter_device_config_write(device, PCI_COMMAND, bytes, 2);
}

BARTER_API int barter_device_set_memory(struct barter_device *device, int on)
{
	return command_change(device, PCI_COMMAND_MEMORY, on);
}

BARTER_API int barter_device_set_master(struct barter_device *device, int on)
{
	return command_change(device, PCI_COMMAND_MASTER, on);
}

BARTER_API int barter_device_reset(struct barter_device *device)
{
	int ret = barter_peers_unmap(device);

	if (ret)
		return ret;
	return ioctl(device->fd, VFIO_DEVICE_RESET) ? -errno : 0;
}

BARTER_API int barter_device_set_low_power(struct barter_device *device, int on)
{
	struct vfio_device_feature call = {
		.argsz = sizeof(call),
		.flags = VFIO_DEVICE_FEATURE_SET |
			 (on ? VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY :
			  VFIO_DEVICE_FEATURE_LOW_POWER_EXIT),
	};
	int ret = on ? barter_peers_unmap(device) : 0;

	if (ret)
		return ret;
	if (!ioctl(device->fd, VFIO_DEVICE_FEATURE, &call))
		return 0;
	return errno == ENOTTY ? -EOPNOTSUPP : -errno;
}

BARTER_API int barter_device_dma_map(struct barter_device *device,
				     void *address, uint64_t length,
				     uint64_t iova, int prot)
{
	return barter_space_map(device->space, address, length, iova, prot);
}

BARTER_API int barter_device_dma_unmap(struct barter_device *device,
				       uint64_t iova, uint64_t length)
{
	return barter_space_unmap(device->space, iova, length);
}
