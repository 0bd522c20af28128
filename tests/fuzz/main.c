// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Calls without sense, by several threads at once, for a while. Nothing is
 * expected of any single call but "look": the kernel judges, which must not complain,
 * and at the end every thread must come back and the device must work as ever.
 *
 * With KCOV a program that reached new code is kept and changed further.
 *
 *	fuzz [OPTION]...
 *	--seed N	where all random numbers come from (default: the time)
 *	--time S	seconds (default $BARTER_SECONDS or 60); 0 with --replay: once
 *	--threads T	default 8: most wait at any time
 *	--replay FILE	run the programs of FILE, over and over, and no others
 *	--print N	run nothing: write N programs of each thread, as --random makes them or
 *			--replay reads them, on a machine that has everything
 *	--random	no feedback: thread T's programs follow from the seed alone
 *	--log FILE	each program goes there before it runs (default /dev/kmsg, the kernel
 *			log; with --print: nowhere), from where tests/fuzz/cut takes them
 *	--no-log	it does not
 *	--out DIR	leave corpus.fuzz, calls.txt, coverage.txt there (default /out)
 *	--floor N	programs that must have run (default 100, or as many a minute if it is
 *			less)
 *	replay		instead of all that: the suite of replay.c
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <getopt.h>
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../device/lib/edu.h"
#include "../device/lib/fixture.h"
#include "../device/lib/host.h"
#include "../device/lib/vedu.h"
#include "fuzz.h"

#define REPORT_MS	10000
#define MANY		400	/* calls of a kind, of which one in twenty or more succeeds */
#define STUCK_LIMIT_MS	45000	/* the kernel's own limit for a wait is 60 s */

uint64_t seed;
int seconds = 60;
unsigned int nr_threads = 8;
bool with_feedback = true, with_log = true;
struct prog *replay;
uint32_t nr_replay;
struct thread threads[MAX_THREADS];
static unsigned int lowest = 100;
static bool with_kcov, is_suite;
static const char *out = "/out", *log_name;
static long to_print = -1;

static struct call_counts warm[MAX_TYPES]; /* of the warm-up */
static volatile bool stop, warmed;
volatile bool is_patient;	/* nobody is in the way: see PATIENT */
static long pinned;		/* pages, before */
static int scale = 1;		/* this kernel is so many times slower */
static pthread_barrier_t start;

/* ---- a thread ---- */

/* A copy in which what no thread may lose can be lost: see place(). */
void make_area(struct thread *t)
{
	size_t n = AREA_PAGES * PAGE;
	int fd;

	if (t->area)
		return;
	fd = memfd_create("area", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)n))
		tap_bail("memory of a thread");
	/* One page more than there is: a hole that nobody else gets. */
	t->area = mmap(NULL, n + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	if (t->area == MAP_FAILED ||
	    mmap(t->area, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 0) != t->area)
		tap_bail("memory of a thread");
	t->read_only = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
	if (t->read_only == MAP_FAILED)
		tap_bail("memory of a thread");
	close(fd);
}

void choose(struct thread *t, struct prog *p)
{
	const struct prog *old, *other;

	if (replay) {
		*p = replay[(t->programs + t->id) % nr_replay];
		return;
	}
	/* Each program from a number of its own: a thread's n-th is the same. */
	t->rng.state = seed ^ ((uint64_t)t->id << 56) ^
		t->programs * 0xd1342543de82ef95ull;
	old = with_feedback && rng_percent(&t->rng, 60) ?
		corpus_pick(&t->rng) : NULL;
	if (!old) {
		prog_random(&t->rng, p);
		return;
	}
	*p = *old;
	other = corpus_pick(&t->rng);
	prog_mutate(&t->rng, p, other);
}

static int kmsg = -1;

/* Every program has to be there: by itself the kernel takes ten lines in five seconds. */
static void log_begin(const char *path)
{
	if (!strcmp(path, "/dev/kmsg"))
		sysfs_put("on\n", "/proc/sys/kernel/printk_devkmsg");
	kmsg = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (kmsg < 0)
		tap_bail("%s: %s", path, strerror(errno));
}

