/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * The fuzzer of barter's user interface: what its files know of each other.
 *
 *	main.c		options, threads, the janitor, the verdict
 *	replay.c	programs that have found something, run again
 *	prog.c		programs: made, changed, kept, written and read as text
 *	world.c		what all threads work on: fds, mappings, devices
 *	container.c	containers, which VFIO does not keep while they are in use
 *	calls_*.c	what a program is made of
 *	kcov.c		which code of the kernel a program reached
 *
 * A program is a short list of calls. An argument is a number, and what it
 * stands for (the third buffer fd, a pointer into a page that ends too early) is
 * found out when the call is made: so every list of calls is a program, however
 * it came about.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/types.h>

#include "../device/lib/access.h"

#define MAX_ARGS	8
#define MAX_CALLS	12
#define MAX_THREADS	16
#define MAX_TYPES	128
#define NR_DEVS		3
#define MAX_MS		40	/* of what is made to wait */
#define MAX_FD		1024	/* the limit of a process */
#define STUCK_MS	500	/* how long an importer may hold on to memory */

#define REGION(index)	((uint64_t)(index) << 40)
#define CONFIG		REGION(VFIO_PCI_CONFIG_REGION_INDEX)

/* Of a system call, as a call's result. */
#define RESULT(x)                     \
	({                            \
		long r_ = (x);        \
		r_ < 0 ? -errno : r_; \
	})

/* ---- random numbers ---- */

struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)((rng_next(r) >> 32) * n >> 32);
}

static inline bool rng_percent(struct rng *r, uint32_t percent)
{
	return rng_below(r, 100) < percent;
}

/* ---- programs ---- */

/* Kinds of arguments: how their numbers are made (prog.c). */
enum arg_kind {
	A_NONE,
	A_DEV,
	A_GROUP,
	A_CONTAINER,
	A_BUF,
	A_BARTER,
	A_EDU,
	A_TEST,
	A_SYNC,
	A_PF,
	A_VEDU,
	A_SPACE,
	A_LENDER,
	A_NATIVE,
	A_IOMMUFD,
	A_OTHER,
	A_ANYFD, /* in the order of enum fd_kind */
	A_PTR,	 /* how user memory is wrong: place() */
	A_SIZE,	 /* how a structure's size is wrong: size_of() */
	A_BAR,
	A_OFFSET,
	A_LENGTH,
	A_NR,
	A_SEED,
	A_VALUE,
	A_FLAGS,
	A_SMALL,
	A_OPEN,
	A_FEATURE,
	A_OP,
	A_CONFIG,
	A_CMD,
	A_PROT,
	A_MAP,
	A_SLOT,
	A_ADVICE,
	A_WHICH,
	A_BDF,
	A_MS,
	A_SIDE,
	A_IOVA,
	A_REGISTER,
	A_ID,
	/*
	 * No argument, the last: a call that is not for a child that is killed. It waits
	 * for a device_lock, which no signal ends: with copies of the device's files a
	 * child would wait for an unbind that waits for it. Or what it has begun it has
	 * to end.
	 */
	A_ALONE,
	NR_ARG_KINDS
};

struct call {
	uint32_t nr;
	uint64_t arg[MAX_ARGS];
};

struct prog {
	uint32_t n;
	struct call call[MAX_CALLS];
};

struct thread;

struct call_type {
	const char *name;
	long (*fn)(struct thread *t, const uint64_t *a);
	uint32_t weight;
	uint8_t arg[MAX_ARGS];		/* enum arg_kind */
};

/* One table for each file of calls; a call's number counts through all. */
extern const struct call_type vfio_calls[], buf_calls[], memory_calls[], pf_calls[], guest_calls[],
	vedu_calls[], typed_calls[], native_calls[], cdev_calls[], iommufd_calls[];
extern const unsigned int nr_vfio_calls, nr_buf_calls, nr_memory_calls, nr_pf_calls, nr_guest_calls,
	nr_vedu_calls, nr_typed_calls, nr_native_calls, nr_cdev_calls, nr_iommufd_calls;

#define NR_GROUPS 10

/* The calls of one table, and which of them shows that the others can mean something. */
struct call_group {
	const char *name;
	const struct call_type *calls;
	const unsigned int *nr;
	const char *main;
	/* Sets it up: what it lacks here, NULL if nothing. NULL: is everywhere. */
	const char *(*init)(void);
};

extern const struct call_group groups[NR_GROUPS];

