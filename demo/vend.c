// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The demo's steps with a broker: two clients borrow slices of one BAR, one hangs, the
 * broker takes its slice back, and the other never notices.
 */
#include "stage.h"
#include "guard.h"
#include "program.h"
#include "report.h"

#include <barter-vend.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FOLDER "/tmp/vend"
#define SOCKET FOLDER "/socket"
#define POLICY FOLDER "/policy"
#define NOBODY 65534
#define SLICE (1 << 20)

/* What a client does, in memory that it shares with the demo. */
struct client {
	pid_t process;
	volatile int ready;		/* it has its slice, or -errno */
	volatile int wake;		/* it is to look at its memory again */
	volatile int looked;		/* 1: it saw it, 2: SIGBUS */
	volatile int stop;
	volatile uint64_t lease;
	volatile uint64_t rounds, errors;
	volatile uint64_t generation;	/* of its buffer, in the end */
	volatile uint64_t faults, first_faults;
};

static struct client *clients;

static void pause_ms(long ms)
{
	const struct timespec pause = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000,
	};

	nanosleep(&pause, NULL);
}

/* Until @value is not 0; false after 20 s. */
static int wait_for(const volatile int *value)
{
	int i;

	for (i = 0; !*value && i < 4000; i++)
		pause_ms(5);
	return *value;
}

static void look_at_buffer(struct client *me, int fd)
{
	struct barter_info info = { .size = sizeof(info), .dmabuf_fd = fd };

	if (barter_buffer_info(-1, &info))
		return;
	me->generation = info.out_generation;
	me->faults = info.out_faults_pte + info.out_faults_pmd;
}

/* Fill the slice and compare, over and over. */
static void work(struct client *me, char *memory, int fd)
{
	static uint64_t out[SLICE / 8], in[SLICE / 8];
	size_t i;

	for (; !me->stop; me->rounds++) {
		for (i = 0; i < SLICE / 8; i++)
			out[i] = i ^ me->rounds << 32;
		if (guarded_copy(memory, out, SLICE) ||
		    guarded_copy(in, memory, SLICE) || memcmp(in, out, SLICE))
			me->errors++;
		if (!me->rounds) {
			look_at_buffer(me, fd);
			me->first_faults = me->faults;
		}
	}
	look_at_buffer(me, fd);
}

static void hang(struct client *me, const char *memory)
{
	char byte;

	while (!me->wake)
		pause_ms(5);
	me->looked = guarded_copy(&byte, memory, 1) ? 2 : 1;
}

static void client_main(struct client *me, const char *name, int hangs)
{
	struct barter_vend_lease lease;
	struct barter_broker *broker;
	void *memory;
	int fd, ret;

	ret = barter_broker_open(SOCKET, &broker);
	if (!ret)
		ret = barter_broker_borrow(broker, name, 0, &lease, &fd);
	if (!ret)
		ret = barter_buffer_map(fd, 0, 0, PROT_READ | PROT_WRITE,
					&memory);
	if (ret) {
		me->ready = ret;
		_exit(1);
	}
	guarded_copy(memory, name, strlen(name));
	me->lease = lease.lease;
	me->ready = 1;
	if (hangs)
		hang(me, memory);
	else
		work(me, memory, fd);
	_exit(0);
}

static void client_start(struct client *client, const char *name, int hangs)
{
	fflush(NULL);
	client->process = fork();
	if (client->process)
		return;
	client_main(client, name, hangs);
}

/* The policy, and the node of the device's group for the broker's user. */
static int make_policy(const struct stage *stage)
{
	const struct barter_pci *pci = NULL;
	struct barter_topology *topology;
	struct barter_bdf bdf;
	char node[80];
	FILE *to;

	if (barter_bdf_parse(stage->bdf, &bdf) ||
	    barter_topology_read(&topology))
		return -1;
	pci = barter_topology_find(topology, &bdf);
	snprintf(node, sizeof(node), "/dev/%s",
		 pci && barter_pci_vfio_node(pci) ? barter_pci_vfio_node(pci) :
		 "");
	barter_topology_free(topology);
	mkdir(FOLDER, 0755);
	to = fopen(POLICY, "we");
	if (!to || chown(node, NOBODY, NOBODY) || chown(FOLDER, NOBODY, NOBODY))
		return -1;
	fprintf(to, "[left]\ndevice = %s\nbar = 2\nranges = 1M+512K 3M+512K\n"
		"allow = any\naccess = read-write\n"
		"[right]\ndevice = %s\nbar = 2\nranges = 2M+1M\n"
		"allow = any\naccess = read-write\n", stage->bdf, stage->bdf);
	return fclose(to);
}