/*
 * A line for the log: "fuzz THREAD.NUMBER: ", then calls, with a semicolon behind each
 * and one more behind the last. The kernel takes less than 1 KiB at a time: what is
 * longer goes on in lines that have "+ " there. tests/fuzz/cut reads this.
 */
void log_program(struct thread *t)
{
	char text[PROG_TEXT], line[1000];
	size_t at = 0, n = prog_print(&t->prog, text, sizeof(text));
	const char *sign = ":";

	for (size_t i = 0; i < n; i++)
		if (text[i] == '\n')
			text[i] = ';';
	while (at < n) {
		size_t part = n - at;
		int length;

		if (part > 900)
			for (part = 900; part > 1 && text[at + part - 1] != ';';)
				part--;
		length = snprintf(line, sizeof(line), "<6>fuzz %u.%llu%s %.*s\n", t->id,
				  (unsigned long long)t->programs, sign, (int)part, text + at);
		if (write(kmsg, line, (size_t)length) < 0)
			return;
		at += part;
		sign = "+";
	}
}

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ll + ts.tv_nsec / 1000;
}

static void run_one(struct thread *t, const struct call *c)
{
	int64_t began = now_us();
	long ret;

	t->since = began / 1000;
	t->doing = call_type(c->nr)->name;
	ret = run_call(t, c);
	t->doing = NULL;
	t->calls++;
	t->of[c->nr].us += (uint64_t)(now_us() - began);
	if (ret < 0)
		t->of[c->nr].failed++;
	else
		t->of[c->nr].done++;
}

/*
 * Before anybody else runs, so that what has to succeed does: whether a group's calls find
 * what they need is not up to chance.
 */
static void warm_up(struct thread *t)
{
	struct prog *p = &t->prog;
	unsigned int fresh, ours;
	bool more = true;
	int64_t began;

	is_patient = true;
	for (uint32_t next = 0; more;) {
		for (p->n = 0; more && p->n < MAX_CALLS; p->n += more)
			more = prog_warm_up(next + p->n, &p->call[p->n]);
		next += p->n;
		if (with_log)
			log_program(t);
		began = now_us();
		kcov_begin(&t->kcov);
		for (uint32_t i = 0; i < p->n; i++) {
			run_one(t, &p->call[i]);
			if (t->of[p->call[i].nr].failed)
				diag("warm-up: %s fails", call_type(p->call[i].nr)->name);
		}
		fresh = kcov_end(&t->kcov, &ours);
		if (fresh && with_feedback)
			corpus_add(p, ours, now_us() - began);
	}
	is_patient = false;
	memcpy(warm, t->of, sizeof(warm));
}

static void *run_thread(void *arg)
{
	struct thread *t = arg;
	unsigned int fresh, ours;
	int64_t began;

	t->tid = gettid();
	make_area(t);
	if (with_kcov && !is_suite)
		kcov_thread(&t->kcov);
	if (!t->id && !replay && !is_suite)
		warm_up(t);
	warmed |= !t->id;
	pthread_barrier_wait(&start);
	while (!stop && !(replay && !seconds && t->programs >= nr_replay)) {
		choose(t, &t->prog);
		note_program(t);
		if (with_log)
			log_program(t);
		if (fd_none(K_DEV))
			dev_open_any((unsigned int)t->programs);
		if (fd_none(K_BARTER))
			fd_put(K_BARTER, open("/dev/barter", O_RDWR | O_CLOEXEC));
		if (fd_none(K_VEDU) || rng_percent(&t->rng, 5))
			vedu_open_any((unsigned int)t->programs);
		began = now_us();
		if (!replay && rng_percent(&t->rng, 40)) {
			t->since = began / 1000;
			t->doing = "awake";
			world_awake(rng_below(&t->rng, NR_FDS));
			t->doing = NULL;
		}
		kcov_begin(&t->kcov);
		for (uint32_t i = 0; i < t->prog.n && !stop; i++) {
			run_one(t, &t->prog.call[i]);
			/* Not only where a program has a look of its own. */
			t->doing = "look";
			look(t);
			t->doing = NULL;
		}
		if (!replay && rng_percent(&t->rng, 25))
			keep_latest(t);
		fresh = kcov_end(&t->kcov, &ours);
		if (fresh && with_feedback && !replay)
			corpus_add(&t->prog, ours, now_us() - began);
		t->programs++;
	}
	drop_kept(t);
	t->done = true;
	return NULL;
}

