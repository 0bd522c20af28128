/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Copyright (c) 2026 the barter developers
 *
 * libbarter: lend PCI device memory as dma-bufs, and use what was lent.
 *
 * Rules that hold for every call:
 *
 *  - Functions that can fail return 0 or a negative errno, and then leave what
 *    their output arguments point at unchanged. errno itself means nothing.
 *  - The library never prints, never ends the process, installs no signal
 *    handler and starts no thread. Different objects may be used by different
 *    threads at the same time; one object by one thread at a time.
 *  - Offsets and lengths are in bytes. A BAR is named by its index 0..5.
 *  - PCI addresses are written DOMAIN:BUS:SLOT.FUNCTION in hexadecimal; the
 *    domain may be left out ("01:00.0" is "0000:01:00.0").
 *  - Every fd that the library opens is close-on-exec.
 *  - Structures that begin with @size are filled with sizeof() by the caller,
 *    so that a program and a library of different age understand each other.
 *
 * Environment, for tests; ignored in set-user-ID programs:
 *
 *  BARTER_SYSFS  use this folder instead of /sys
 *  BARTER_DEV    use this folder instead of /dev
 */
#ifndef BARTER_H
#define BARTER_H

#include <stddef.h>
#include <stdint.h>

/* First, so that <linux/barter.h> sees whether feature 11 is declared. */
#include <linux/vfio.h>
#include <linux/barter.h>

#include <barter-maps.h>
#include <barter-names.h>
#include <barter-pci.h>
#include <barter-peer.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * barter_version() - version of the library that runs
 *
 * Return: text such as "0.1.0"; static.
 */
const char *barter_version(void);

/* ---- Devices ---------------------------------------------------------- */

/**
 * struct barter_device - an open VFIO device; opaque
 */
struct barter_device;

/** BARTER_OPEN_MEMORY - turn memory decoding on */
#define BARTER_OPEN_MEMORY	(1U << 0)
/** BARTER_OPEN_MASTER - turn bus mastering on: the device may do DMA */
#define BARTER_OPEN_MASTER	(1U << 1)
/** BARTER_OPEN_GROUP - only through group and container (/dev/vfio/N) */
#define BARTER_OPEN_GROUP	(1U << 2)
/** BARTER_OPEN_CDEV - only through /dev/vfio/devices/vfioN and iommufd */
#define BARTER_OPEN_CDEV	(1U << 3)

/**
 * barter_device_open() - open a device that is bound to a VFIO driver
 * @bdf: its PCI address
 * @flags: BARTER_OPEN_*
 * @device: where the handle goes; barter_device_close() releases it
 *
 * Takes the character device with iommufd where the kernel has both, else the
 * group with a type 1 (v2) container. Everything but lending works with any
 * VFIO driver; lending needs BARTER_DRIVER.
 *
 * Return: 0, or -EINVAL (@bdf or @flags malformed), -ENODEV (no such device),
 * -ENXIO (not bound to a VFIO driver, or no IOMMU group), -ENOENT (VFIO is not
 * loaded), -EACCES (no permission for the VFIO node, or a VF that takes a token),
 * -EBUSY (somebody has the device open, or its group), -EAGAIN (it is just being
 * reset), -EPERM (the group is not viable: another device of it is bound to a driver
 * that is not for VFIO, or, by character device, is in another address space; or
 * interrupts are not isolated),
 * -EOPNOTSUPP (the way asked for by @flags does not exist), -ENOMEM, -EMFILE, or
 * what else the kernel gives.
 */
int barter_device_open(const char *bdf, uint32_t flags,
		       struct barter_device **device);

/**
 * barter_device_open_beside() - open a device in another's address space
 * @bdf: its PCI address
 * @flags: BARTER_OPEN_*; the way (group or cdev) is that of @other
 * @other: open device whose container (or iommufd address space) is shared;
 *	it may be closed first
 * @device: where the handle goes
 *
 * For two devices of one IOMMU group this is the only way for one process to
 * have both open.
 *
 * Return: as barter_device_open().
 */
int barter_device_open_beside(const char *bdf, uint32_t flags,
			      struct barter_device *other,
			      struct barter_device **device);

