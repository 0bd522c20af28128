// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter-vedu.ko: mediated devices ("vEDUs") over the DMA engine of QEMU's edu device.
 *
 * A sample for barter-vgpu (<linux/barter_vgpu.h>) and for an exporter outside of VFIO's
 * PCI drivers. Several guests have a vEDU each, on one edu; each one's commands
 * (<linux/barter-vedu.h>) run as DMA of the physical device, in its own guest's memory
 * and in no other.
 *
 * The driver binds two kinds of functions, by driver_override only: an edu becomes the
 * parent of mediated devices (/sys/class/mdev_bus), any other function whose BAR 2 is
 * memory gives them their BAR 2 (window.c). Begin with memory.c and job.c.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "vedu.h"

#define EDU_VENDOR	0x1234
#define EDU_DEVICE	0x11e8

static void vedu_engine_free(struct kref *ref)
{
	struct vedu_engine *engine = container_of(ref, struct vedu_engine, ref);

	mutex_destroy(&engine->members_lock);
	kfree(engine);
}

static void vedu_engine_put(struct vedu_engine *engine)
{
	kref_put(&engine->ref, vedu_engine_free);
}

bool vedu_engine_is_gone(struct vedu_engine *engine)
{
	return READ_ONCE(engine->gone);
}

/**
 * vedu_engine_join - one vEDU more
 * @v: with its engine, which keeps a reference until vedu_engine_leave()
 *
 * Return: 0, -ENOSPC.
 */
int vedu_engine_join(struct vedu *v)
{
	struct vedu_engine *engine = v->engine;
	int ret = -ENOSPC;

	mutex_lock(&engine->members_lock);
	if (engine->nr_members < VEDU_MAX_VEDUS) {
		kref_get(&engine->ref);
		list_add_tail(&v->member, &engine->members);
		WRITE_ONCE(engine->nr_members, engine->nr_members + 1);
		ret = 0;
	}
	mutex_unlock(&engine->members_lock);
	return ret;
}

/**
 * vedu_engine_leave - one less
 * @v: a vEDU that is closed; waits while vedu_engine_halt() is busy with it
 */
void vedu_engine_leave(struct vedu *v)
{
	struct vedu_engine *engine = v->engine;

	mutex_lock(&engine->members_lock);
	while (v->halting) {
		mutex_unlock(&engine->members_lock);
		wait_event(engine->idle, !READ_ONCE(v->halting));
		mutex_lock(&engine->members_lock);
	}
	list_del(&v->member);
	WRITE_ONCE(engine->nr_members, engine->nr_members - 1);
	mutex_unlock(&engine->members_lock);
	vedu_engine_put(engine);
}

static int vedu_engine_probe(struct pci_dev *pdev)
{
	static const char * const names[VEDU_NR_TYPES][2] = {
		[VEDU_TYPE_PLAIN] = { "engine", "vEDU" },
		[VEDU_TYPE_MEMORY] = { "memory", "vEDU with memory" },
	};
	struct vedu_engine *engine;
	int ret, i;

	engine = kzalloc(sizeof(*engine), GFP_KERNEL);
	if (!engine)
		return -ENOMEM;
	kref_init(&engine->ref);
	mutex_init(&engine->members_lock);
	INIT_LIST_HEAD(&engine->members);
	engine->pdev = pdev;
	pci_set_drvdata(pdev, engine);
	ret = edu_enable(engine);
	if (ret)
		goto err_put;
	ret = vedu_engine_init(engine);
	if (ret)
		goto err_master;

	for (i = 0; i < VEDU_NR_TYPES; i++) {
		engine->types[i].sysfs_name = names[i][0];
		engine->types[i].pretty_name = names[i][1];
		engine->type_list[i] = &engine->types[i];
	}
	ret = mdev_register_parent(&engine->parent, &pdev->dev, &vedu_mdev_driver,
				   engine->type_list, VEDU_NR_TYPES);
	if (ret)
		goto err_queue;
	return 0;

err_queue:
	destroy_workqueue(engine->queue);
err_master:
	pci_clear_master(pdev);
err_put:
	vedu_engine_put(engine);
	return ret;
}

/*
 * First nothing of any guest is mapped for the device any more, and then all that is
 * left of the vEDUs may take its time.
 */
static void vedu_engine_remove(struct pci_dev *pdev)
{
	struct vedu_engine *engine = pci_get_drvdata(pdev);

	vedu_engine_halt(engine);
	mdev_unregister_parent(&engine->parent);
	destroy_workqueue(engine->queue);
	pci_clear_master(pdev);
	vedu_engine_put(engine);
}

static bool vedu_is_engine(const struct pci_dev *pdev)
{
	return pdev->vendor == EDU_VENDOR && pdev->device == EDU_DEVICE;
}

static int vedu_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	return vedu_is_engine(pdev) ? vedu_engine_probe(pdev) : vedu_memory_probe(pdev);
}

static void vedu_pci_remove(struct pci_dev *pdev)
{
	if (vedu_is_engine(pdev))
		vedu_engine_remove(pdev);
	else
		vedu_memory_remove(pdev);
}

/* No table of devices: driver_override alone binds it. */
static struct pci_driver vedu_pci_driver = {
	.name = VEDU_NAME,
	.probe = vedu_pci_probe,
	.remove = vedu_pci_remove,
};

static int __init vedu_module_init(void)
{
	int ret;

	ret = mdev_register_driver(&vedu_mdev_driver);
	if (ret)
		return ret;
	ret = pci_register_driver(&vedu_pci_driver);
	if (ret)
		mdev_unregister_driver(&vedu_mdev_driver);
	return ret;
}
module_init(vedu_module_init);

static void __exit vedu_module_exit(void)
{
	pci_unregister_driver(&vedu_pci_driver);
	mdev_unregister_driver(&vedu_mdev_driver);
}
module_exit(vedu_module_exit);

MODULE_DESCRIPTION("Sample mediated devices over the DMA engine of QEMU's edu device");
MODULE_LICENSE("GPL");
MODULE_VERSION(BARTER_VERSION);
BARTER_IMPORT_NS_DMA_BUF;
BARTER_IMPORT_NS_BARTER;