/* ---- reports ---- */

static void sums(uint64_t *programs, uint64_t *calls)
{
	*programs = *calls = 0;
	for (unsigned int i = 0; i < nr_threads; i++) {
		*programs += threads[i].programs;
		*calls += threads[i].calls;
	}
}

static void report(int64_t began)
{
	uint64_t programs, calls;
	int64_t ms = now_ms() - began;

	sums(&programs, &calls);
	diag("%3lld s: %llu programs, %llu calls, %lld calls/s, coverage %u, of it barter's %u, corpus %u",
	     (long long)ms / 1000, (unsigned long long)programs,
	     (unsigned long long)calls, (long long)calls * 1000 / (ms ?: 1),
	     kcov_places(), kcov_places_in(NULL), corpus_size());
}

static void print_stack(pid_t tid)
{
	char path[64], text[2048];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stack", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	close(fd);
	diag("%s", text);
}

/* Name whoever has been in one call for too long, and say with what. */
static bool someone_is_stuck(void)
{
	char text[PROG_TEXT];
	bool any = false;

	for (unsigned int i = 0; i < nr_threads; i++) {
		struct thread *t = &threads[i];
		const char *doing = t->doing;

		if (!doing || now_ms() - t->since < STUCK_LIMIT_MS * scale)
			continue;
		prog_print(&t->prog, text, sizeof(text));
		diag("thread %u has been in '%s' for %lld s, its program:\n%s",
		     i, doing, (long long)(now_ms() - t->since) / 1000, text);
		any = true;
		/* Whoever is in its way is among the others. */
		for (unsigned int k = 0; k < nr_threads; k++)
			print_stack(threads[k].tid);
	}
	return any;
}

/* How often a call was made, and what it came to, by all threads. */
static struct call_counts counts_of(uint32_t nr)
{
	struct call_counts sum = { 0 };

	for (unsigned int i = 0; i < nr_threads; i++) {
		sum.done += threads[i].of[nr].done;
		sum.failed += threads[i].of[nr].failed;
		sum.us += threads[i].of[nr].us;
	}
	return sum;
}

static void write_calls(FILE *f)
{
	fprintf(f, "%-16s %10s %10s %10s\n", "call", "succeeded", "failed",
		"us each");
	for (uint32_t i = 0; i < nr_call_types(); i++) {
		struct call_counts c = counts_of(i);

		fprintf(f, "%-16s %10u %10u %10llu\n", call_type(i)->name, c.done, c.failed,
			(unsigned long long)(c.us / (c.done + c.failed ?: 1)));
	}
}

static void write_files(void)
{
	char path[256], text[PROG_TEXT];
	struct prog *p;
	FILE *f;

	snprintf(path, sizeof(path), "%s/calls.txt", out);
	f = fopen(path, "we");
	if (f) {
		write_calls(f);
		fclose(f);
	}
	snprintf(path, sizeof(path), "%s/corpus.fuzz", out);
	f = fopen(path, "we");
	for (uint32_t i = 0; f && i < corpus_size(); i++) {
		p = (struct prog *)corpus_get(i);
		prog_print(p, text, sizeof(text));
		fputs(text, f);
	}
	if (f)
		fclose(f);
	if (!with_kcov)
		return;
	snprintf(path, sizeof(path), "%s/coverage.txt", out);
	f = fopen(path, "we");
	if (f) {
		kcov_dump(f);
		fclose(f);
	}
}

/* ---- the cases ---- */

static bool all_done(void)
{
	for (unsigned int i = 0; i < nr_threads; i++)
		if (!threads[i].done)
			return false;
	return true;
}