/**
 * barter_device_close() - close a device
 * @device: handle, or NULL; invalid afterwards
 *
 * When no copy of the device's fd is left, every buffer that was exported
 * from the device is dead for ever, whoever holds it.
 */
void barter_device_close(struct barter_device *device);

/**
 * barter_device_fd() - the VFIO device fd
 * @device: handle
 *
 * Return: the fd; the handle keeps owning it.
 */
int barter_device_fd(const struct barter_device *device);

/**
 * barter_device_name() - the device's full PCI address
 * @device: handle
 *
 * Return: text that lives as long as the handle.
 */
const char *barter_device_name(const struct barter_device *device);

/**
 * barter_device_is_cdev() - by which way the device was opened
 * @device: handle
 *
 * Return: 1 for the character device, 0 for group and container.
 */
int barter_device_is_cdev(const struct barter_device *device);

/**
 * barter_device_on_request() - hear when somebody else needs the device
 * @device: handle
 * @eventfd: readable from then on; -1 for none. The kernel keeps it
 *
 * An unbind waits until the device is closed, and signals this at once and then every
 * ten seconds.
 *
 * Return: 0, -EBADF, -EINVAL (not an eventfd), or what the kernel gives.
 */
int barter_device_on_request(struct barter_device *device, int eventfd);

/**
 * struct barter_region - a region of a device
 * @index: VFIO region index; 0..5 are the BARs
 * @flags: VFIO_REGION_INFO_FLAG_*
 * @length: bytes; 0 if the device lacks it
 * @offset: where it begins in the device fd's file
 */
struct barter_region {
	uint32_t index;
	uint32_t flags;
	uint64_t length;
	uint64_t offset;
};

/**
 * barter_device_region() - describe a region
 * @device: handle
 * @index: VFIO region index
 * @region: where the answer goes
 *
 * Return: 0, -EINVAL (no such index).
 */
int barter_device_region(struct barter_device *device, uint32_t index,
			 struct barter_region *region);

/**
 * barter_device_map() - map a piece of a BAR
 * @device: handle
 * @bar: BAR index
 * @offset: first byte, a multiple of the page size
 * @length: bytes; rounded up to whole pages
 * @prot: PROT_READ, PROT_WRITE
 * @address: where the address goes; barter_unmap() releases it
 *
 * The address is aligned so that the kernel can use huge pages.
 *
 * Return: 0, -ENODEV (no such BAR), -EINVAL (outside the BAR, misaligned),
 * -EOPNOTSUPP (the BAR cannot be mapped), -EBUSY (another driver has claimed it, or a
 * page of it is mapped with another memory attribute), or what mmap() gives.
 */
int barter_device_map(struct barter_device *device, uint32_t bar,
		      uint64_t offset, uint64_t length, int prot,
		      void **address);

/**
 * barter_unmap() - undo barter_device_map() or barter_buffer_map()
 * @address: what the call gave
 * @length: what the call was asked for
 *
 * Return: 0 or -EINVAL.
 */
int barter_unmap(void *address, uint64_t length);

/**
 * barter_device_config_read() - read configuration space
 * @device: handle
 * @offset: first byte
 * @data: where the bytes go
 * @length: how many
 *
 * Return: 0, -EINVAL (not all of it is inside), -EIO (short read), or what pread()
 * gives.
 */
int barter_device_config_read(struct barter_device *device, uint64_t offset,
			      void *data, size_t length);

/**
 * barter_device_config_write() - write configuration space
 * @device: handle
 * @offset: first byte
 * @data: the bytes
 * @length: how many
 *
 * Return: 0, -EINVAL (not all of it is inside), -EIO (short write), -EINTR (killed
 * while a buffer was taken back: nothing was written), or what pwrite() gives.
 */
int barter_device_config_write(struct barter_device *device, uint64_t offset,
			       const void *data, size_t length);

/**
 * barter_device_set_memory() - turn memory decoding on or off
 * @device: handle
 * @on: 1 or 0
 *
 * Off revokes every buffer of the device, on restores them.
 *
 * Return: as barter_device_config_write().
 */
int barter_device_set_memory(struct barter_device *device, int on);

/**
 * barter_device_set_master() - turn bus mastering on or off
 * @device: handle
 * @on: 1 or 0
 *
 * Return: as barter_device_config_write().
 */