/* Before any program is made: what there is on this machine; the others are not drawn. */
void prog_init(void);
/* As if all were there: for programs that nobody runs. */
void prog_init_all(void);
const struct call_group *call_group(uint32_t nr);
bool group_there(const struct call_group *g);
/* The n-th call of a program that has the main calls of all groups that are there succeed. */
bool prog_warm_up(uint32_t n, struct call *c);
const struct call_type *call_type(uint32_t nr);
uint32_t nr_call_types(void);
void prog_random(struct rng *r, struct prog *p);
void prog_mutate(struct rng *r, struct prog *p, const struct prog *other);
#define PROG_TEXT 4096
/* Text, a call a line, ends with an empty line; returns its length. */
size_t prog_print(const struct prog *p, char *text, size_t size);
/* False at the end of the file; bails out on what it does not know. */
bool prog_read(FILE *f, struct prog *p);

/* Programs that reached code that none had reached before them. */
void corpus_add(const struct prog *p, bool ours, int64_t us);
uint32_t corpus_size(void);
/*
 * A program of the corpus, mostly of those that reached barter, and rather one that
 * did not take long; or NULL.
 */
const struct prog *corpus_pick(struct rng *r);
const struct prog *corpus_get(uint32_t i);

/* ---- the world ---- */

enum fd_kind {
	K_DEV,
	K_GROUP,
	K_CONTAINER,
	K_BUF,
	K_BARTER,
	K_EDU,
	K_TEST,
	K_SYNC,
	K_PF, /* of the sample PF */
	K_VEDU,
	K_SPACE,   /* of vEDUs; containers and iommufds of theirs */
	K_LENDER,  /* exporters of the test module */
	K_NATIVE,  /* the kernel's own buffers */
	K_IOMMUFD, /* with an IOAS, mostly */
	K_OTHER,
	NR_KINDS
};

#define NR_FDS		16		/* of each kind */
#define NR_SLOTS	32		/* for mappings */
#define LATEST		0xffu		/* for a number: what this thread made last */
#define DEV_SLOTS	16		/* the first of them: of device fds */
#define SLOT_SIZE	(64 * MIB)

struct device {
	char bdf[16];
};

extern struct device devs[NR_DEVS];
extern unsigned int nr_devs;
extern const char *edu_name;		/* BDF, NULL if the machine has none */

void world_init(void);
/* Close every fd, unmap everything. */
void world_empty(void);
/* At the very end: no process of ours is left. */
void world_end(void);
/* In a child: it has fds of its own, but none of the importers that may hold on. */
void world_in_child(void);
/* For the main thread: takes devices from whoever keeps them from being unbound. */
void world_janitor(void);

int fd_get(uint64_t arg);
/* For calls that attach nobody: also native buffers, of which fd_get() has none. */
int buf_get(uint64_t arg);
/* Hand a new fd over to everybody. Returns it, or -errno for one below 0. */
long fd_put(enum fd_kind kind, int fd);
/* The same for a buffer of feature 11, whoever has made it. */
long buf_put(int fd);
/*
 * A number of the caller's own, to be closed: for calls that attach. It stays the file that it
 * is, which is no native buffer, as one that fd_get() has given may be by now.
 */
int buf_own(uint64_t arg);
/*
 * Where numbers of native buffers begin, above all others: one that was closed while a call
 * was on its way does not become theirs.
 */
#define NATIVE_FD 900

long fd_close(uint64_t arg);
long fd_dup(uint64_t arg);
bool fd_none(enum fd_kind kind);

unsigned int slot_number(uint64_t slot);
void *slot_address(uint64_t slot);
/* Remember where this thread has mapped last. */
void slot_used(unsigned int slot);
/*
 * Is it too early for another one of what takes devices away from everybody for
 * long? @last is that call's own.
 */
bool too_early(int64_t *last, int64_t ms);
/* Memory on, power on: so that not everything fails for as long as nobody does that. */
void world_awake(uint64_t which);
/* Open a device by its group; takes part in everybody's container. */
/*
 * May a group have it as its container? Not an iommufd: a device that was opened with one
 * through its group, and once more when the group has another, makes VFIO warn when the
 * last is closed (7.3; its own vfio-pci and mdev drivers too).
 */
bool may_be_container(int fd);
long dev_open_any(unsigned int which);
long dev_open_cdev(unsigned int which);
/* Take the device from its driver and give it back. */
long dev_rebind(unsigned int which, bool unplug);
/* @fn waits until nobody has a vEDU open: so nobody has meanwhile. -EBUSY: another does. */
long vedu_drained(long (*fn)(uint64_t arg), uint64_t arg);
bool is_draining(void);
/* The machine's device of that name; NULL if it has none. */
const char *device_named(const char *name);
/* Detach importers of the test module that have held on for long enough. */
void typed_let_go(void);
/* What no fd keeps: the picture, importers that are attached, vEDUs. */
void picture_end(void);
void typed_end(void);
void vedu_end(void);
/* Group init: see struct call_group. */
const char *pf_init(void);
const char *guest_init(void);
const char *vedu_init(void);
const char *typed_init(void);
const char *native_init(void);
const char *cdev_init(void);
const char *iommufd_init(void);
/* Feature 11 gives barter's buffers again. */
void feature11_barter(void);
/* VFIO_DEVICE_SET_IRQS, on any device's fd: anyhow, and as it should be. */
long set_irqs(struct thread *t, const uint64_t *a);
long set_irq_well(struct thread *t, const uint64_t *a);
/* What every guest of a vEDU has, and where. */
#define GUEST_IOVA   MIB
#define GUEST_MEMORY (2 * MIB)
#define PATIENT	     30000 /* ms: where a command has to come to its end */
extern volatile bool is_patient;
/* Memory and bus mastering on, the ring runs. */
long vedu_start(int fd);
/* All of a guest's memory may be written. */
void guest_writable(void);
/* Make one, if it is not there, and open it, if nobody has. */
void vedu_open_any(unsigned int which);
/* Times that restored() ran on after the detach: one more, and how many. */
void typed_was_late(void);
unsigned int typed_late(void);