static bool is_there(const char *group)
{
	for (unsigned int i = 0; i < NR_GROUPS; i++)
		if (!strcmp(groups[i].name, group))
			return group_there(&groups[i]);
	return false;
}

/* Far less than what a minute comes to; more than what loading the module does. */
static void coverage_of(const char *module, uint32_t at_least)
{
	uint32_t places = kcov_places_in(module);

	ok(places >= at_least, "reaches %s: %u places", module, places);
}

/*
 * Has a group's main call succeeded before anybody was in its way? And at random, if it was
 * made so often that chance cannot be why not.
 */
static void check_group(const struct call_group *g)
{
	struct call_counts all = { 0 }, main = { 0 }, first = { 0 };

	for (uint32_t i = 0; i < nr_call_types(); i++) {
		struct call_counts c = counts_of(i);

		if (call_group(i) != g)
			continue;
		all.done += c.done;
		all.failed += c.failed;
		if (strcmp(call_type(i)->name, g->main))
			continue;
		main = c;
		first = warm[i];
	}
	if (!group_there(g))
		return;
	diag("%-8s %6u calls, %6u of them without an error; %s %u of %u", g->name,
	     all.done + all.failed, all.done, g->main, main.done, main.done + main.failed);
	if (replay)
		return;
	ok(first.done, "%s: %s succeeds where nobody is in its way", g->name, g->main);
	if (main.done + main.failed - first.done - first.failed >= MANY)
		ok(main.done > first.done, "%s: %s does at random", g->name, g->main);
}

void run_threads(void)
{
	int64_t began, next, until;
	bool stuck = false;

	stop = warmed = false;
	pthread_barrier_init(&start, NULL, nr_threads);
	for (unsigned int i = 0; i < nr_threads; i++) {
		threads[i].id = i;
		if (pthread_create(&threads[i].thread, NULL, run_thread,
				   &threads[i]))
			tap_bail("pthread_create");
	}
	while (!warmed && !stuck) {
		usleep(100000);
		world_janitor();
		stuck = someone_is_stuck();
	}
	began = now_ms();
	next = began + REPORT_MS;
	until = began + seconds * 1000;
	while ((!seconds || now_ms() < until) && !stuck && !all_done()) {
		usleep(100000);
		world_janitor();
		stuck = someone_is_stuck();
		if (now_ms() >= next) {
			report(began);
			next += REPORT_MS;
		}
	}
	stop = true;
	while (!all_done() && !stuck) {
		usleep(100000);
		world_janitor();
		stuck = someone_is_stuck();
	}
	report(began);
	if (!is_suite)
		write_files();
	if (!ok(!stuck, "no call hangs"))
		tap_bail("a call hangs");
	for (unsigned int i = 0; i < nr_threads; i++)
		pthread_join(threads[i].thread, NULL);
	pthread_barrier_destroy(&start);
}

static void any_calls_at_once(void)
{
	unsigned int seen_revoked = 0, looks[2] = { 0 };
	uint64_t programs, calls;

	run_threads();
	for (unsigned int i = 0; i < nr_threads; i++) {
		seen_revoked += threads[i].seen_revoked;
		looks[0] += threads[i].looks[0];
		looks[1] += threads[i].looks[1];
	}
	for (unsigned int i = 0; i < NR_GROUPS; i++)
		check_group(&groups[i]);
	is(seen_revoked, 0, "what is revoked cannot be read");
	is(typed_late(), 0, "who has detached is not called any more");
	diag("tried: %u times while revoked, %u times when dead", looks[0],
	     looks[1]);
	ok(looks[0] + looks[1] >= lowest / 4, "that was tried");

	sums(&programs, &calls);
	ok(programs >= lowest, "at least %u programs have run", lowest);
	if (!with_kcov) {
		skip("this kernel has no KCOV", "coverage");
		return;
	}
	coverage_of("barter", 250);
	coverage_of("barter_vfio_pci", 80);
	coverage_of("barter_dma", 50);
	if (is_there("pf"))
		coverage_of("barter_pf", 50);
	if (!is_there("vedu"))
		return;
	coverage_of("barter_vedu", 100);
	coverage_of("barter_vgpu", 20);
}