int barter_device_set_master(struct barter_device *device, int on);

/**
 * barter_device_reset() - reset the device
 * @device: handle
 *
 * Revokes every buffer of the device. When the call returns nobody reaches
 * the device's memory through a buffer; the buffers come back after it unless
 * another cause holds.
 *
 * Return: 0, -EINVAL (the device has no reset of its own), -EAGAIN (somebody
 * holds a lock), -EINTR (killed; the reset was not started).
 */
int barter_device_reset(struct barter_device *device);

/**
 * barter_device_set_low_power() - let the device sleep, or wake it
 * @device: handle
 * @on: 1: it may sleep, and its memory is taken back; 0: it is awake again
 *
 * Return: 0, -EOPNOTSUPP (the kernel or the driver cannot), -EINVAL (it was let sleep
 * already), -EINTR (killed while a buffer was taken back: it was not begun), or what the
 * kernel gives.
 */
int barter_device_set_low_power(struct barter_device *device, int on);

/**
 * barter_device_dma_map() - let the device reach memory of this process
 * @device: handle
 * @address: page aligned
 * @length: bytes, a multiple of the page size
 * @iova: where the device sees it, page aligned
 * @prot: PROT_READ (the device reads), PROT_WRITE (the device writes)
 *
 * With an address of a mapped BAR or buffer, a container (type 1) keeps the physical
 * pages in the IOMMU after a revoke: use barter_peer_map() or an importer in the
 * kernel where the memory may be taken back.
 *
 * Return: 0, -EEXIST (something is mapped there already), -EINVAL, -EFAULT (no memory
 * of this process, or not for that), -ENOSPC (too many maps), -ENOMEM, or what else the
 * kernel gives.
 */
int barter_device_dma_map(struct barter_device *device, void *address,
			  uint64_t length, uint64_t iova, int prot);

/**
 * barter_device_dma_unmap() - undo barter_device_dma_map()
 * @device: handle
 * @iova: as given to the map
 * @length: as given to the map
 *
 * Return: 0, -ENOENT (nothing mapped there), -EINVAL (a part of a map), or what the
 * kernel gives.
 */
int barter_device_dma_unmap(struct barter_device *device, uint64_t iova,
			    uint64_t length);

/* ---- Export ----------------------------------------------------------- */

/*
 * Flags of an export are those of <linux/barter.h>, from the lowest bit up
 * (BARTER_EXPORT_READ_ONLY), and the library's own, from the highest down.
 */

/** BARTER_EXPORT_NATIVE - a buffer of the kernel's own exporter, not barter's */
#define BARTER_EXPORT_NATIVE	(1U << 31)

/**
 * struct barter_export - what to lend
 * @size: sizeof(struct barter_export)
 * @bar: BAR index
 * @flags: BARTER_EXPORT_*
 * @open_flags: access mode of the dma-buf fd: O_RDONLY or O_RDWR; O_CLOEXEC is
 *	always added. O_RDONLY alone limits what a CPU may do with this fd; that no
 *	device writes either, BARTER_EXPORT_READ_ONLY says, which goes with O_RDONLY
 * @nr_ranges: how many @ranges
 * @ranges: pieces of the BAR in the order in which the buffer has them; offset
 *	and length are multiples of the page size; they may overlap
 * @memattr: BARTER_MEMATTR_*: how CPUs read and write what they map of it
 * @name: for /proc/PID/maps, at most 31 bytes; NULL for none
 */
struct barter_export {
	size_t size;
	uint32_t bar;
	uint32_t flags;
	uint32_t open_flags;
	uint32_t nr_ranges;
	const struct barter_range *ranges;
	uint32_t memattr;
	const char *name;
};

/**
 * barter_device_can_export() - does the device's driver lend
 * @device: handle
 *
 * Return: 0 if it does, else -EOPNOTSUPP (it is not BARTER_DRIVER).
 */
int barter_device_can_export(struct barter_device *device);

/**
 * barter_device_can_export_native() - does the kernel itself lend this device
 * @device: handle; the driver may also be the kernel's own vfio-pci
 *
 * Return: 0 if it does, else -EOPNOTSUPP (before Linux 6.19, or without
 * CONFIG_VFIO_PCI_DMABUF, or a driver that does not pass it on).
 */
