/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Tracepoints: the life of buffers, each use of them, each step of a revoke.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM barter

#if !defined(BARTER_CORE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define BARTER_CORE_TRACE_H

#include <linux/device.h>
#include <linux/pci.h>
#include <linux/tracepoint.h>

TRACE_EVENT(barter_export,
	TP_PROTO(u64 id, struct pci_dev *pdev, unsigned int bar, u32 runs,
		 u64 length),
	TP_ARGS(id, pdev, bar, runs, length),
	TP_STRUCT__entry(
		__field(u64, id)
		__string(device, pci_name(pdev))
		__field(unsigned int, bar)
		__field(u32, runs)
		__field(u64, length)
	),
	TP_fast_assign(
		__entry->id = id;
		__assign_str(device);
		__entry->bar = bar;
		__entry->runs = runs;
		__entry->length = length;
	),
	TP_printk("buffer=%llu device=%s bar=%u runs=%u length=%llu",
		  __entry->id, __get_str(device), __entry->bar, __entry->runs,
		  __entry->length)
);

TRACE_EVENT(barter_slice,
	TP_PROTO(u64 id, u64 parent, u32 runs, u64 length),
	TP_ARGS(id, parent, runs, length),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, parent)
		__field(u32, runs)
		__field(u64, length)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->parent = parent;
		__entry->runs = runs;
		__entry->length = length;
	),
	TP_printk("buffer=%llu parent=%llu runs=%u length=%llu", __entry->id,
		  __entry->parent, __entry->runs, __entry->length)
);

/* The end of one buffer, with all that was cut from it. */
TRACE_EVENT(barter_buf_revoke,
	TP_PROTO(u64 id, int error),
	TP_ARGS(id, error),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->error = error;
	),
	TP_printk("buffer=%llu error=%d", __entry->id, __entry->error)
);

TRACE_EVENT(barter_release,
	TP_PROTO(u64 id),
	TP_ARGS(id),
	TP_STRUCT__entry(
		__field(u64, id)
	),
	TP_fast_assign(
		__entry->id = id;
	),
	TP_printk("buffer=%llu", __entry->id)
);

TRACE_EVENT(barter_attach,
	TP_PROTO(u64 id, struct device *importer, int error),
	TP_ARGS(id, importer, error),
	TP_STRUCT__entry(
		__field(u64, id)
		__string(importer, dev_name(importer))
		__field(int, error)
	),
	TP_fast_assign(
		__entry->id = id;
		__assign_str(importer);
		__entry->error = error;
	),
	TP_printk("buffer=%llu importer=%s error=%d", __entry->id,
		  __get_str(importer), __entry->error)
);

DECLARE_EVENT_CLASS(barter_type,
	TP_PROTO(const struct barter_attach *ba,
		 const struct barter_interconnect *type, int error),
	TP_ARGS(ba, type, error),
	TP_STRUCT__entry(
		__field(u64, id)
		__string(importer, dev_name(ba->attach->dev))
		__string(type, type ? type->name : "none")
		__field(int, error)
	),
	TP_fast_assign(
		__entry->id = ba->buf->id;
		__assign_str(importer);
		__assign_str(type);
		__entry->error = error;
	),
	TP_printk("buffer=%llu importer=%s type=%s error=%d", __entry->id,
		  __get_str(importer), __get_str(type), __entry->error)
);

/* A type that both sides list: 0 keeps it, -EOPNOTSUPP leaves it out. */
DEFINE_EVENT(barter_type, barter_match,
	TP_PROTO(const struct barter_attach *ba,
		 const struct barter_interconnect *type, int error),
	TP_ARGS(ba, type, error));

/* Which one is used from now on. */
DEFINE_EVENT(barter_type, barter_choose,
	TP_PROTO(const struct barter_attach *ba,
		 const struct barter_interconnect *type, int error),
	TP_ARGS(ba, type, error));

