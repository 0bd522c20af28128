/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Tracepoints: the life of maps, and each call of the backend.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM barter_vgpu

#if !defined(BARTER_VGPU_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define BARTER_VGPU_TRACE_H

#include <linux/device.h>
#include <linux/tracepoint.h>

TRACE_EVENT(barter_vgpu_map,
	TP_PROTO(const char *space, u64 iova, unsigned long npages,
		 unsigned int prot, struct device *dev, int error),
	TP_ARGS(space, iova, npages, prot, dev, error),
	TP_STRUCT__entry(
		__string(space, space)
		__field(u64, iova)
		__field(unsigned long, npages)
		__field(unsigned int, prot)
		__string(device, dev ? dev_name(dev) : "none")
		__field(int, error)
	),
	TP_fast_assign(
		__assign_str(space);
		__entry->iova = iova;
		__entry->npages = npages;
		__entry->prot = prot;
		__assign_str(device);
		__entry->error = error;
	),
	TP_printk("space=%s iova=0x%llx pages=%lu prot=%u device=%s error=%d",
		  __get_str(space), __entry->iova, __entry->npages,
		  __entry->prot, __get_str(device), __entry->error)
);

DECLARE_EVENT_CLASS(barter_vgpu_of_map,
	TP_PROTO(const char *space, u64 iova, unsigned long npages,
		 struct device *dev),
	TP_ARGS(space, iova, npages, dev),
	TP_STRUCT__entry(
		__string(space, space)
		__field(u64, iova)
		__field(unsigned long, npages)
		__string(device, dev ? dev_name(dev) : "none")
	),
	TP_fast_assign(
		__assign_str(space);
		__entry->iova = iova;
		__entry->npages = npages;
		__assign_str(device);
	),
	TP_printk("space=%s iova=0x%llx pages=%lu device=%s",
		  __get_str(space), __entry->iova, __entry->npages,
		  __get_str(device))
);

DEFINE_EVENT(barter_vgpu_of_map, barter_vgpu_unmap,
	TP_PROTO(const char *space, u64 iova, unsigned long npages,
		 struct device *dev),
	TP_ARGS(space, iova, npages, dev)
);

DEFINE_EVENT(barter_vgpu_of_map, barter_vgpu_invalidate,
	TP_PROTO(const char *space, u64 iova, unsigned long npages,
		 struct device *dev),
	TP_ARGS(space, iova, npages, dev)
);

TRACE_EVENT(barter_vgpu_pin,
	TP_PROTO(const char *space, u64 iova, unsigned int npages, bool write,
		 int error),
	TP_ARGS(space, iova, npages, write, error),
	TP_STRUCT__entry(
		__string(space, space)
		__field(u64, iova)
		__field(unsigned int, npages)
		__field(bool, write)
		__field(int, error)
	),
	TP_fast_assign(
		__assign_str(space);
		__entry->iova = iova;
		__entry->npages = npages;
		__entry->write = write;
		__entry->error = error;
	),
	TP_printk("space=%s iova=0x%llx pages=%u write=%d error=%d",
		  __get_str(space), __entry->iova, __entry->npages,
		  __entry->write, __entry->error)
);

TRACE_EVENT(barter_vgpu_unpin,
	TP_PROTO(const char *space, u64 iova, unsigned int npages),
	TP_ARGS(space, iova, npages),
	TP_STRUCT__entry(
		__string(space, space)
		__field(u64, iova)
		__field(unsigned int, npages)
	),
	TP_fast_assign(
		__assign_str(space);
		__entry->iova = iova;
		__entry->npages = npages;
	),
	TP_printk("space=%s iova=0x%llx pages=%u", __get_str(space),
		  __entry->iova, __entry->npages)
);

#endif /* BARTER_VGPU_TRACE_H */

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
