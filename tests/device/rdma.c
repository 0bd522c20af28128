// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * RDMA, as far as it goes without hardware: the driver made of software, rxe, moves bytes
 * between memory of ours, by the example's own calls, and takes no dma-buf, whoever's it
 * is. That it refuses a buffer must leave nothing of it anywhere, and the buffer as
 * revocable as before. When a kernel's rxe takes one, this suite fails: then it is to show
 * what a revoke does to it.
 */
#define _GNU_SOURCE
#define main example_main
#include "../../examples/rdma.c"
#undef main

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/udmabuf.h>
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/rdma_netlink.h>
#include <rdma/rdma_user_ioctl_cmds.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "lib/fixture.h"
#include "lib/slice.h"

#define RXE	"rxe0"
#define LENGTH	(16 * PAGE)
#define AT	(2 * MIB)
#define ACCESS	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)
#define ON_DEMAND	(ACCESS | IBV_ACCESS_ON_DEMAND)

static struct rdma rdma;

/* ---- rxe -------------------------------------------------------------- */

static struct nlattr *attribute(struct nlattr *a, uint16_t type, const char *text)
{
	a->nla_type = type;
	a->nla_len = (uint16_t)(NLA_HDRLEN + strlen(text) + 1);
	strcpy((char *)a + NLA_HDRLEN, text);
	return (struct nlattr *)((char *)a + NLA_ALIGN(a->nla_len));
}

/* As "rdma link add rxe0 type rxe netdev NETDEV". */
static int link_add(const char *netdev)
{
	union {
		struct nlmsghdr h;
		struct { struct nlmsghdr h; struct nlmsgerr e; } answer;
		char bytes[1024];
	} m = { .h = {
		.nlmsg_type = RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, RDMA_NLDEV_CMD_NEWLINK),
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
	} };
	struct nlattr *a = (struct nlattr *)(m.bytes + NLMSG_HDRLEN);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_RDMA), ret;

	a = attribute(a, RDMA_NLDEV_ATTR_DEV_NAME, RXE);
	a = attribute(a, RDMA_NLDEV_ATTR_LINK_TYPE, "rxe");
	a = attribute(a, RDMA_NLDEV_ATTR_NDEV_NAME, netdev);
	m.h.nlmsg_len = (uint32_t)((char *)a - m.bytes);
	if (fd < 0)
		return -errno;
	ret = send(fd, &m, m.h.nlmsg_len, 0) < 0 ||
	      recv(fd, &m, sizeof(m), 0) < (ssize_t)sizeof(m.answer) ? -errno : 0;
	close(fd);
	return ret ?: m.h.nlmsg_type == NLMSG_ERROR ? m.answer.e.error : -EPROTO;
}

static bool set_up(void)
{
	if (system("modprobe -q crc32_generic; modprobe dummy && modprobe ib_uverbs && "
		   "modprobe rdma_rxe && ip addr add 10.9.9.1/24 dev dummy0 && "
		   "ip link set dummy0 up"))
		return false;
	return is_errno(link_add("dummy0"), 0, "a link of type rxe over dummy0") &&
	       is_errno(rdma_open(&rdma, RXE), 0, "open it") &&
	       is_errno(rdma_connect(&rdma), 0, "a queue pair connected with itself");
}

/* The kernel's own answer: rdma-core asks it only if its part for the device does. */
static int register_with(uint32_t pd, int fd, uint64_t offset, uint64_t length)
{
	struct {
		struct ib_uverbs_ioctl_hdr h;
		struct ib_uverbs_attr a[9];
	} m = { .h = {
		.length = sizeof(m), .object_id = UVERBS_OBJECT_MR,
		.method_id = UVERBS_METHOD_REG_DMABUF_MR, .num_attrs = 9,
		.driver_id = RDMA_DRIVER_RXE,
	} };
	uint32_t lkey, rkey;
	const struct ib_uverbs_attr a[9] = {
		{ UVERBS_ATTR_REG_DMABUF_MR_HANDLE, .data = 0 },
		{ UVERBS_ATTR_REG_DMABUF_MR_PD_HANDLE, .data = pd },
		{ UVERBS_ATTR_REG_DMABUF_MR_OFFSET, 8, .data = offset },
		{ UVERBS_ATTR_REG_DMABUF_MR_LENGTH, 8, .data = length },
		{ UVERBS_ATTR_REG_DMABUF_MR_IOVA, 8, .data = offset },
		{ UVERBS_ATTR_REG_DMABUF_MR_FD, 4, .data = (uint32_t)fd },
		{ UVERBS_ATTR_REG_DMABUF_MR_ACCESS_FLAGS, 4, .data = ACCESS },
		{ UVERBS_ATTR_REG_DMABUF_MR_RESP_LKEY, 4, .data = (uintptr_t)&lkey },
		{ UVERBS_ATTR_REG_DMABUF_MR_RESP_RKEY, 4, .data = (uintptr_t)&rkey },
	};

	for (unsigned int i = 0; i < 9; i++) {
		m.a[i] = a[i];
		m.a[i].flags = UVERBS_ATTR_F_MANDATORY;
	}
	return ioctl(rdma.device->cmd_fd, RDMA_VERBS_IOCTL, &m) ? -errno : 0;
}

