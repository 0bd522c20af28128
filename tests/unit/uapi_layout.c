// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The ABI as numbers. Compiled only, never run: by test_uapi in C and C++, for
 * 64 and 32 bits. A number here changes only before the first release; from
 * then on structures grow at the end.
 */
#include <linux/barter-dma.h>
#include <linux/barter-pf.h>
#include <linux/barter-vedu.h>
#include <linux/barter.h>

#include <stddef.h>

#ifdef __cplusplus
#define HOLDS(condition) static_assert(condition, #condition)
#else
#define HOLDS(condition) _Static_assert(condition, #condition)
#endif
#define AT(type, field, offset) \
	HOLDS(offsetof(struct type, field) == (offset))

HOLDS(sizeof(struct barter_range) == 16);
AT(barter_range, offset, 0);
AT(barter_range, length, 8);

HOLDS(sizeof(struct barter_info) == 256);
AT(barter_info, size, 0);
AT(barter_info, flags, 4);
AT(barter_info, dmabuf_fd, 8);
AT(barter_info, nr_ranges, 12);
AT(barter_info, ranges, 16);
AT(barter_info, out_length, 24);
AT(barter_info, out_generation, 32);
AT(barter_info, out_state, 40);
AT(barter_info, out_reasons, 44);
AT(barter_info, out_nr_ranges, 48);
AT(barter_info, out_bar, 52);
AT(barter_info, out_domain, 56);
AT(barter_info, out_bus, 60);
AT(barter_info, out_devfn, 61);
AT(barter_info, __reserved, 62);
AT(barter_info, out_attachments, 64);
AT(barter_info, out_maps, 68);
AT(barter_info, out_mmaps, 72);
AT(barter_info, __reserved2, 76);
AT(barter_info, out_faults_pte, 80);
AT(barter_info, out_faults_pmd, 88);
AT(barter_info, out_faults_pud, 96);
AT(barter_info, out_blocker, 104);
AT(barter_info, nr_importers, 168);
AT(barter_info, out_nr_importers, 172);
AT(barter_info, importers, 176);
AT(barter_info, out_flags, 184);
AT(barter_info, out_slices, 188);
AT(barter_info, out_id, 192);
AT(barter_info, out_parent, 200);
HOLDS(BARTER_BUFFER_SLICE == 0x1);
HOLDS(BARTER_BUFFER_READ_ONLY == 0x2);
HOLDS(BARTER_BUFFER_UNTOLD == 0x4);
AT(barter_info, out_memattr, 208);
AT(barter_info, out_forced, 212);
AT(barter_info, out_name, 216);
AT(barter_info, out_huge_phase, 248);
AT(barter_info, __reserved4, 252);

HOLDS(BARTER_MAX_INFO_IMPORTERS == 64);
HOLDS(sizeof(struct barter_importer_info) == 360);
AT(barter_importer_info, name, 0);
AT(barter_importer_info, types, 64);
AT(barter_importer_info, type, 320);
AT(barter_importer_info, maps, 352);
AT(barter_importer_info, __reserved, 356);

HOLDS(sizeof(struct barter_route) == 200);
AT(barter_route, size, 0);
AT(barter_route, flags, 4);
AT(barter_route, dmabuf_fd, 8);
AT(barter_route, device_fd, 12);
AT(barter_route, domain, 16);
AT(barter_route, bus, 20);
AT(barter_route, devfn, 21);
AT(barter_route, __reserved, 22);
AT(barter_route, exporter_domain, 24);
AT(barter_route, exporter_bus, 28);
AT(barter_route, exporter_devfn, 29);
AT(barter_route, __reserved2, 30);
AT(barter_route, out_route, 32);
AT(barter_route, out_reason, 36);
AT(barter_route, out_text, 40);

/* Linux fixed these; they hold whether its header or ours defines them. */
HOLDS(VFIO_DEVICE_FEATURE_DMA_BUF == 11);
HOLDS(sizeof(struct vfio_region_dma_range) == 16);
AT(vfio_region_dma_range, offset, 0);
AT(vfio_region_dma_range, length, 8);
HOLDS(sizeof(struct vfio_device_feature_dma_buf) == 16);
AT(vfio_device_feature_dma_buf, region_index, 0);
AT(vfio_device_feature_dma_buf, open_flags, 4);
AT(vfio_device_feature_dma_buf, flags, 8);
AT(vfio_device_feature_dma_buf, nr_ranges, 12);
AT(vfio_device_feature_dma_buf, dma_ranges, 16);