/* Is it the memory that is wrong at @at, or a mapping? And how much of it? */
static void who_sees_what(volatile uint8_t *p, long at)
{
	uint32_t host = 0, wrong[2] = { 0, 0 };
	unsigned char config[64] = { 0 };
	char path[80];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", mem.bdf);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (read(fd, config, sizeof(config)) == sizeof(config))
		diag("COMMAND %02x, BAR 2 at %02x%02x%02x%02x%02x%02x%02x%02x",
		     config[4], config[0x1f], config[0x1e], config[0x1d],
		     config[0x1c], config[0x1b], config[0x1a], config[0x19],
		     config[0x18]);
	close(fd);
	host_read((uint64_t)at, &host, 4);
	diag("at %ld: the buffer has %08x, VFIO's mapping %08x, the host %08x; meant: %08x",
	     at, *(volatile uint32_t *)(p + at), *(volatile uint32_t *)(bar + at),
	     host, pattern(77, (uint64_t)at));
	for (uint64_t i = 0; i < 4 * PAGE; i += 4) {
		wrong[0] += *(volatile uint32_t *)(p + i) != pattern(77, i);
		wrong[1] += *(volatile uint32_t *)(bar + i) != pattern(77, i);
	}
	diag("%u words are wrong in the buffer, %u in VFIO's mapping", wrong[0],
	     wrong[1]);
}

/* What has succeeded before does so again. */
static void warm_up_again(void)
{
	struct call c;

	guest_writable();
	is_patient = true;
	for (uint32_t i = 0; prog_warm_up(i, &c); i++) {
		const struct call_group *g = call_group(c.nr);
		long ret = run_call(&threads[0], &c);

		if (!strcmp(call_type(c.nr)->name, g->main))
			ok(ret >= 0, "%s: %s succeeds: %ld", g->name, g->main, ret);
	}
	is_patient = false;
}

/* The device and its driver are as they were, and nothing is left behind. */
static void all_is_well_afterwards(void)
{
	volatile uint8_t *p;
	uint8_t data[64];
	int fd, edu;
	long wrong;
	bool none;

	world_empty();
	warm_up_again();
	world_empty();
	picture_end();
	typed_end();
	vedu_end();
	for (unsigned int i = 0; i < nr_devs; i++) {
		WAIT_FOR(none, !buf_count(devs[i].bdf), 10000);
		ok(none, "no buffer of device %u is left", i);
	}
	WAIT_FOR(none, pages_pinned() <= pinned, 10000);
	ok(none, "no page of a guest is left pinned: %ld, %ld before", pages_pinned(), pinned);
	sysfs_write("", "/sys/module/barter/parameters/allow_host_bridges");
	fixture_open();
	is_errno(dev_reset(&mem), 0, "reset");
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	fill(bar, 77, 0, 4 * PAGE);
	fd = buf_export1(&mem, BAR, 0, 4 * PAGE);
	need(fd >= 0, "export");
	is(buf_state(fd), BARTER_STATE_OK, "OK");
	is(buf_reasons(fd), 0, "no reason left");
	p = buf_map(fd, 0, 4 * PAGE, PROT_READ | PROT_WRITE);
	need(p, "mmap");
	wrong = differs(p, 77, 0, 4 * PAGE);
	if (!is(wrong, -1, "all bytes are there"))
		who_sees_what(p, wrong);
	edu = edu_open();
	is_errno(edu_import(edu, fd), 0, "import");
	is_errno(edu_copy(edu, 0, PAGE, data, sizeof(data), NULL), 0, "DMA");
	ok(!memcmp(data, (void *)(p + PAGE), sizeof(data)), "the right bytes");
	close(edu);
	munmap((void *)p, 4 * PAGE);
	close(fd);
	fixture_close();
}

/* ---- options ---- */

