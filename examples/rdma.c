// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * rdma DEVICE [FD]: RDMA into another device's memory and out of it, not through RAM.
 *
 * DEVICE is an RDMA device (ibv_devices lists them), FD a dma-buf:
 *
 *	barter export 01:00.0 2 0+64K 1M+64K -- sh -c 'rdma mlx5_0 $BARTER_FD'
 *
 * Without FD memory of the process stands for it. A queue pair connected with itself writes
 * a pattern and reads it back. A driver that takes no dma-bufs, as rxe: EOPNOTSUPP.
 */
#include <barter.h>
#include <infiniband/verbs.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PORT	1
#define MOST	(1u << 20)	/* bytes that are moved */

struct rdma {
	struct ibv_context *device;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct ibv_mr *local, *target;
};

static uint8_t local[MOST], own[MOST] __attribute__((aligned(4096)));

static int rdma_open(struct rdma *r, const char *name)
{
	struct ibv_qp_init_attr init = {
		.cap = { 1, 1, 1, 1, 0 }, .qp_type = IBV_QPT_RC,
	};
	struct ibv_device **list = ibv_get_device_list(NULL);

	*r = (struct rdma) { NULL };
	for (int i = 0; list && list[i]; i++) {
		if (!strcmp(ibv_get_device_name(list[i]), name))
			r->device = ibv_open_device(list[i]);
	}
	if (list)
		ibv_free_device_list(list);
	if (!r->device)
		return -ENODEV;
	r->pd = ibv_alloc_pd(r->device);
	r->cq = init.send_cq = init.recv_cq = ibv_create_cq(r->device, 1, NULL, NULL, 0);
	if (r->pd && r->cq)
		r->qp = ibv_create_qp(r->pd, &init);
	if (r->qp)
		r->local = ibv_reg_mr(r->pd, local, MOST, IBV_ACCESS_LOCAL_WRITE);
	return r->local ? 0 : -errno;
}

/* With itself, by the last of the port's addresses: that of IPv4, if it has one. */
static int rdma_connect(struct rdma *r)
{
	struct ibv_gid_entry gid = { .gid_index = 0 }, next;
	struct ibv_port_attr port;
	struct ibv_qp_attr a = {
		.qp_state = IBV_QPS_INIT, .port_num = PORT,
		.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ,
		.path_mtu = IBV_MTU_1024, .dest_qp_num = r->qp->qp_num,
		.max_rd_atomic = 1, .max_dest_rd_atomic = 1, .min_rnr_timer = 12,
		.timeout = 14, .retry_cnt = 7, .rnr_retry = 7,
	};
	int ret = ibv_query_port(r->device, PORT, &port);

	for (uint32_t i = 0; !ret && i < (uint32_t)port.gid_tbl_len; i++) {
		if (!ibv_query_gid_ex(r->device, PORT, i, &next, 0))
			gid = next;
	}
	a.ah_attr = (struct ibv_ah_attr) {
		.port_num = PORT, .dlid = ret ? 0 : port.lid, .is_global = 1,
		.grh = { gid.gid, .sgid_index = (uint8_t)gid.gid_index, .hop_limit = 1 },
	};
	ret = ret ?: ibv_modify_qp(r->qp, &a, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
				   IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
	a.qp_state = IBV_QPS_RTR;
	ret = ret ?: ibv_modify_qp(r->qp, &a, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
				   IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
				   IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
	a.qp_state = IBV_QPS_RTS;
	ret = ret ?: ibv_modify_qp(r->qp, &a, IBV_QP_STATE | IBV_QP_TIMEOUT |
				   IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
				   IBV_QP_MAX_QP_RD_ATOMIC);
	return -ret;
}

/* What RDMA reaches, from address 0 on: a dma-buf, or memory of ours if @fd is -1. */
static int rdma_register(struct rdma *r, int fd, uint64_t length)
{
	int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;

	r->target = fd < 0 ? ibv_reg_mr_iova(r->pd, own, length, 0, access) :
		    ibv_reg_dmabuf_mr(r->pd, 0, length, 0, fd, access);
	return r->target ? 0 : -errno;
}

/* Write into the target, or read it, all of it, which begins @at: IBV_WC_*, or -errno. */
static int rdma_move(struct rdma *r, enum ibv_wr_opcode opcode, uint64_t at)
{
	uint32_t length = (uint32_t)r->target->length;
	struct ibv_sge piece = { (uintptr_t)local, length, r->local->lkey };
	struct ibv_send_wr *bad, what = {
		.sg_list = &piece, .num_sge = 1, .send_flags = IBV_SEND_SIGNALED,
		.opcode = opcode, .wr.rdma = { at, r->target->rkey },
	};
	struct ibv_wc done;
	int n, ret = ibv_post_send(r->qp, &what, &bad);

	while (!ret && (n = ibv_poll_cq(r->cq, 1, &done)) <= 0)
		ret = n < 0 ? EIO : 0;
	return ret ? -ret : (int)done.status;
}

int main(int argc, char **argv)
{
	int fd = argc == 3 ? atoi(argv[2]) : -1, ret = 0;
	uint64_t length = MOST;
	void *seen = own;
	struct rdma r;

	if (argc < 2 || argc > 3)
		return fprintf(stderr, "usage: rdma DEVICE [FD]\n"), 2;
	if (fd >= 0)
		ret = barter_buffer_length(fd, &length) ?:
		      barter_buffer_map(fd, 0, length, PROT_READ, &seen);
	length = length < MOST ? length : MOST;
	ret = ret ?: rdma_open(&r, argv[1]) ?: rdma_connect(&r) ?:
	      rdma_register(&r, fd, length);
	if (ret) {
		fprintf(stderr, "rdma: %s: %s\n", argv[1], strerror(-ret));
		return 1;
	}
	for (uint64_t i = 0; i < length; i++)
		local[i] = (uint8_t)(i * 7 + (i >> 8));
	ret = rdma_move(&r, IBV_WR_RDMA_WRITE, 0) ?: memcmp(seen, local, length);
	memset(local, 0, length);
	ret = ret ?: rdma_move(&r, IBV_WR_RDMA_READ, 0) ?: memcmp(seen, local, length);
	printf("%zu bytes there and back: %s\n", r.target->length, ret ? "failed" : "done");
	return !!ret;
}
