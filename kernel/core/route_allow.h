/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Host bridges that are known to pass DMA between their ports.
 *
 * Data only, included by route.c alone. The PCI specification does not require
 * a root complex to do this, so nothing is allowed that is not listed: by
 * vendor and device id of the function that identifies the bridge (route.h).
 * The ids are those that kernels up to 7.3 accept; AMD Zen and later is
 * recognised by its CPU family instead and needs no entry.
 */
#ifndef BARTER_CORE_ROUTE_ALLOW_H
#define BARTER_CORE_ROUTE_ALLOW_H

#define ALLOW_ANY_DEVICE	0xffff	/* no function has this device id */

/*
 * @one_bridge_only: DMA between ports of one such bridge works, DMA from one
 * bridge to another is not known to.
 */
static const struct route_allow {
	u16 vendor;
	u16 device;
	bool one_bridge_only;
} route_allow[] = {
	/* Intel Xeon E5 and Core i7, Sandy Bridge-EP */
	{ 0x8086, 0x3c00, true },
	{ 0x8086, 0x3c01, true },
	/* Intel Xeon E5 v3 and E7 v3, Haswell-EP */
	{ 0x8086, 0x2f00, true },
	{ 0x8086, 0x2f01, true },
	/* Intel Xeon Scalable, Skylake: root ports A to D, and the DMI port */
	{ 0x8086, 0x2030, false },
	{ 0x8086, 0x2031, false },
	{ 0x8086, 0x2032, false },
	{ 0x8086, 0x2033, false },
	{ 0x8086, 0x2020, false },
	/* Intel Xeon since Ice Lake: first function of most root buses */
	{ 0x8086, 0x09a2, false },
	/* the same Xeons: accelerators that are alone on their root bus */
	{ 0x8086, 0x0b25, false },	/* DSA, Sapphire Rapids */
	{ 0x8086, 0x0cfe, false },	/* IAA, Sapphire Rapids */
	{ 0x8086, 0x11fb, false },	/* DSA, Granite Rapids-D */
	{ 0x8086, 0x1212, false },	/* DSA, Diamond Rapids */
	{ 0x8086, 0x1216, false },	/* IAA, Diamond Rapids */
	{ 0x8086, 0x4940, false },	/* QAT 4xxx */
	{ 0x8086, 0x4942, false },	/* QAT 401xx */
	{ 0x8086, 0x4944, false },	/* QAT 402xx */
	{ 0x8086, 0x4946, false },	/* QAT 420xx */
	{ 0x8086, 0x4948, false },	/* QAT 6xxx */
	/* Google SoCs */
	{ 0x1ae0, ALLOW_ANY_DEVICE, false },
	/* Nvidia CPUs */
	{ 0x10de, 0x2f95, false },
	{ 0x10de, 0x2f96, false },
	{ 0x10de, 0x2f97, false },
	{ 0x10de, 0x2f98, false },
};

#endif /* BARTER_CORE_ROUTE_ALLOW_H */
