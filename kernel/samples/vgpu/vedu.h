/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter-vedu: mediated devices over edu's DMA engine. What the files know of each
 * other:
 *
 *	main.c		PCI functions: engines (edu) and memories, which vEDUs share
 *	edu.c		one transfer of the engine
 *	sched.c		who uses the engine next
 *	mdev.c		the mediated device: probe, open, close, reset, BARs, VFIO's calls
 *	config.c	its PCI config space
 *	irq.c		its interrupts
 *	ring.c		its registers, its ring and its worker
 *	job.c		a command, transfer by transfer
 *	memory.c	guest memory, by barter-vgpu
 *	window.c	device memory: slices of a memory's BAR, lent by an exporter each
 *	lend.c		VFIO_DEVICE_FEATURE for that
 *
 * Locks, outermost first:
 *
 *	memories_lock		window.c: memories and which slice is whose
 *	engine->members_lock	the vEDUs of an engine; not held across vedu_gone()
 *	v->control		open, close, reset, end of the engine: who stops and starts
 *				the vEDU; writes of config space and of CONTROL
 *	v->lock			config space, registers and ring
 *	engine->lock		who is to run; a spinlock
 *
 *	v->dma			held by each transfer to or from guest memory, and taken
 *				by the guest's unmap, which thereby waits for it. No call
 *				of VFIO's or barter-vgpu's is made under it.
 *	v->maps_lock		v->maps, for who does not wait for a transfer; a spinlock
 *
 * The job belongs to the vEDU's worker, or to the engine's (@with_engine), or to
 * whoever has stopped both (under v->control).
 */
#ifndef BARTER_SAMPLES_VEDU_H
#define BARTER_SAMPLES_VEDU_H

#include <linux/barter.h>
#include <linux/kref.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mdev.h>
#include <linux/mutex.h>
#include <linux/pci_regs.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/vfio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <uapi/linux/barter-vedu.h>

#define VEDU_NAME	"barter-vedu"

/* Of edu's memory; all of it but 64 bytes, the very last of which QEMU trips over. */
#define VEDU_CHUNK	4032U

#define VEDU_MAX_VEDUS	16	/* of one engine */
#define VEDU_SLICE	(4UL << 20)	/* BAR 2 */
#define VEDU_BAR2	2

/* Each region has 1 TiB of the file's offsets, as vfio-pci's. */
#define VEDU_REGION_SHIFT	40

struct barter_vgpu_space;
struct eventfd_ctx;
struct mem_cgroup;
struct pci_dev;
struct task_struct;
struct vedu_map;
struct vedu_op;
struct vedu_window;

enum { VEDU_TYPE_PLAIN, VEDU_TYPE_MEMORY, VEDU_NR_TYPES };

/* One edu. Lives until it is unbound and its last vEDU is gone. */
struct vedu_engine {
	struct kref ref;
	struct pci_dev *pdev;		/* these four until it is unbound */
	void __iomem *regs;
	void *bounce;			/* VEDU_CHUNK bytes that the engine reaches */
	dma_addr_t bounce_bus;
	bool failed;			/* a transfer never ended */
	u64 loaded;			/* number of the job whose pattern edu holds */
	u64 last_job;

	struct workqueue_struct *queue;
	struct work_struct work;
	spinlock_t lock;		/* the next three, and vedu->node and so on */
	struct list_head runnable;
	struct vedu *current_vedu;	/* whose turn it is */
	bool gone;
	wait_queue_head_t idle;		/* current_vedu, or a vedu->halting, has changed */

	struct mutex members_lock;
	struct list_head members;	/* vedu->member */
	unsigned int nr_members;

	struct mdev_parent parent;
	struct mdev_type types[VEDU_NR_TYPES];
	struct mdev_type *type_list[VEDU_NR_TYPES];
};

/* What is being done for a guest. */
struct vedu_job {
	bool active;
	u32 status;			/* BARTER_VEDU_S_* */
	const struct vedu_op *op;	/* NULL: has not begun */
	u64 number;			/* of a fill whose pattern was loaded */
	struct barter_vedu_command cmd;
	struct vedu_map *src, *dst;
	u64 done;			/* bytes */
	u64 result;			/* out_value */
};

struct vedu_irq {
	spinlock_t lock;
	struct eventfd_ctx *trigger;
};

/* A mediated device. */
struct vedu {
	struct vfio_device vdev;
	struct vedu_engine *engine;
	struct list_head member;	/* these three: engine->members_lock */
	bool halted;			/* learns of the engine's end, or has */
	bool halting;			/* just now */

	struct list_head node;		/* these four: engine->lock */
	bool stopped;
	bool with_engine;		/* has the job */
	struct task_struct *busy;	/* the worker, where a signal ends its waits */
	struct kthread_worker *worker;
	struct kthread_work work;
	struct delayed_work patience; /* ends @busy's wait */

	struct mutex control;
	bool open;

	struct mutex lock;
	u8 config[PCI_CFG_SPACE_SIZE];
	u8 writable[PCI_CFG_SPACE_SIZE];	/* bits of it that are the guest's */
	struct barter_vedu_command ring[BARTER_VEDU_NR_SLOTS];
	u32 head, tail, enable, interrupt, halt;
	u64 completed, failed, transfers;