static int register_raw(int fd, uint64_t offset, uint64_t length)
{
	return register_with(rdma.pd->handle, fd, offset, length);
}

/* Through rdma-core, which is what programs do. */
static int register_dmabuf(int fd)
{
	struct ibv_mr *mr = ibv_reg_dmabuf_mr(rdma.pd, 0, LENGTH, 0, fd, ACCESS);

	if (!mr)
		return -errno;
	ibv_dereg_mr(mr);
	return 0;
}

/* Memory whose pages are looked for only when they are accessed: what comes of a write. */
static int write_on_demand(void *p)
{
	int ret;

	rdma.target = ibv_reg_mr(rdma.pd, p, LENGTH, ON_DEMAND);
	if (!rdma.target)
		return -errno;
	ret = rdma_move(&rdma, IBV_WR_RDMA_WRITE, (uintptr_t)p);
	ibv_dereg_mr(rdma.target);
	return ret;
}

static int register_memory(void *p, int access)
{
	struct ibv_mr *mr = ibv_reg_mr(rdma.pd, p, LENGTH, access);

	if (!mr)
		return -errno;
	ibv_dereg_mr(mr);
	return 0;
}

/* ---- Buffers ---------------------------------------------------------- */

/* No two pages of it together. */
static int lend(void)
{
	struct vfio_region_dma_range ranges[LENGTH / PAGE];

	for (unsigned int i = 0; i < LENGTH / PAGE; i++)
		ranges[i] = (struct vfio_region_dma_range){ AT + 2 * PAGE * (i ^ 5), PAGE };
	return buf_export(&mem, BAR, ranges, LENGTH / PAGE);
}

static int udmabuf(void)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC, .size = LENGTH };
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), fd;

	fd = memfd_create("control", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (device < 0 || fd < 0 || ftruncate(fd, LENGTH) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK))
		return -1;
	create.memfd = (uint32_t)fd;
	fd = ioctl(device, UDMABUF_CREATE, &create);
	close((int)create.memfd);
	close(device);
	return fd;
}

/* Refused, and nobody has anything of it. */
static void refused(int fd, const char *what)
{
	is_errno(register_dmabuf(fd), EOPNOTSUPP, "%s: ibv_reg_dmabuf_mr()", what);
	is_errno(register_raw(fd, 0, LENGTH), EOPNOTSUPP, "%s: the kernel", what);
	is_errno(register_raw(fd, PAGE, PAGE), EOPNOTSUPP, "%s: one page of it", what);
}

static void untouched(int fd, const char *when)
{
	struct barter_info info;

	is_errno(buf_info(fd, &info), 0, "%s: info", when);
	is(info.out_attachments, 0, "%s: nobody is attached", when);
	is(info.out_maps, 0, "%s: no map for DMA", when);
}

/* ---- Cases ------------------------------------------------------------ */

/* So it is not that RDMA does not work here. */
static void memory_of_ours_goes_there_and_back(void)
{
	need(!rdma_register(&rdma, -1, LENGTH), "register memory");
	fill(local, 1, 0, LENGTH);
	is(rdma_move(&rdma, IBV_WR_RDMA_WRITE, 0), IBV_WC_SUCCESS, "RDMA write");
	is(differs(own, 1, 0, LENGTH), -1, "every byte is there");
	fill(own, 2, 0, LENGTH);
	is(rdma_move(&rdma, IBV_WR_RDMA_READ, 0), IBV_WC_SUCCESS, "RDMA read");
	is(differs(local, 2, 0, LENGTH), -1, "every byte came back");
	is(ibv_dereg_mr(rdma.target), 0, "deregister it");
}