int barter_device_can_export_native(struct barter_device *device);

/**
 * barter_device_export() - lend pieces of a BAR as one dma-buf
 * @device: handle
 * @what: the pieces
 * @fd: where the dma-buf fd goes; the caller closes it
 *
 * With BARTER_EXPORT_NATIVE the buffer is one of the kernel's own exporter,
 * which iommufd accepts (IOMMU_IOAS_MAP_FILE). It has one range and no mmap,
 * /dev/barter knows nothing of it, and what holds of its revoke is what the
 * kernel guarantees. Any VFIO driver that lends by itself will do.
 *
 * An attribute other than BARTER_MEMATTR_UC may be refused as by
 * barter_buffer_set_memattr(), unless BARTER_EXPORT_FORCE_ATTRIBUTE is in @flags.
 *
 * Return: 0, -EINVAL (no range, misaligned, length 0, outside the BAR, an I/O
 * port BAR, an unknown flag, BARTER_EXPORT_READ_ONLY without O_RDONLY or with
 * BARTER_EXPORT_NATIVE, a name that is too long, a name or attribute with that),
 * -ENODEV (no such BAR), -EOVERFLOW (offset plus
 * length overflows), -E2BIG (over BARTER_MAX_RANGES or over
 * BARTER_MAX_OVERCOMMIT times the BAR), -EOPNOTSUPP (the driver does not
 * lend; native: see barter_device_can_export_native(), or more than one range,
 * which iommufd takes from nobody and the kernel maps wrongly behind an IOMMU:
 * see barter_ioas_map()), -EBUSY (another driver has claimed the BAR), -EFAULT,
 * -ENOMEM, -EMFILE, -EINTR.
 */
int barter_device_export(struct barter_device *device,
			 const struct barter_export *what, int *fd);

/**
 * barter_buffer_revoke() - take one buffer back for ever
 * @device: handle of the device that lent it
 * @fd: the buffer, or a slice
 *
 * When it returns 0, nobody reaches the device's memory through the buffer, or
 * through a slice that was cut from it, and nobody ever will: they are dead. Other
 * buffers are not touched.
 *
 * Return: 0, -EBADF, -EINVAL (not a dma-buf), -ENODEV (not a buffer of barter's, or
 * of another device), -EBADFD (dead already), -EINTR (a fatal signal came while
 * importers were waited for: the buffer is revoked for good; another call makes
 * sure that nobody has it), -EOPNOTSUPP (the driver does not lend), or what
 * barter_peer_unmap() gives.
 */
int barter_buffer_revoke(struct barter_device *device, int fd);

/**
 * barter_buffer_set_memattr() - choose how mappings of a buffer are cached
 * @device: handle of the device that lent it
 * @fd: the buffer
 * @memattr: BARTER_MEMATTR_UC or BARTER_MEMATTR_WC
 * @flags: BARTER_MEMATTR_FORCE: also where it is unsafe
 *
 * Holds for mappings from now on, by whomever; those that are there stay as they are.
 *
 * Return: 0, -EBADF, -EINVAL (not a dma-buf, an unknown flag), -ENODEV (not a
 * buffer of barter's, or of another device), -EBADFD (dead), -ENOENT (no such attribute), -EPERM (the
 * BAR is not prefetchable), -EBUSY (a buffer that is mapped with another attribute,
 * wherever in it, has a page in common with this one), -EOPNOTSUPP (this machine cannot, or the driver does not lend), -ENOMEM, -EINTR.
 */
int barter_buffer_set_memattr(struct barter_device *device, int fd,
			      uint32_t memattr, uint32_t flags);

/**
 * barter_memattr_name() - an attribute as a word
 * @memattr: BARTER_MEMATTR_*
 *
 * Return: "uc", "wc" or "unknown".
 */
const char *barter_memattr_name(uint32_t memattr);

/* ---- iommufd ---------------------------------------------------------- */

/**
 * barter_device_ioas() - the address space in which a device does DMA
 * @device: handle
 * @iommufd: where the fd of /dev/iommu goes; the handle keeps owning it
 * @ioas: where the id of the IOAS goes
 *
 * Return: 0, -EOPNOTSUPP (opened by group and container).
 */
