/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Copyright (c) 2026 the barter developers
 *
 * ABI of the sample PF (kernel/samples/pf): shows a buffer of one of its VFs as a
 * picture, read from the PF's own memory.
 *
 * One character device per PF, /dev/barter-pf-0000:01:00.0 and the like, for root.
 * The picture belongs to the device, not to the file: it stays when the file is
 * closed, until CLEAR, another SET, or the driver's unbind. Rules for @size,
 * reserved fields and errno are those of <linux/barter.h>; ENXIO, ERANGE, ENODATA and
 * ENOSPC mean what is said here.
 */
#ifndef _UAPI_LINUX_BARTER_PF_H
#define _UAPI_LINUX_BARTER_PF_H

#include <linux/barter.h>
#include <linux/ioctl.h>
#include <linux/types.h>

#define BARTER_PF_IOC_TYPE	0xBC

/*
 * Formats, with the numbers that DRM has for them (fourcc), little endian:
 * XRGB8888 has 4 bytes for each pixel, B G R X; RGB565 2 bytes, red in the highest
 * bits; NV12 a plane of luma and behind it, of half the width and height, one of
 * pairs Cb Cr.
 */
#define BARTER_PF_XRGB8888	0x34325258	/* "XR24" */
#define BARTER_PF_RGB565	0x36314752	/* "RG16" */
#define BARTER_PF_NV12		0x3231564e	/* "NV12" */

#define BARTER_PF_PLANES	2
/* A picture's width and height are 1 to this. */
#define BARTER_PF_MAX_SIDE	4096

/**
 * struct barter_pf_plane - where in the buffer a plane of the picture is
 * @offset: its first byte, of any alignment
 * @stride: bytes from one row to the next, at least what a row has
 * @__reserved: 0
 */
struct barter_pf_plane {
	__aligned_u64 offset;
	__u32 stride;
	__u32 __reserved;
};

/**
 * struct barter_pf_set - BARTER_PF_IOC_SET, a buffer becomes the picture
 * @size: sizeof(struct barter_pf_set)
 * @flags: 0
 * @dmabuf_fd: a buffer of a VF of this PF; a reference is kept
 * @format: BARTER_PF_*
 * @width: pixels in a row; even for NV12
 * @height: rows; even for NV12
 * @planes: both for NV12, else the first, and all of the other is 0
 *
 * Takes the place of the picture before, which stays if this fails. A buffer that
 * is revoked at present is taken too: it is dark until it is given back.
 *
 * Errors: EINVAL (flags or reserved fields, a width or height that is 0, too large,
 * or odd for NV12, a stride shorter than a row, a plane too many; the fd is no
 * dma-buf), EPERM (the buffer is read-only), ERANGE (a plane
 * is not whole inside the buffer), EOPNOTSUPP (unknown format; or nothing of
 * barter's; or the lending function is no VF of this PF that pci_bar_pairs or SR-IOV
 * vouches for, or shows less of its memory, or the buffer reaches beyond it: the
 * kernel log tells), ENXIO (the parameter vfs does not know the lending function,
 * has a share that is not whole in the PF's memory, or the buffer is of another
 * BAR), EBADF, EBADFD (the buffer is dead), ENODEV (the driver was unbound from the
 * PF), ENOMEM, EINTR.
 */
struct barter_pf_set {
	__u32 size;
	__u32 flags;
	__s32 dmabuf_fd;
	__u32 format;
	__u32 width;
	__u32 height;
	struct barter_pf_plane planes[BARTER_PF_PLANES];
};

/**
 * struct barter_pf_clear - BARTER_PF_IOC_CLEAR, no picture, the buffer is let go
 * @size: sizeof(struct barter_pf_clear)
 * @flags: 0
 *
 * Errors: EINVAL (flags), ENODEV (the driver was unbound from the PF), EINTR.
 */
struct barter_pf_clear {
	__u32 size;
	__u32 flags;
};