static pid_t broker_start(void)
{
	struct barter_broker *broker;
	pid_t process;
	int i;

	fflush(NULL);
	process = fork();
	if (!process) {
		if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
			_exit(126);
		execlp("barter", "barter", "vend", "--policy", POLICY,
		       "--socket", SOCKET, (char *)NULL);
		_exit(127);
	}
	for (i = 0; i < 4000; i++) {
		if (!barter_broker_open(SOCKET, &broker)) {
			barter_broker_close(broker);
			return process;
		}
		pause_ms(5);
	}
	return -1;
}

static void show_status(void)
{
	char *status[] = { "barter", "vend", "--status", "--socket", SOCKET,
			   NULL };
	int ret = run_program(status);

	check(!ret, "exit status 0", "barter vend --status: exit status %d",
	      ret);
}

void vend_slices(struct stage *stage)
{
	int first, second;
	pid_t broker;

	clients = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	step("be a broker, as user nobody: lend two slices of BAR 2 to two programs");
	if (clients == MAP_FAILED || make_policy(stage))
		give_up("the policy cannot be written");
	broker = broker_start();
	if (broker < 0)
		give_up("barter vend cannot be started");
	stage->broker = broker;
	client_start(&clients[0], "left", 1);
	client_start(&clients[1], "right", 0);
	first = wait_for(&clients[0].ready);
	second = wait_for(&clients[1].ready);
	check(first == 1, "it is lent",
	      "the first borrows \"left\", 2 pieces: lease %llu",
	      (unsigned long long)clients[0].lease);
	check(second == 1, "it is lent",
	      "the second borrows \"right\", what lies between them: lease %llu",
	      (unsigned long long)clients[1].lease);
	show_status();
}

static void end_client(struct client *client)
{
	int status;

	client->stop = 1;
	client->wake = 1;
	waitpid(client->process, &status, 0);
}

/* Can it be lent again, now that the first has lost it? */
static int lend_again(void)
{
	struct barter_vend_lease lease;
	struct barter_broker *broker;
	int fd, ret = barter_broker_open(SOCKET, &broker);

	if (ret)
		return ret;
	ret = barter_broker_borrow(broker, "left", 0, &lease, &fd);
	if (!ret)
		close(fd);
	barter_broker_close(broker);
	return ret;
}

void take_slice_back(struct stage *stage)
{
	char number[24], *take[] = { "barter", "vend", "--take-back", number,
				     "--socket", SOCKET, NULL };
	uint64_t rounds;
	int status, ret, i;

	step("the first program hangs: the broker takes its slice back");
	for (i = 0; clients[1].rounds < 3 && i < 2000; i++)
		pause_ms(5);
	snprintf(number, sizeof(number), "%llu",
		 (unsigned long long)clients[0].lease);
	rounds = clients[1].rounds;
	status = run_program(take);
	check(!status, "exit status 0", "barter vend --take-back %s: exit status %d",
	      number, status);
	clients[0].wake = 1;
	wait_for(&clients[0].looked);
	check(clients[0].looked == 2, "SIGBUS",
	      "the first looks at its memory again: %s",
	      clients[0].looked == 2 ? "SIGBUS" : "it is still there");
	ret = lend_again();
	check(!ret, "0", "\"left\" is lent to somebody else: %s",
	      ret ? strerror(-ret) : "done");
	for (i = 0; clients[1].rounds < rounds + 3 && i < 2000; i++)
		pause_ms(5);
	end_client(&clients[0]);
	end_client(&clients[1]);
	check(clients[1].rounds >= rounds + 3 && !clients[1].errors,
	      "it goes on, without an error",
	      "the second meanwhile: wrote and read its slice %llu times, errors: %llu",
	      (unsigned long long)clients[1].rounds,
	      (unsigned long long)clients[1].errors);
	check(!clients[1].generation &&
	      clients[1].faults == clients[1].first_faults, "none",
	      "its buffer was revoked %llu times, page faults after the first round: %llu",
	      (unsigned long long)clients[1].generation,
	      (unsigned long long)(clients[1].faults - clients[1].first_faults));
	kill(stage->broker, SIGTERM);
	waitpid(stage->broker, &status, 0);
	check(WIFEXITED(status) && !WEXITSTATUS(status), "exit status 0",
	      "SIGTERM: the broker ends with status %d", status);
}
