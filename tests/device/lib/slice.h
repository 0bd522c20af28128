/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Parts of buffers, the end of one buffer, and exports by barter's own feature.
 */
#ifndef TESTS_SLICE_H
#define TESTS_SLICE_H

#include <linux/barter.h>
#include <stdint.h>

#include "vfio.h"

/* As it is: also a wrong one. The slice's fd, or -errno. */
int slice_call(struct barter_slice *s);
/* A request that is right, for a slice that may be written. */
struct barter_slice slice_request(int fd, const struct barter_range *ranges,
				  uint32_t nr);
int slice_of(int fd, const struct barter_range *ranges, uint32_t nr);
int slice1(int fd, uint64_t offset, uint64_t n);
int slice_read_only(int fd, uint64_t offset, uint64_t n);

/* End a buffer for ever. 0 or -errno. */
int buf_end(const struct dev *d, int fd);
int revoke_call(const struct dev *d, uint32_t argsz, uint32_t op,
		struct barter_feature_revoke *r);

/* BARTER_FEATURE_EXPORT: the fd, or -errno. */
int buf_export_as(const struct dev *d, int bar, uint64_t offset, uint64_t n,
		  uint32_t flags, uint32_t open_flags);
int buf_export_ro(const struct dev *d, int bar, uint64_t offset, uint64_t n);

#endif