HOLDS(BARTER_FEATURE_EXPORT == 0xba00);
HOLDS(BARTER_FEATURE_NATIVE == 0xba01);
HOLDS(BARTER_FEATURE_MEMATTR == 0xba03);
HOLDS(BARTER_MEMATTR_UC == 0);
HOLDS(BARTER_MEMATTR_WC == 1);
HOLDS(BARTER_MEMATTR_FORCE == 0x1);
HOLDS(BARTER_EXPORT_FORCE_ATTRIBUTE == 0x2);
HOLDS(BARTER_BUFFER_NAME_LENGTH == 32);
HOLDS(sizeof(struct barter_feature_memattr) == 16);
AT(barter_feature_memattr, size, 0);
AT(barter_feature_memattr, flags, 4);
AT(barter_feature_memattr, dmabuf_fd, 8);
AT(barter_feature_memattr, memattr, 12);
HOLDS(sizeof(struct barter_feature_export) == 72);
AT(barter_feature_export, size, 0);
AT(barter_feature_export, flags, 4);
AT(barter_feature_export, region_index, 8);
AT(barter_feature_export, open_flags, 12);
AT(barter_feature_export, nr_ranges, 16);
AT(barter_feature_export, __reserved, 20);
AT(barter_feature_export, ranges, 24);
AT(barter_feature_export, memattr, 32);
AT(barter_feature_export, __reserved2, 36);
AT(barter_feature_export, name, 40);

HOLDS(BARTER_FEATURE_REVOKE == 0xba02);
HOLDS(sizeof(struct barter_feature_revoke) == 16);
AT(barter_feature_revoke, size, 0);
AT(barter_feature_revoke, flags, 4);
AT(barter_feature_revoke, dmabuf_fd, 8);
AT(barter_feature_revoke, __reserved, 12);
HOLDS(BARTER_EXPORT_READ_ONLY == 0x1);

HOLDS(sizeof(struct barter_slice) == 40);
AT(barter_slice, size, 0);
AT(barter_slice, flags, 4);
AT(barter_slice, dmabuf_fd, 8);
AT(barter_slice, open_flags, 12);
AT(barter_slice, nr_ranges, 16);
AT(barter_slice, __reserved, 20);
AT(barter_slice, ranges, 24);
AT(barter_slice, out_fd, 32);
AT(barter_slice, __reserved2, 36);
HOLDS(BARTER_SLICE_READ_ONLY == 0x1);
HOLDS(BARTER_IOC_SLICE == 0xba02);

HOLDS(BARTER_IOC_INFO == 0xba00);
HOLDS(BARTER_IOC_ROUTE == 0xba01);
HOLDS(BARTER_IOC_WATCH == 0xba03);

HOLDS(BARTER_WATCH_REMOVE == 0x1);
HOLDS(BARTER_MAX_WATCHES == 1024);
HOLDS(sizeof(struct barter_watch) == 32);
AT(barter_watch, size, 0);
AT(barter_watch, flags, 4);
AT(barter_watch, dmabuf_fd, 8);
AT(barter_watch, eventfd, 12);
AT(barter_watch, out_generation, 16);
AT(barter_watch, out_state, 24);
AT(barter_watch, out_reasons, 28);

HOLDS(BARTER_MAX_RANGES == 1048576);
HOLDS(BARTER_MAX_OVERCOMMIT == 4);
HOLDS(BARTER_NAME_LENGTH == 64);
HOLDS(BARTER_TEXT_LENGTH == 160);

HOLDS(BARTER_STATE_OK == 0);
HOLDS(BARTER_STATE_REVOKING == 1);
HOLDS(BARTER_STATE_REVOKED == 2);
HOLDS(BARTER_STATE_DEAD == 3);

HOLDS(BARTER_REASON_CONFIG == 0x1);
HOLDS(BARTER_REASON_MEMORY == 0x2);
HOLDS(BARTER_REASON_RESET == 0x4);
HOLDS(BARTER_REASON_LOW_POWER == 0x8);
HOLDS(BARTER_REASON_ERROR == 0x10);
HOLDS(BARTER_REASON_CLOSED == 0x20);
HOLDS(BARTER_REASON_GONE == 0x40);
HOLDS(BARTER_REASON_REQUESTED == 0x80);
HOLDS(BARTER_REASON_INTERRUPTED == 0x100);