/* ---- containers ---- */

void container_init(void);
/* For a child: no other thread is there any more. */
void container_in_child(void);
/* Any other file, too. -1 and errno. */
int container_open(const char *path);
/* That device, which was opened in that container, keeps it: until either number is closed. */
void container_keep(int container, int device);
/* A number from @from on for the same file: F_DUPFD_CLOEXEC, of any file. -1 and errno. */
int container_dup(int fd, int from);
/* close(), for whatever may be a container or a device. */
void any_close(int fd);
/*
 * ioctl(), but EBUSY for the IOMMU driver of a container that no open device is known to keep,
 * or if somebody else unmaps there. Every call's, as a container may be where another fd
 * belongs.
 */
int any_ioctl(int fd, unsigned long cmd, ...);
#define ioctl any_ioctl

/* ---- threads ---- */

#define AREA_PAGES	8

struct call_counts {
	uint32_t done, failed;
	uint64_t us;
};

struct kcov {
	int fd;
	volatile uint64_t *trace;	/* NULL: this kernel has no KCOV */
};

struct thread {
	unsigned int id;
	pthread_t thread;
	pid_t tid;
	struct rng rng;
	uint8_t *area;		/* AREA_PAGES pages; the next one is a hole */
	uint8_t *read_only;	/* the same pages, not to be written */
	struct kcov kcov;
	struct prog prog;	/* runs at present */
	size_t used;		/* of @area, by the present call */
	unsigned int kill_ms;	/* the next call is made by a child, and killed */
	int kept;		/* a buffer, and its first page, of this thread alone */
	volatile void *kept_page;	/* NULL: none */
	unsigned int looks[2];	/* at that page while it was revoked, and dead */
	unsigned int seen_revoked;	/* times that page was read though it is revoked */
	uint64_t programs, calls;
	struct call_counts of[MAX_TYPES]; /* by number of the call */
	const char *volatile doing;
	volatile int64_t since;	/* ms */
	bool done;
};

/*
 * A copy of @n bytes in user memory, good or bad in the way that @how (A_PTR)
 * says: the address for the kernel.
 */
void *place(struct thread *t, uint64_t how, const void *data, size_t n);
/* What a structure of @exact bytes says that its size is (A_SIZE). */
uint64_t size_of(uint64_t how, size_t exact);
long run_call(struct thread *t, const struct call *c);
/* One page of a buffer, which this thread alone has a mapping of; of the latest one. */
void keep_latest(struct thread *t);
void drop_kept(struct thread *t);
/* Read it: a buffer that is revoked all the while must not let it be read. */
long look(struct thread *t);

/* ---- a run (main.c) ---- */

extern uint64_t seed;
extern int seconds;
extern unsigned int nr_threads;
extern bool with_feedback, with_log;
extern struct prog *replay; /* NULL: programs are made */
extern uint32_t nr_replay;
extern struct thread threads[MAX_THREADS];

/* User memory for calls, if it has none yet. */
void make_area(struct thread *t);
/* The next program of a thread. */
void choose(struct thread *t, struct prog *p);
void log_program(struct thread *t);
/* The programs of a file to replay. */
void read_replay(const char *path);
/* @nr_threads for @seconds; bails out if one does not come back. */
void run_threads(void);

/* ---- replay (replay.c) ---- */

/* A thread is about to run a program. */
void note_program(const struct thread *t);
/* All its cases. */
void replay_suite(void);

/* ---- coverage ---- */

/* Whether this kernel has KCOV. To be called before threads use it. */
bool kcov_init(void);
void kcov_thread(struct kcov *k);
void kcov_begin(struct kcov *k);
/* Take down where the thread has been; how many places were new. */
unsigned int kcov_end(struct kcov *k, unsigned int *ours);
uint32_t kcov_places(void);
/* Places in the module, as /proc/modules names it; NULL for all of barter's. */
uint32_t kcov_places_in(const char *module);
/* All places in barter's modules as "module+0xoffset", a line each. */
void kcov_dump(FILE *f);

#endif