#define BARTER_PF_NONE	0	/* no picture was set */
#define BARTER_PF_LIVE	1	/* the buffer's bytes are shown */
#define BARTER_PF_DARK	2	/* the buffer is revoked or dead: black is shown */

/**
 * struct barter_pf_frame - BARTER_PF_IOC_FRAME, what the screen shows
 * @size: sizeof(struct barter_pf_frame)
 * @flags: 0
 * @user: where the pixels go
 * @length: bytes there
 * @out_state: BARTER_PF_LIVE or BARTER_PF_DARK
 * @out_format: of the pixels; as it was set
 * @out_width: as it was set
 * @out_height: as it was set
 * @out_length: bytes that the frame has
 * @out_generation: see struct barter_pf_status
 *
 * The rows of all planes, one behind the other with nothing between. Either all of
 * it is the picture, or all is black: 0 for RGB, luma 16 and both chroma 128 for
 * NV12. A frame that is asked for after a revoking call has returned is black.
 *
 * Errors: EINVAL (flags), ENODATA (no picture was set), ENOSPC (@length is less than
 * @out_length; all out_ fields are filled in), EFAULT, ENODEV (the driver was unbound
 * from the PF), ENOMEM, EINTR.
 */
struct barter_pf_frame {
	__u32 size;
	__u32 flags;
	__aligned_u64 user;
	__aligned_u64 length;
	__u32 out_state;
	__u32 out_format;
	__u32 out_width;
	__u32 out_height;
	__aligned_u64 out_length;
	__aligned_u64 out_generation;
};

/**
 * struct barter_pf_status - BARTER_PF_IOC_STATUS, how the picture stands
 * @size: sizeof(struct barter_pf_status)
 * @flags: 0
 * @pieces: where the buffer's pieces in the PF's memory go: an array of struct
 *	barter_range, offset from the start of that memory and length
 * @nr_pieces: how many fit there. More than 0 takes CAP_SYS_ADMIN
 * @out_nr_pieces: how many there are; 0 unless the state is LIVE
 * @out_state: BARTER_PF_*
 * @out_format: as it was set; like the rest up to @out_height 0 with NONE
 * @out_width: as it was set
 * @out_height: as it was set
 * @out_domain: PCI address of the VF whose buffer it is
 * @out_bus: the same
 * @out_devfn: the same
 * @__reserved: 0
 * @out_generation: changes whenever what is shown is another thing: set, cleared,
 *	dark, live
 * @out_maps: times that buffers' pieces were asked for and got
 * @out_invalidates: times that an exporter told to let go
 * @out_restored: times that an exporter told that a buffer is usable again
 * @out_frames: frames given out that were the picture
 * @out_dark_frames: frames given out that were black
 *
 * The counts are since the driver was bound.
 *
 * Errors: EINVAL (flags or reserved fields), EPERM, EFAULT, ENODEV (the driver was
 * unbound from the PF), ENOMEM, EINTR.
 */
struct barter_pf_status {
	__u32 size;
	__u32 flags;
	__aligned_u64 pieces;
	__u32 nr_pieces;
	__u32 out_nr_pieces;
	__u32 out_state;
	__u32 out_format;
	__u32 out_width;
	__u32 out_height;
	__u32 out_domain;
	__u8 out_bus;
	__u8 out_devfn;
	__u16 __reserved;
	__aligned_u64 out_generation;
	__aligned_u64 out_maps;
	__aligned_u64 out_invalidates;
	__aligned_u64 out_restored;
	__aligned_u64 out_frames;
	__aligned_u64 out_dark_frames;
};

#define BARTER_PF_IOC_SET	_IO(BARTER_PF_IOC_TYPE, 0x00)
#define BARTER_PF_IOC_CLEAR	_IO(BARTER_PF_IOC_TYPE, 0x01)
#define BARTER_PF_IOC_FRAME	_IO(BARTER_PF_IOC_TYPE, 0x02)
#define BARTER_PF_IOC_STATUS	_IO(BARTER_PF_IOC_TYPE, 0x03)

#endif /* _UAPI_LINUX_BARTER_PF_H */
