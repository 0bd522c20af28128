// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The order of locks that doc/locking.md gives, held against the one that lockdep
 * has seen since the machine was started. Runs behind the suites whose locks it
 * judges, on kernels with lockdep.
 *
 * The document's block "lockdep" is all that this program knows:
 *
 *	lock OWNER NAME...	a class: the module that has it, or "kernel";
 *				names on different kernels
 *	leaf OWNER NAME...	one below which none of the others is taken
 *	order NAME -> NAME	the first may be held while the second is taken
 *	order@BOOT NAME -> NAME	likewise, and it is "locking:BOOT" that shows it;
 *				with "-" none has to
 *
 * Wrong is: a class of barter's modules that is not in there; an edge between
 * two of these classes that does not follow from the order; any lock that is not
 * in there outside one of barter's that is no leaf. And an order that nobody has
 * seen, so that the document does not describe what is not: behind the suites of
 * the first boot all orders are asked for that have no boot of their own, with an
 * argument BOOT those of that boot.
 *
 * The machine is booted with no_hash_pointers: a class belongs to the module that
 * its key lies in.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "lib/tap.h"

/* Other places for whoever looks at files of an earlier run. */
#ifndef PROC
#define PROC		"/proc"
#define TABLE		"/tests/locking.md"
#endif
#define MAX_LOCKS	128
#define MAX_NAMES	4
#define MAX_ORDERS	128
#define MAX_CLASSES	8192
#define MAX_SYMBOLS	65536

struct lock {
	const char *owner;
	const char *names[MAX_NAMES];
	bool leaf;
};

static struct lock locks[MAX_LOCKS];
static unsigned int nr_locks;
/* What may be taken under what, with all that follows from the orders. */
static bool above[MAX_LOCKS][MAX_LOCKS];
static bool seen[MAX_LOCKS][MAX_LOCKS];

static struct order {
	int held, taken;
	const char *boot;	/* that shows it */
} orders[MAX_ORDERS];
static unsigned int nr_orders;

static struct class {
	unsigned long long key;
	char name[96];
	char owner[48];
	int lock;		/* in the table, or -1 */
} classes[MAX_CLASSES];
static unsigned int nr_classes;

static struct symbol {
	unsigned long long at;
	char owner[48];
} *symbols;
static unsigned int nr_symbols;

/* ---- the document ---- */

static int lock_named(const char *name)
{
	for (unsigned int i = 0; i < nr_locks; i++)
		for (int n = 0; n < MAX_NAMES && locks[i].names[n]; n++)
			if (!strcmp(locks[i].names[n], name))
				return (int)i;
	return -1;
}

/*
 * The spinlock inside a mutex that a module defines has the mutex's name, with
 * ".wait_lock" behind it, and a class once somebody had to wait. It is the mutex.
 */
static int lock_of(const char *owner, const char *full_name)
{
	static const char inside[] = ".wait_lock";
	size_t length = strlen(full_name), tail = sizeof(inside) - 1;
	char name[96];

	snprintf(name, sizeof(name), "%.95s", full_name);
	if (length > tail && length < sizeof(name) &&
	    !strcmp(full_name + length - tail, inside))
		name[length - tail] = 0;
	for (unsigned int i = 0; i < nr_locks; i++)
		for (int n = 0; n < MAX_NAMES && locks[i].names[n]; n++)
			if (!strcmp(locks[i].owner, owner) &&
			    !strcmp(locks[i].names[n], name))
				return (int)i;
	return -1;
}

static void read_order(const char *boot)
{
	const char *held = strtok(NULL, " \t\n");
	const char *arrow = strtok(NULL, " \t\n");
	const char *taken = strtok(NULL, " \t\n");
	struct order *o = &orders[nr_orders++];

	if (!taken || strcmp(arrow, "->") || nr_orders == MAX_ORDERS)
		tap_bail("an order that makes no sense, behind %u others",
			 nr_orders - 1);
	o->held = lock_named(held);
	o->taken = lock_named(taken);
	o->boot = boot;
	if (o->held < 0 || o->taken < 0)
		tap_bail("order of unknown locks: %s, %s", held, taken);
	above[o->held][o->taken] = true;
}