TRACE_EVENT(barter_route,
	TP_PROTO(u64 id, struct device *importer, u32 route, u32 why),
	TP_ARGS(id, importer, route, why),
	TP_STRUCT__entry(
		__field(u64, id)
		__string(importer, dev_name(importer))
		__field(u32, route)
		__field(u32, why)
	),
	TP_fast_assign(
		__entry->id = id;
		__assign_str(importer);
		__entry->route = route;
		__entry->why = why;
	),
	TP_printk("buffer=%llu importer=%s route=%u why=%u", __entry->id,
		  __get_str(importer), __entry->route, __entry->why)
);

TRACE_EVENT(barter_map,
	TP_PROTO(u64 id, struct device *importer, unsigned int segments,
		 int error),
	TP_ARGS(id, importer, segments, error),
	TP_STRUCT__entry(
		__field(u64, id)
		__string(importer, dev_name(importer))
		__field(unsigned int, segments)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->id = id;
		__assign_str(importer);
		__entry->segments = segments;
		__entry->error = error;
	),
	TP_printk("buffer=%llu importer=%s segments=%u error=%d", __entry->id,
		  __get_str(importer), __entry->segments, __entry->error)
);

TRACE_EVENT(barter_unmap,
	TP_PROTO(u64 id, struct device *importer),
	TP_ARGS(id, importer),
	TP_STRUCT__entry(
		__field(u64, id)
		__string(importer, dev_name(importer))
	),
	TP_fast_assign(
		__entry->id = id;
		__assign_str(importer);
	),
	TP_printk("buffer=%llu importer=%s", __entry->id, __get_str(importer))
);

TRACE_EVENT(barter_fault,
	TP_PROTO(u64 id, unsigned long page, unsigned int order,
		 vm_fault_t result),
	TP_ARGS(id, page, order, result),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(unsigned long, page)
		__field(unsigned int, order)
		__field(unsigned int, result)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->page = page;
		__entry->order = order;
		__entry->result = (__force unsigned int)result;
	),
	TP_printk("buffer=%llu page=%lu order=%u result=%#x", __entry->id,
		  __entry->page, __entry->order, __entry->result)
);

DECLARE_EVENT_CLASS(barter_reasons,
	TP_PROTO(struct pci_dev *pdev, u32 reason, u32 reasons, int error),
	TP_ARGS(pdev, reason, reasons, error),
	TP_STRUCT__entry(
		__string(device, pci_name(pdev))
		__field(u32, reason)
		__field(u32, reasons)
		__field(int, error)
	),
	TP_fast_assign(
		__assign_str(device);
		__entry->reason = reason;
		__entry->reasons = reasons;
		__entry->error = error;
	),
	TP_printk("device=%s reason=%#x reasons=%#x error=%d",
		  __get_str(device), __entry->reason, __entry->reasons,
		  __entry->error)
);

DEFINE_EVENT(barter_reasons, barter_revoke_start,
	TP_PROTO(struct pci_dev *pdev, u32 reason, u32 reasons, int error),
	TP_ARGS(pdev, reason, reasons, error));

DEFINE_EVENT(barter_reasons, barter_revoke_end,
	TP_PROTO(struct pci_dev *pdev, u32 reason, u32 reasons, int error),
	TP_ARGS(pdev, reason, reasons, error));

DEFINE_EVENT(barter_reasons, barter_restore,
	TP_PROTO(struct pci_dev *pdev, u32 reason, u32 reasons, int error),
	TP_ARGS(pdev, reason, reasons, error));

TRACE_EVENT(barter_wait_fence,
	TP_PROTO(u64 id, u64 context, u64 seqno),
	TP_ARGS(id, context, seqno),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, context)
		__field(u64, seqno)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->context = context;
		__entry->seqno = seqno;
	),
	TP_printk("buffer=%llu context=%llu seqno=%llu", __entry->id,
		  __entry->context, __entry->seqno)
);

TRACE_EVENT(barter_wait_maps,
	TP_PROTO(u64 id, u32 maps),
	TP_ARGS(id, maps),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u32, maps)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->maps = maps;
	),
	TP_printk("buffer=%llu maps=%u", __entry->id, __entry->maps)
);

#endif /* BARTER_CORE_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