HOLDS(BARTER_ROUTE_NONE == 0);
HOLDS(BARTER_ROUTE_BUS == 1);
HOLDS(BARTER_ROUTE_HOST == 2);
HOLDS(BARTER_ROUTE_SAME == 3);
HOLDS(BARTER_ROUTE_F_DEVICE_FD == 0x1);
HOLDS(BARTER_ROUTE_F_EXPORTER_BDF == 0x2);

HOLDS(BARTER_WHY_SAME_DEVICE == 1);
HOLDS(BARTER_WHY_COMMON_BRIDGE == 2);
HOLDS(BARTER_WHY_CPU_ALLOWED == 3);
HOLDS(BARTER_WHY_BRIDGE_ALLOWED == 4);
HOLDS(BARTER_WHY_ADMIN_ALLOWED == 5);
HOLDS(BARTER_WHY_NOT_PCI == 6);
HOLDS(BARTER_WHY_BRIDGE_UNKNOWN == 7);
HOLDS(BARTER_WHY_BRIDGES_DIFFER == 8);
HOLDS(BARTER_WHY_DMA_MASK == 9);
HOLDS(BARTER_WHY_KERNEL_REFUSED == 10);
HOLDS(BARTER_WHY_NO_HOST_BRIDGE == 11);

HOLDS(sizeof(struct barter_dma_import) == 24);
AT(barter_dma_import, size, 0);
AT(barter_dma_import, flags, 4);
AT(barter_dma_import, dmabuf_fd, 8);
AT(barter_dma_import, __reserved, 12);
AT(barter_dma_import, out_length, 16);
HOLDS(BARTER_DMA_F_TO_BUFFER == 0x1);
HOLDS(sizeof(struct barter_dma_copy) == 40);
AT(barter_dma_copy, size, 0);
AT(barter_dma_copy, flags, 4);
AT(barter_dma_copy, offset, 8);
AT(barter_dma_copy, length, 16);
AT(barter_dma_copy, user, 24);
AT(barter_dma_copy, out_done, 32);
HOLDS(sizeof(struct barter_dma_status) == 32);
AT(barter_dma_status, size, 0);
AT(barter_dma_status, flags, 4);
AT(barter_dma_status, out_mapped, 8);
AT(barter_dma_status, out_segments, 12);
AT(barter_dma_status, out_maps, 16);
AT(barter_dma_status, out_revokes, 24);
HOLDS(BARTER_DMA_IOC_IMPORT == 0xbb00);
HOLDS(BARTER_DMA_IOC_COPY == 0xbb01);
HOLDS(BARTER_DMA_IOC_STATUS == 0xbb02);

HOLDS(sizeof(struct barter_pf_plane) == 16);
HOLDS(sizeof(struct barter_pf_set) == 56);
AT(barter_pf_set, dmabuf_fd, 8);
AT(barter_pf_set, height, 20);
AT(barter_pf_set, planes, 24);
HOLDS(sizeof(struct barter_pf_clear) == 8);
HOLDS(sizeof(struct barter_pf_frame) == 56);
AT(barter_pf_frame, user, 8);
AT(barter_pf_frame, out_state, 24);
AT(barter_pf_frame, out_length, 40);
HOLDS(sizeof(struct barter_pf_status) == 96);
AT(barter_pf_status, pieces, 8);
AT(barter_pf_status, nr_pieces, 16);
AT(barter_pf_status, out_domain, 40);
AT(barter_pf_status, __reserved, 46);
AT(barter_pf_status, out_generation, 48);
AT(barter_pf_status, out_dark_frames, 88);

HOLDS(sizeof(struct barter_vedu_command) == 64);
AT(barter_vedu_command, flags, 4);
AT(barter_vedu_command, src, 8);
AT(barter_vedu_command, dst, 16);
AT(barter_vedu_command, length, 24);
AT(barter_vedu_command, value, 32);
AT(barter_vedu_command, out_status, 40);
AT(barter_vedu_command, __reserved, 44);
AT(barter_vedu_command, out_value, 48);
AT(barter_vedu_command, __reserved2, 56);
HOLDS(BARTER_VEDU_BAR0_LENGTH ==
	BARTER_VEDU_RING + BARTER_VEDU_NR_SLOTS * sizeof(struct barter_vedu_command));