static void read_line(char *line)
{
	char *word = strtok(line, " \t\n");
	struct lock *l = &locks[nr_locks];

	if (!word || word[0] == '#')
		return;
	if (!strcmp(word, "order") || !strncmp(word, "order@", 6)) {
		read_order(word[5] ? word + 6 : "");
		return;
	}
	if (strcmp(word, "lock") && strcmp(word, "leaf"))
		tap_bail("the table has a line that begins with '%s'", word);
	if (nr_locks == MAX_LOCKS)
		tap_bail("too many locks");
	l->leaf = !strcmp(word, "leaf");
	l->owner = strtok(NULL, " \t\n");
	for (int n = 0; n < MAX_NAMES; n++)
		l->names[n] = strtok(NULL, " \t\n");
	if (!l->owner || !l->names[0])
		tap_bail("a lock without a name");
	nr_locks++;
}

static void read_table(void)
{
	FILE *f = fopen(TABLE, "re");
	char line[256];
	bool in = false;

	if (!f)
		tap_bail("%s: %s", TABLE, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "```", 3))
			in = !strncmp(line, "```lockdep", 10);
		else if (in)
			read_line(strdup(line));
	}
	fclose(f);
	for (unsigned int k = 0; k < nr_locks; k++)
		for (unsigned int i = 0; i < nr_locks; i++)
			for (unsigned int j = 0; j < nr_locks; j++)
				above[i][j] |= above[i][k] && above[k][j];
	for (unsigned int i = 0; i < nr_locks; i++)
		if (above[i][i])
			tap_bail("the order goes round, at %s", locks[i].names[0]);
	ok(nr_locks > 10 && nr_orders > 10, "the document has %u locks, %u orders",
	   nr_locks, nr_orders);
}

/* ---- the kernel ---- */

static int by_address(const void *a, const void *b)
{
	const struct symbol *s = a, *t = b;

	return s->at < t->at ? -1 : s->at > t->at;
}

/* Symbols of modules, and where the kernel's own end. */
static void read_symbols(void)
{
	FILE *f = fopen(PROC "/kallsyms", "re");
	unsigned long long at;
	char line[512];

	symbols = calloc(MAX_SYMBOLS, sizeof(*symbols));
	while (f && symbols && fgets(line, sizeof(line), f)) {
		char owner[48] = "kernel";
		char name[256];

		if (sscanf(line, "%llx %*c %255s [%47[^]]]", &at, name, owner) < 2)
			continue;
		if (!strcmp(owner, "kernel") && strcmp(name, "_text") &&
		    strcmp(name, "_end"))
			continue;
		if (nr_symbols == MAX_SYMBOLS)
			tap_bail("too many symbols");
		symbols[nr_symbols].at = at;
		memcpy(symbols[nr_symbols++].owner, owner, sizeof(owner));
	}
	if (f)
		fclose(f);
	qsort(symbols, nr_symbols, sizeof(*symbols), by_address);
}

/* The module of the last symbol before that address. */
static const char *owner_of(unsigned long long key)
{
	unsigned int low = 0, high = nr_symbols;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (symbols[middle].at <= key)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || key - symbols[low - 1].at > 65536)
		return "kernel";
	return symbols[low - 1].owner;
}

static struct class *class_find(unsigned long long key)
{
	for (unsigned int i = 0; i < nr_classes; i++)
		if (classes[i].key == key)
			return &classes[i];
	return NULL;
}

/* barter_test, barter_test_exporter, barter_test_importer */
static bool is_test_module(const char *owner)
{
	return !strncmp(owner, "barter_test", 11);
}

static bool is_ours(const struct class *c)
{
	return !strncmp(c->owner, "barter", 6) && !is_test_module(c->owner);
}

