// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * /dev/barter: info and routes.
 */
#include "internal.h"

#include <fcntl.h>
#include <sys/ioctl.h>

BARTER_API int barter_control_open(int *control)
{
	char path[BARTER_PATH_LENGTH];
	int fd, ret;

	ret = barter_path_dev(path, sizeof(path), "barter");
	if (ret)
		return ret;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*control = fd;
	return 0;
}

int barter_control_call(int control, unsigned long request, void *argument)
{
	int mine = -1, ret;

	if (control < 0) {
		ret = barter_control_open(&mine);
		if (ret)
			return ret;
		control = mine;
	}
	ret = ioctl(control, request, argument) ? -errno : 0;
	if (mine >= 0)
		close(mine);
	return ret;
}

BARTER_API int barter_buffer_info(int control, struct barter_info *info)
{
	return barter_control_call(control, BARTER_IOC_INFO, info);
}

BARTER_API int barter_route_query(int control, struct barter_route *route)
{
	return barter_control_call(control, BARTER_IOC_ROUTE, route);
}

BARTER_API int barter_route_between(int control,
				    const struct barter_bdf *importer,
				    const struct barter_bdf *exporter,
				    struct barter_route *route)
{
	struct barter_route query = {
		.size = sizeof(query),
		.flags = BARTER_ROUTE_F_EXPORTER_BDF,
		.dmabuf_fd = -1,
		.domain = importer->domain,
		.bus = importer->bus,
		.devfn = importer->devfn,
		.exporter_domain = exporter->domain,
		.exporter_bus = exporter->bus,
		.exporter_devfn = exporter->devfn,
	};
	int ret = barter_route_query(control, &query);

	if (!ret)
		*route = query;
	return ret;
}