static void dma_bufs_are_refused(void)
{
	int fd = lend(), one = buf_export1(&mem, BAR, AT, MIB), control = udmabuf();
	int none = open("/dev/null", O_RDWR | O_CLOEXEC);

	need(fd >= 0 && one >= 0, "buffers");
	/* It reads the request, and looks for what is named in it. */
	is_errno(register_with(4711, fd, 0, LENGTH), ENOENT, "no such protection domain");
	refused(fd, "scattered");
	refused(one, "in one piece");
	untouched(fd, "scattered");
	untouched(one, "in one piece");
	ok(control >= 0, "a udmabuf, for comparison");
	refused(control, "udmabuf");
	/* So nothing was looked at. */
	refused(none, "no dma-buf at all");
	close(none);
	close(control);
	close(one);
	close(fd);
}

/* The other way to a buffer's memory would be behind its back. */
static void mappings_are_no_memory(void)
{
	/* rxe pages on demand since 6.16. */
	bool demand = !kernel_before(6, 16);
	int fd = lend();
	struct barter_info info;
	void *p = fd < 0 ? NULL : buf_map(fd, 0, LENGTH, PROT_READ | PROT_WRITE);
	int status;

	need(p, "a mapping of a buffer");
	is_errno(register_memory(own, ACCESS), 0, "memory of ours");
	is_errno(register_memory(p, ACCESS), EFAULT, "the buffer's mapping");
	is_errno(register_memory((void *)bar, ACCESS), EFAULT, "the BAR's own mapping");
	if (demand) {
		is(write_on_demand(own), IBV_WC_SUCCESS, "memory of ours, paged on demand");
		fill(bar + AT, 3, 0, PAGE);
		status = write_on_demand(p);
		/* The queue pair is its own peer, which stops before its answer is seen. */
		ok(status == IBV_WC_REM_ACCESS_ERR || status == IBV_WC_WR_FLUSH_ERR,
		   "the mapping, paged on demand: %s",
		   ibv_wc_status_str((enum ibv_wc_status)status));
		is(differs(bar + AT, 3, 0, PAGE), -1, "nothing was written");
	} else {
		is_errno(register_memory(own, ON_DEMAND), EOPNOTSUPP,
			 "memory of ours, paged on demand");
		is_errno(register_memory(p, ON_DEMAND), EOPNOTSUPP,
			 "the mapping, paged on demand");
	}
	untouched(fd, "then");
	buf_info(fd, &info);
	is(info.out_faults_pte + info.out_faults_pmd + info.out_faults_pud, 0,
	   "no page of it was ever looked for");
	munmap(p, LENGTH);
	close(fd);
}

static void it_can_be_taken_back_as_ever(void)
{
	int fd = lend();
	void *p = fd < 0 ? NULL : buf_map(fd, 0, LENGTH, PROT_READ | PROT_WRITE);
	uint32_t word;

	need(p, "a buffer");
	refused(fd, "lent");
	is(poke(p, 4711), 0, "it can be written");
	is_errno(dev_set_memory(&mem, false), 0, "memory off");
	is(buf_state(fd), BARTER_STATE_REVOKED, "revoked");
	is(peek(p, &word), SIGBUS, "an access");
	refused(fd, "revoked");
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	is(buf_state(fd), BARTER_STATE_OK, "lent again");
	ok(!peek(p, &word) && word == 4711, "and what was written is there");
	is_errno(dev_reset(&mem), 0, "VFIO_DEVICE_RESET");
	is(buf_state(fd), BARTER_STATE_OK, "lent again");
	untouched(fd, "after all that");
	is_errno(buf_end(&mem, fd), 0, "its end");
	is(buf_state(fd), BARTER_STATE_DEAD, "dead");
	refused(fd, "dead");
	munmap(p, LENGTH);
	close(fd);
}

/* A region that is left keeps its protection domain; the module, its device. */
static void nothing_is_left(void)
{
	bool gone;

	is(ibv_dereg_mr(rdma.local), 0, "the example's memory");
	is(ibv_destroy_qp(rdma.qp), 0, "its queue pair");
	is(ibv_destroy_cq(rdma.cq), 0, "its completion queue");
	is(ibv_dealloc_pd(rdma.pd), 0, "no region is left in the protection domain");
	is(ibv_close_device(rdma.device), 0, "close");
	is(system("rmmod rdma_rxe"), 0, "rxe can be unloaded");
	ok(access("/sys/class/infiniband/" RXE, F_OK), "its device has gone");
	WAIT_FOR(gone, buf_count(mem.bdf) == 0, 5000);
	ok(gone, "debugfs lists no buffer");
}

int main(void)
{
	fixture_open();
	buf_count(mem.bdf);
	if (!set_up())
		tap_bail("no RDMA by rxe");
	CASE(memory_of_ours_goes_there_and_back);
	CASE(dma_bufs_are_refused);
	CASE(mappings_are_no_memory);
	CASE(it_can_be_taken_back_as_ever);
	CASE(nothing_is_left);
	return tap_done();
}
