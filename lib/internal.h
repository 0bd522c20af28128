/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the library's files share among themselves. Nothing here is exported:
 * the library is built with hidden visibility and a symbol map.
 */
#ifndef BARTER_INTERNAL_H
#define BARTER_INTERNAL_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <barter.h>

#define BARTER_API __attribute__((visibility("default")))

#define BARTER_PATH_LENGTH 512

/* sysfs.c: folders that the environment may move */

/* Write "<root>/<tail>" to @path; -ENAMETOOLONG if it does not fit. */
int barter_path_sysfs(char *path, size_t length, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int barter_path_dev(char *path, size_t length, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A whole small file without its last newline; -EFBIG if @length is short. */
int barter_file_read(const char *path, char *text, size_t length);
int barter_file_write(const char *path, const char *text);
/* Last part of what the link at @path points to. */
int barter_link_name(const char *path, char *name, size_t length);

/* control.c: an ioctl of /dev/barter, which is opened for it if @control is -1 */
int barter_control_call(int control, unsigned long request, void *argument);

/* region.c: -ENODEV: no such BAR; -EINVAL: not inside it, or of no length */
int barter_bar_check(struct barter_device *device, uint32_t bar,
		     uint64_t offset, uint64_t length,
		     struct barter_region *region);

/* mapping.c: mmap at an address that allows huge pages */
int barter_map_aligned(int fd, uint64_t file_offset, uint64_t align_offset,
		       uint64_t length, int prot, void **address);

/*
 * space.c: the address space in which devices do DMA
 *
 * One object for the container of group-opened devices or the iommufd and
 * its IOAS for cdev-opened ones; counted, since devices can share it.
 */
struct barter_space {
	unsigned int references;
	int fd;			/* container or iommufd */
	int is_iommufd;
	int has_type1;		/* container: VFIO_SET_IOMMU was done */
	uint32_t ioas;		/* iommufd: id of the address space */
};

struct barter_space *barter_space_get(struct barter_space *space);
void barter_space_put(struct barter_space *space);
int barter_space_new_container(struct barter_space **space);
int barter_space_new_iommufd(struct barter_space **space);
int barter_space_map(struct barter_space *space, void *address,
		     uint64_t length, uint64_t iova, int prot);
int barter_space_unmap(struct barter_space *space, uint64_t iova,
		       uint64_t length);

/* group.c: an open IOMMU group, which the kernel lets be opened only once */
struct barter_group {
	unsigned int references;
	int fd;
	int number;
	struct barter_space *space;
};

int barter_group_open(int number, struct barter_space *space,
		      struct barter_group **group);
struct barter_group *barter_group_get(struct barter_group *group);
void barter_group_put(struct barter_group *group);
int barter_group_device(struct barter_group *group, const char *name);

/* cdev.c */
int barter_cdev_find(const char *name, char *path, size_t length);
int barter_cdev_open(const char *path, struct barter_space *space, int *fd);

struct barter_device {
	char name[BARTER_BDF_LENGTH];
	int fd;
	int is_cdev;
	struct barter_space *space;
	struct barter_group *group;	/* NULL for a cdev */
	struct barter_region config;
	struct barter_peer *peers;	/* what others reach of it, see peer.c */
};

/*
 * peer.c: the maps of others into a lender's memory, removed before it goes. If one
 * cannot be, what follows must not be done.
 */
int barter_peers_unmap(struct barter_device *lender);
int barter_peers_unmap_buffer(struct barter_device *lender, int fd);
int barter_peers_before_write(struct barter_device *lender, uint64_t offset,
			      const uint8_t *data, size_t length);
/* All of them, and the lender is no more. */
void barter_peers_orphan(struct barter_device *lender);

#endif /* BARTER_INTERNAL_H */