static void read_classes(FILE *f)
{
	char line[512];

	while (fgets(line, sizeof(line), f)) {
		struct class *c = &classes[nr_classes];
		char *name = strstr(line, ": ");
		char *fd = strstr(line, " FD:");

		/* KEY OPS:.. FD:.. BD:.. USAGE: NAME */
		if (line[0] == ' ' || !fd || sscanf(line, "%llx", &c->key) != 1)
			continue;
		name = strstr(strstr(fd, " BD:") + 4, ": ");
		if (!name || nr_classes + 1 == MAX_CLASSES)
			tap_bail("/proc/lockdep: %s", line);
		name += 2;
		name[strcspn(name, "#\n")] = 0;
		snprintf(c->name, sizeof(c->name), "%.95s", name);
		snprintf(c->owner, sizeof(c->owner), "%s", owner_of(c->key));
		c->lock = lock_of(c->owner, c->name);
		nr_classes++;
	}
}

static unsigned int nr_edges, nr_against, nr_unknown;

static void judge(const struct class *a, const struct class *b)
{
	if (a->lock < 0 && (b->lock < 0 || !is_ours(b)))
		return;
	if (a->lock < 0) {
		/* A test's own module is nobody who calls barter. */
		if (locks[b->lock].leaf || is_test_module(a->owner))
			return;
		diag("%s is taken under %s of %s, which the document lacks",
		     b->name, a->name, a->owner);
		nr_unknown++;
		return;
	}
	if (b->lock < 0 || a->lock == b->lock)
		return;
	nr_edges++;
	seen[a->lock][b->lock] = true;
	if (above[a->lock][b->lock] ||
	    (locks[b->lock].leaf && !locks[a->lock].leaf))
		return;
	/* What the kernel does with two of its own is not for barter to order. */
	if (!is_ours(a) && !is_ours(b) && !above[b->lock][a->lock] &&
	    !locks[a->lock].leaf)
		return;
	diag("%s is taken under %s", b->name, a->name);
	nr_against++;
}

static void read_edges(FILE *f)
{
	const struct class *held = NULL, *taken;
	unsigned long long key;
	char line[512];

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " -> [%llx]", &key) == 1) {
			taken = class_find(key);
			if (held && taken)
				judge(held, taken);
		} else if (line[0] != ' ' && sscanf(line, "%llx", &key) == 1) {
			held = class_find(key);
		}
	}
}

static void still_on(void)
{
	FILE *f = fopen(PROC "/lockdep_stats", "re");
	char line[256];
	int on = -1;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, " debug_locks: %d", &on);
	if (f)
		fclose(f);
	is(on, 1, "lockdep is on: debug_locks");
}

int main(int argc, char **argv)
{
	const char *boot = argc > 1 ? argv[1] : "";
	unsigned int ours = 0, undocumented = 0;
	FILE *f;

	still_on();
	read_table();
	read_symbols();
	f = fopen(PROC "/lockdep", "re");
	if (!f)
		tap_bail("/proc/lockdep: %s", strerror(errno));
	read_classes(f);
	rewind(f);
	read_edges(f);
	fclose(f);

	for (unsigned int i = 0; i < nr_classes; i++) {
		ours += is_ours(&classes[i]);
		if (!is_ours(&classes[i]) || classes[i].lock >= 0)
			continue;
		diag("%s of %s", classes[i].name, classes[i].owner);
		undocumented++;
	}
	diag("%u lock classes, %u of barter's modules, %u edges between those of the document",
	     nr_classes, ours, nr_edges);
	ok(ours > 5, "classes of barter's modules can be told apart");
	is(undocumented, 0, "each class of barter's modules is in the document");
	is(nr_against, 0, "none is taken against the order");
	is(nr_unknown, 0, "none is taken under a lock that the document lacks");
	for (unsigned int i = 0; i < nr_orders; i++)
		if (!strcmp(orders[i].boot, boot))
			ok(seen[orders[i].held][orders[i].taken],
			   "%s -> %s was seen", locks[orders[i].held].names[0],
			   locks[orders[i].taken].names[0]);
	return tap_done();
}