int barter_device_ioas(const struct barter_device *device, int *iommufd,
		       uint32_t *ioas);

/**
 * struct barter_ioas_area - mapped pieces of a BAR; opaque
 */
struct barter_ioas_area;

/**
 * struct barter_ioas_request - what to map where
 * @size: sizeof(struct barter_ioas_request)
 * @bar: BAR index of the lending device
 * @flags: 0
 * @iommufd: open fd of /dev/iommu; the library keeps a copy of its own
 * @ioas: id of an IOAS in it
 * @iova: where the first piece begins, page aligned; each further piece begins
 *	where the one before it ends
 * @prot: PROT_READ (devices of the IOAS may read), PROT_WRITE (may write)
 * @nr_ranges: how many @ranges
 * @ranges: pieces of the BAR in the order in which they are wanted; offset and
 *	length are multiples of the page size; they may overlap
 */
struct barter_ioas_request {
	size_t size;
	uint32_t bar;
	uint32_t flags;
	int iommufd;
	uint32_t ioas;
	uint64_t iova;
	uint32_t prot;
	uint32_t nr_ranges;
	const struct barter_range *ranges;
};

/**
 * barter_ioas_map() - map scattered pieces of a BAR at one contiguous IOVA
 * @device: who lends; bound to BARTER_DRIVER or the kernel's own vfio-pci
 * @request: the pieces and the place
 * @area: where the handle goes; barter_ioas_unmap() releases it
 *
 * Every device that is attached to the IOAS then reaches the pieces by DMA,
 * one after the other from @iova on. All of them are mapped or none.
 *
 * When the device's memory is taken back (memory decoding off, a reset, the
 * last close, unbind), the kernel ends all DMA into the pieces before the
 * operation goes on, and does not bring it back: after a restore
 * barter_ioas_remap() has to be called. In between DMA to these addresses
 * faults. No event tells of a revoke; whoever turns memory off or resets the
 * device knows, and calling barter_ioas_remap() once too often does no harm.
 *
 * This uses native buffers (see BARTER_EXPORT_NATIVE), one fd in all.
 *
 * Return: 0, -EINVAL (a malformed request, a range outside the BAR), -ENODEV
 * (no such BAR, or its memory is not reachable now), -EOVERFLOW, -E2BIG (over
 * BARTER_MAX_RANGES), -EOPNOTSUPP (neither the driver nor the kernel lends:
 * see barter_device_can_export_native(); or iommufd takes no files), -EBADF
 * (@iommufd), -ENOENT (no such IOAS), -EEXIST (something is mapped in the way),
 * -EMFILE, -ENOMEM, or what else iommufd gives.
 */
int barter_ioas_map(struct barter_device *device,
		    const struct barter_ioas_request *request,
		    struct barter_ioas_area **area);

/**
 * barter_ioas_remap() - map the pieces again, after a revoke and restore
 * @area: handle
 *
 * Also where they are still mapped: DMA meanwhile may fault. If it fails,
 * nothing of the area is mapped, and it may be called again later.
 *
 * Return: 0, -ENODEV (the memory is not back yet, or, after the last close of
 * the device, will never be), -EEXIST (somebody else has mapped something
 * there), or as barter_ioas_map().
 */
int barter_ioas_remap(struct barter_ioas_area *area);

/**
 * barter_ioas_unmap() - unmap the pieces, and release the handle
 * @area: handle, or NULL; invalid afterwards, whatever is returned
 *
 * The device may have been closed before.
 *
 * Return: 0, -ENOENT (the IOAS or a mapping of the area had gone already).
 */
int barter_ioas_unmap(struct barter_ioas_area *area);

/**
 * barter_ioas_length() - bytes that an area takes in the IOAS
 * @area: handle
 *
 * Return: the sum of its ranges.
 */
uint64_t barter_ioas_length(const struct barter_ioas_area *area);

/* ---- Buffers: for whoever merely holds a dma-buf fd ------------------- */

/* Whose a dma-buf is. */
#define BARTER_KIND_OTHER	0 /* an exporter that is not for BARs */
#define BARTER_KIND_BARTER	1 /* barter's */
#define BARTER_KIND_NATIVE	2 /* of the kernel's own exporter of VFIO BARs */

