/* SPDX-License-Identifier: GPL-2.0-only */
/* How many bytes of an answer the host sends before vmctl must acknowledge. */
#ifndef VMTEST_CHUNK_H
#define VMTEST_CHUNK_H

#define VMCTL_CHUNK 1024

#endif
