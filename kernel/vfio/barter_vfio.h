/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter-vfio-pci: a vfio-pci variant driver that lends BARs.
 */
#ifndef BARTER_VFIO_H
#define BARTER_VFIO_H

#include <linux/barter.h>
#include <linux/mutex.h>
#include <linux/vfio_pci_core.h>
#include <linux/wait.h>

/**
 * struct barter_vfio - one device
 * @core: what vfio-pci-core works on; first, and the device's drvdata
 * @exp: lends the device's memory, and may outlive it (exporter.c)
 * @state_lock: orders the readings of the device's state that become the
 *	reasons MEMORY and LOW_POWER, or end ERROR. Taken with memory_lock held or not, inside
 *	it; the exporter mutex comes under it.
 * @open: vfio-pci-core's copy of config space exists; under @state_lock
 * @claim_lock: of two who would claim a BAR only one does. Taken by exports, and with
 *	mmap_lock held
 * @resets: resets that go on. Core's memory_lock does not cover those through sysfs.
 *	Each begins under @turn_lock
 * @turn_lock: that either others reset the device or @mover opens or closes it
 * @mover: the task that does, NULL if none does; under @turn_lock
 * @turns: whoever waits for the end of either
 * @broken: an error of the link was found and nothing has mended it: ERROR is in force, or
 *	about to be. Written under @state_lock, read without
 * @reset_due: the bus may yet be reset for that error; under @state_lock, as the next two
 * @lost_before: BARs were lost already when the last error was found
 * @beginning: ERROR is just being given
 * @af_cap: position of the Advanced Features capability, 0 without
 */
struct barter_vfio {
	struct vfio_pci_core_device core;
	struct barter_exporter *exp;
	struct mutex state_lock;
	bool open;
	struct mutex claim_lock;
	atomic_t resets;
	spinlock_t turn_lock;
	struct task_struct *mover;
	wait_queue_head_t turns;
	bool broken;
	bool reset_due;
	bool lost_before;
	bool beginning;
	u8 af_cap;
};

static inline struct barter_vfio *barter_vfio_from_vdev(struct vfio_device *vdev)
{
	return container_of(vdev, struct barter_vfio, core.vdev);
}

static inline struct barter_vfio *barter_vfio_from_pdev(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);

	return container_of(core, struct barter_vfio, core);
}

/*
 * hooks.c. The counter is of config writes whose bytes changed between our look
 * at them and core's, so that memory went off before importers had let go.
 */
extern atomic_t barter_vfio_config_races;
extern const struct pci_error_handlers barter_vfio_err_handlers;
bool barter_vfio_memory_on(const struct barter_vfio *bv);
void barter_vfio_update(struct barter_vfio *bv, unsigned int flags);
ssize_t barter_vfio_write(struct vfio_device *vdev, const char __user *buf,
			  size_t count, loff_t *ppos);
long barter_vfio_ioctl(struct vfio_device *vdev, unsigned int cmd,
		       unsigned long arg);

/* errors.c */
void barter_vfio_error_look(struct barter_vfio *bv);
void barter_vfio_error_reset_prepare(struct barter_vfio *bv);
void barter_vfio_error_reset_done(struct barter_vfio *bv);
pci_ers_result_t barter_vfio_error_detected(struct pci_dev *pdev, pci_channel_state_t state);
void barter_vfio_error_resume(struct pci_dev *pdev);

/* turns.c */
int barter_vfio_open_begin(struct barter_vfio *bv);
void barter_vfio_close_begin(struct barter_vfio *bv);
void barter_vfio_move_end(struct barter_vfio *bv);
void barter_vfio_reset_begin(struct barter_vfio *bv);
void barter_vfio_reset_end(struct barter_vfio *bv);

/* exporter.c. A PF is reset with its device locked, or by its close, under the set's lock. */
enum barter_pf_reset {
	BARTER_PF_RESET,
	BARTER_PF_CLOSE,
};

int barter_vfio_exporter_new(struct barter_vfio *bv);
void barter_vfio_exporter_cut(struct barter_vfio *bv);
struct barter_exporter *barter_vfio_exporter_get(struct barter_vfio *bv);
void barter_vfio_exporter_put(struct barter_exporter *exp);
void barter_vfio_exporter_update(struct barter_exporter *exp,
				 unsigned int flags);
bool barter_vfio_exporters_awake(void);
void barter_vfio_exporters_reset_prepare(struct pci_dev *pf, enum barter_pf_reset by);
void barter_vfio_exporters_reset_done(struct pci_dev *pf, enum barter_pf_reset by);

/* power.c */
void barter_vfio_power_hook(struct pci_dev *pdev);
bool barter_vfio_resuming(struct pci_dev *pdev);
void barter_vfio_power_init(void);
void barter_vfio_power_exit(void);

/* hotreset.c */
long barter_vfio_hot_reset(struct vfio_device *vdev, unsigned long arg);

/* native.c */
void barter_vfio_native_init(struct barter_vfio *bv);
bool barter_vfio_feature11_native(void);
bool barter_vfio_feature11_auto(u32 nr_ranges);
int barter_vfio_native(struct barter_vfio *bv, u32 flags, void __user *arg,
		       size_t argsz);

/* mmap.c */
int barter_vfio_claim(struct barter_vfio *bv, unsigned int bar);
int barter_vfio_mmap(struct vfio_device *vdev, struct vm_area_struct *vma);

/* features.c */
int barter_vfio_feature(struct vfio_device *vdev, u32 flags, void __user *arg,
			size_t argsz);

#endif /* BARTER_VFIO_H */