/**
 * barter_buffer_kind() - whose a dma-buf is
 * @fd: any dma-buf
 * @kind: where BARTER_KIND_* goes
 *
 * Asks /proc/self/fdinfo.
 *
 * Return: 0, -EBADF, -EINVAL (not a dma-buf), -ENOENT (no /proc).
 */
int barter_buffer_kind(int fd, uint32_t *kind);

/**
 * barter_control_open() - open /dev/barter
 * @control: where the fd goes; the caller closes it
 *
 * Only needed to keep it open, for example in a process that will lose access
 * to /dev: each call below takes -1 and then opens it itself.
 *
 * Return: 0, -ENOENT (barter.ko is not loaded), -EACCES.
 */
int barter_control_open(int *control);

/**
 * barter_buffer_length() - bytes in a dma-buf
 * @fd: any dma-buf
 * @length: where the answer goes
 *
 * Return: 0, -EBADF, -EINVAL (not a dma-buf).
 */
int barter_buffer_length(int fd, uint64_t *length);

/**
 * barter_buffer_map() - map a piece of a dma-buf
 * @fd: the buffer
 * @offset: first byte, a multiple of the page size
 * @length: bytes, rounded up to whole pages; 0 for all from @offset on
 * @prot: PROT_READ, PROT_WRITE
 * @address: where the address goes; barter_unmap() releases it
 *
 * The address is congruent to the device's memory modulo 2 MiB, or for pieces that
 * large modulo 1 GiB (of a slice always 2 MiB), so that the kernel can use huge pages.
 * While the buffer is revoked an access raises SIGBUS.
 *
 * Return: 0, -EINVAL (outside the buffer, misaligned), -EACCES (the fd lacks
 * the right), -EBADFD (the buffer is dead), -EBUSY (a buffer that is mapped with another
 * memory attribute has a page in common with this one), -ENOSPC (the device's mmap
 * space has no room for one as long as the buffer), -EBADF, -ENOMEM, -EINTR.
 */
int barter_buffer_map(int fd, uint64_t offset, uint64_t length, int prot,
		      void **address);

/**
 * barter_buffer_info() - how a buffer stands
 * @control: fd of /dev/barter, or -1
 * @info: @size and @dmabuf_fd are set by the caller, also @ranges and
 *	@nr_ranges if wanted; the rest of the input is 0
 *
 * Return: 0, -EINVAL (not a barter dma-buf), -EBADF, -ENOENT (barter.ko is not
 * loaded), -EACCES, -ENOTTY (@control is something else), -E2BIG, -EFAULT, -EINTR,
 * -ENOMEM.
 */
int barter_buffer_info(int control, struct barter_info *info);

/**
 * barter_buffer_ranges() - the pieces that a buffer is made of
 * @control: fd of /dev/barter, or -1
 * @fd: the buffer
 * @ranges: where the array goes; the caller gives it to free()
 * @nr_ranges: its length
 *
 * Return: as barter_buffer_info(), or -ENOMEM.
 */
int barter_buffer_ranges(int control, int fd, struct barter_range **ranges,
			 uint32_t *nr_ranges);

/**
 * struct barter_cut - what to cut from a buffer
 * @size: sizeof(struct barter_cut)
 * @fd: the buffer, which may be a slice
 * @flags: BARTER_SLICE_READ_ONLY: neither a CPU nor a device writes through the slice
 * @open_flags: access mode of the slice's fd, O_RDONLY with BARTER_SLICE_READ_ONLY;
 *	O_CLOEXEC is always added
 * @nr_ranges: how many @ranges
 * @ranges: pieces of the buffer in the order in which the slice has them; offset and
 *	length are multiples of the page size; they may overlap
 */
struct barter_cut {
	size_t size;
	int fd;
	uint32_t flags;
	uint32_t open_flags;
	uint32_t nr_ranges;
	const struct barter_range *ranges;
};