void read_replay(const char *path)
{
	FILE *f = fopen(path, "re");
	struct prog p;

	if (!f)
		tap_bail("%s: %s", path, strerror(errno));
	nr_replay = 0;
	while (prog_read(f, &p)) {
		replay = realloc(replay, (nr_replay + 1) * sizeof(*replay));
		if (!replay)
			tap_bail("memory");
		replay[nr_replay++] = p;
	}
	fclose(f);
	if (!nr_replay)
		tap_bail("%s: no program", path);
}

/* What choose() has to say, without a kernel that would know of it. */
static int print_programs(void)
{
	char text[PROG_TEXT];

	if (log_name)
		log_begin(log_name);
	for (unsigned int i = 0; i < nr_threads; i++) {
		struct thread *t = &threads[i];

		for (t->id = i; t->programs < (uint64_t)to_print; t->programs++) {
			choose(t, &t->prog);
			if (log_name)
				log_program(t);
			prog_print(&t->prog, text, sizeof(text));
			fputs(text, stdout);
		}
	}
	return fflush(stdout) ? 1 : 0;
}

static void options(int argc, char **argv)
{
	static const struct option list[] = { { "seed", required_argument, NULL, 's' },
					      { "time", required_argument, NULL, 't' },
					      { "threads", required_argument, NULL, 'n' },
					      { "replay", required_argument, NULL, 'r' },
					      { "out", required_argument, NULL, 'o' },
					      { "floor", required_argument, NULL, 'f' },
					      { "random", no_argument, NULL, 'x' },
					      { "no-log", no_argument, NULL, 'l' },
					      { "log", required_argument, NULL, 'k' },
					      { "print", required_argument, NULL, 'p' },
					      { 0 } };
	const char *from_shell = getenv("FUZZ_SEED");
	const char *given = getenv("BARTER_SECONDS");
	int c;

	if (given && *given)
		seconds = atoi(given);

	seed = from_shell && *from_shell ? strtoull(from_shell, NULL, 0) :
		(uint64_t)time(NULL);
	while ((c = getopt_long(argc, argv, "", list, NULL)) != -1) {
		switch (c) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 't':
			seconds = atoi(optarg);
			break;
		case 'n':
			nr_threads = (unsigned int)atoi(optarg);
			break;
		case 'r':
			read_replay(optarg);
			break;
		case 'o':
			out = optarg;
			break;
		case 'f':
			lowest = (unsigned int)atoi(optarg);
			break;
		case 'x':
			with_feedback = false;
			break;
		case 'l':
			with_log = false;
			break;
		case 'k':
			log_name = optarg;
			break;
		case 'p':
			to_print = atol(optarg);
			with_feedback = false;
			break;
		default:
			tap_bail("unknown option");
		}
	}
	if (!nr_threads || nr_threads > MAX_THREADS)
		tap_bail("1 to %d threads", MAX_THREADS);
	is_suite = optind < argc && !strcmp(argv[optind], "replay");
	if (optind + is_suite < argc)
		tap_bail("unknown argument '%s'", argv[optind + is_suite]);
}

int main(int argc, char **argv)
{
	if (getenv("BARTER_TIME_SCALE"))
		scale = atoi(getenv("BARTER_TIME_SCALE"));
	options(argc, argv);
	if (to_print >= 0) {
		prog_init_all();
		return print_programs();
	}
	if (seconds && seconds < 60)
		lowest = lowest * (unsigned int)seconds / 60;
	signal(SIGPIPE, SIG_IGN);
	with_kcov = kcov_init();
	diag("--seed %llu --time %d --threads %u, KCOV: %s",
	     (unsigned long long)seed, seconds, nr_threads,
	     with_kcov ? "yes" : "no");
	if (with_log)
		log_begin(log_name ?: "/dev/kmsg");
	world_init();
	pinned = pages_pinned();
	if (is_suite) {
		replay_suite();
		CASE(all_is_well_afterwards);
	} else {
		CASE_LIMIT(any_calls_at_once, (unsigned int)seconds + 180);
		CASE(all_is_well_afterwards);
	}
	world_end();
	return tap_done();
}