	struct mutex dma;
	struct list_head maps;		/* under it, and what the engine finds there */
	spinlock_t maps_lock;		/* too, to change @maps; or alone, to look */
	struct barter_vgpu_space *space;
	struct mem_cgroup *memcg;	/* of whoever has opened it */
	struct vedu_job job;
	struct vedu_map *held[BARTER_VEDU_MAX_HELD];

	struct vedu_irq msi, request;
	struct vedu_window *window;	/* NULL: no BAR 2 */
};

static inline struct vedu *vedu_from_vdev(struct vfio_device *vdev)
{
	return container_of(vdev, struct vedu, vdev);
}

/* edu.c */
int edu_enable(struct vedu_engine *engine);
int edu_transfer(struct vedu_engine *engine, dma_addr_t bus, unsigned int at,
		 size_t count, bool to_bus);

/* sched.c */
int vedu_engine_init(struct vedu_engine *engine);
void vedu_engine_halt(struct vedu_engine *engine);
void vedu_kick(struct vedu *v);
bool vedu_engine_has(struct vedu *v);
void vedu_work_init(struct vedu *v);
void vedu_work_begin(struct vedu *v);
bool vedu_work_next(struct vedu *v);
void vedu_work_end(struct vedu *v);
void vedu_engine_submit(struct vedu *v);
void vedu_engine_pause(struct vedu *v);
void vedu_engine_stop(struct vedu *v);
void vedu_engine_start(struct vedu *v);

/* main.c */
bool vedu_engine_is_gone(struct vedu_engine *engine);
int vedu_engine_join(struct vedu *v);
void vedu_engine_leave(struct vedu *v);

/* mdev.c */
extern struct mdev_driver vedu_mdev_driver;
void vedu_gone(struct vedu *v);

/* config.c */
void vedu_config_init(struct vedu *v);
bool vedu_config_memory(const struct vedu *v);
bool vedu_config_master(const struct vedu *v);
int vedu_config_access(struct vedu *v, u8 *data, size_t n, u64 offset, bool write);

/* irq.c */
void vedu_irq_init(struct vedu_irq *irq);
bool vedu_irq_raise(struct vedu_irq *irq);
void vedu_irq_clear(struct vedu_irq *irq);
int vedu_irq_info(struct vfio_irq_info *info);
int vedu_irq_set(struct vedu *v, unsigned long arg);

/* ring.c */
int vedu_ring_access(struct vedu *v, u8 *data, size_t n, u64 offset, bool write);
void vedu_ring_reset(struct vedu *v);
void vedu_ring_halt(struct vedu *v, u32 why);
bool vedu_may_transfer(struct vedu *v);
void vedu_settle(struct vedu *v);
void vedu_work(struct kthread_work *work);
bool vedu_turn(struct vedu *v);

/* job.c */
u32 vedu_job_begin(struct vedu *v);
bool vedu_job_step(struct vedu *v);
void vedu_job_drop(struct vedu *v);
void vedu_job_drop_held(struct vedu *v);

/* memory.c */
int vedu_space_new(struct vedu *v);
void vedu_space_free(struct vedu *v);
void vedu_space_open(struct vedu *v);
void vedu_space_close(struct vedu *v);
void vedu_dma_unmap(struct vfio_device *vdev, u64 iova, u64 length);
int vedu_map(struct vedu *v, u64 iova, u64 length, bool write, struct vedu_map **out);
int vedu_map_again(struct vedu *v, struct vedu_map *range);
void vedu_unmap(struct vedu *v, struct vedu_map *range);
int vedu_map_find(struct vedu *v, struct vedu_map *range, u64 offset, dma_addr_t *bus,
		  size_t *count);
u32 vedu_map_segments(struct vedu *v, struct vedu_map *range);
bool vedu_map_is(const struct vedu_map *range, u64 iova, u64 length, bool write);

/* window.c */
int vedu_memory_probe(struct pci_dev *pdev);
void vedu_memory_remove(struct pci_dev *pdev);
unsigned int vedu_memory_free(void);
int vedu_window_new(struct vedu *v);
void vedu_window_open(struct vedu_window *win);
void vedu_window_close(struct vedu_window *win);
void vedu_window_destroy(struct vedu_window *win);
void vedu_window_put(struct vedu_window *win);
int vedu_window_lock(struct vedu_window *win);
int vedu_window_unlock(struct vedu_window *win, bool on);
int vedu_window_reset(struct vedu_window *win);
int vedu_window_access(struct vedu_window *win, u8 *data, size_t n, u64 offset,
		       bool write);
int vedu_window_mmap(struct vedu_window *win, struct vm_area_struct *vma, u64 offset);
struct barter_exporter *vedu_window_exporter(struct vedu_window *win);
u64 vedu_window_start(const struct vedu_window *win);

/* lend.c */
int vedu_feature(struct vfio_device *vdev, u32 flags, void __user *arg, size_t argsz);

#endif /* BARTER_SAMPLES_VEDU_H */