/**
 * barter_buffer_slice() - make a buffer from a part of another
 * @control: fd of /dev/barter, or -1
 * @cut: which part
 * @fd: where the slice's fd goes; the caller closes it
 *
 * Whoever holds a buffer may do so. The slice never has more rights than the buffer;
 * it is revoked and restored with it, and dies when that is ended. Either may be
 * closed first.
 *
 * Return: 0, -EINVAL (no range, misaligned, length 0, outside the buffer, an unknown
 * flag, not a buffer of barter's), -EPERM (more rights than the buffer has: see struct
 * barter_slice in <linux/barter.h>), -EBADFD (the buffer is dead), -EOVERFLOW, -E2BIG,
 * -ELOOP (over BARTER_MAX_LEVELS), -EBADF, -ENOENT (barter.ko is not loaded), -EACCES, -EOPNOTSUPP (it is older than
 * slices), -ENOMEM, -EMFILE, -EINTR.
 */
int barter_buffer_slice(int control, const struct barter_cut *cut, int *fd);

/* ---- Watches: hear of every revoke and restore ------------------------- */

/**
 * struct barter_watcher - a watched buffer; opaque
 */
struct barter_watcher;

/**
 * struct barter_change - how a buffer stands since its last change
 * @generation: how often its state has changed since the export
 * @changes: of these, how many came since the change that was told last. More
 *	than 1: it was taken back, or came back, in between
 * @state: BARTER_STATE_*
 * @reasons: BARTER_REASON_* bits
 */
struct barter_change {
	uint64_t generation;
	uint64_t changes;
	uint32_t state;
	uint32_t reasons;
};

/**
 * barter_watch_open() - watch a buffer
 * @control: fd of /dev/barter, or -1; at most BARTER_MAX_WATCHES watches hang on
 *	one that is given. The caller may close its own
 * @fd: the buffer. The handle keeps a copy of it
 * @now: where the state of this moment goes (@changes is 0); may be NULL
 * @watcher: where the handle goes; barter_watch_close() releases it
 *
 * Every change after @now is told by barter_watch_read().
 *
 * Return: 0, -EBADFD (the buffer is dead: nothing will change), -EINVAL (not a
 * barter dma-buf), -EBADF, -ENOSPC (@control has too many watches), -ENOENT
 * (barter.ko is not loaded), -EACCES, -EMFILE, -ENOMEM, -EINTR, -EOPNOTSUPP
 * (the loaded barter.ko is older than watches).
 */
int barter_watch_open(int control, int fd, struct barter_change *now,
		      struct barter_watcher **watcher);

/**
 * barter_watch_fd() - what to poll
 * @watcher: handle
 *
 * The fd is readable when barter_watch_read() may have something to tell.
 *
 * Return: the fd; the handle keeps owning it.
 */
int barter_watch_fd(const struct barter_watcher *watcher);

/**
 * barter_watch_read() - the change since the last time, if there is one
 * @watcher: handle
 * @change: where it goes
 *
 * Never sleeps. Changes that follow each other quickly are told as one: @state is
 * that of now, @changes says how many there were. After BARTER_STATE_DEAD there
 * is none.
 *
 * Return: 0, -EAGAIN (none), -EINTR.
 */
int barter_watch_read(struct barter_watcher *watcher,
		      struct barter_change *change);

/**
 * barter_watch_close() - end a watch
 * @watcher: handle, or NULL; invalid afterwards
 */
void barter_watch_close(struct barter_watcher *watcher);

/* ---- Routes ----------------------------------------------------------- */

/**
 * barter_route_query() - can a device's DMA reach a buffer, and how
 * @control: fd of /dev/barter, or -1
 * @route: filled as <linux/barter.h> says, @size included
 *
 * Return: 0 also when there is no route (see @out_route); else as
 * barter_buffer_info(), -EPERM (an address without CAP_SYS_ADMIN), -ENODEV (no such
 * device, or it has left).
 */
int barter_route_query(int control, struct barter_route *route);

/**
 * barter_route_between() - can one device's DMA reach another's memory
 * @control: fd of /dev/barter, or -1
 * @importer: who does the DMA
 * @exporter: whose memory is the target
 * @route: where the answer goes
 *
 * Needs CAP_SYS_ADMIN.
 *
 * Return: as barter_route_query().
 */
int barter_route_between(int control, const struct barter_bdf *importer,
			 const struct barter_bdf *exporter,
			 struct barter_route *route);

#ifdef __cplusplus
}
#endif

#endif /* BARTER_H */
