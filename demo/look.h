/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What a screen shows, as QEMU says: by its screendump, on the host.
 */
#ifndef DEMO_LOOK_H
#define DEMO_LOOK_H

#include "picture.h"

/* Have QEMU write the screen of that device to NAME.png in the demo's folder. */
void look(const char *device, const char *name);
/* Leave /out/drawn.png, the desktop with that picture: to compare with, on the host. */
void leave_drawn(const struct picture *picture);

#endif /* DEMO_LOOK_H */
