/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * The broker's policy: which slices there are, and who may borrow them.
 *
 * The file is made of sections, one for each offer:
 *
 *	[NAME]
 *	device = 0000:01:00.0
 *	bar = 2
 *	ranges = 0+64K 1M+64K		may be repeated
 *	allow = uid:1000 gid:video	or "any"
 *	access = read-write		or "read-only"
 *	memory = uc			or "wc"; uc if left out
 *	lifetime = 1h			s, m, h, or "unlimited", if left out
 *	use = exclusive			or "shared"; exclusive if left out
 *
 * The parser is strict, for a policy that means something else than it says is
 * worse than none: an unknown or repeated key, a value that is not wholly
 * understood, a name that does not exist are errors, with their line.
 *
 * It is of our own making. Debian 12 has libinih, which cuts long lines and does
 * not tell its caller the line of a value; and libconfig, whose values would all be
 * texts that only code like this understands. Neither is there for the 32-bit
 * build of this program.
 */
#ifndef BARTER_VEND_POLICY_H
#define BARTER_VEND_POLICY_H

#include "../cli.h"

#include <barter-vend.h>
#include <sys/types.h>

/* What a policy has at most. */
#define POLICY_BYTES	(1U << 20)
#define POLICY_LINE	4096
#define POLICY_OFFERS	1024
#define OFFER_RANGES	4096
#define OFFER_RULES	64

enum rule_kind { RULE_ANY, RULE_UID, RULE_GID };

struct rule {
	enum rule_kind kind;
	uint32_t id;
};

/* Never changes once it is read; counted, for a lease may outlive its policy. */
struct offer {
	unsigned int references;
	int line;			/* where it begins */
	char name[BARTER_VEND_NAME_LENGTH];
	char device[BARTER_BDF_LENGTH];	/* with the domain */
	uint32_t bar;
	uint32_t flags;			/* BARTER_VEND_* */
	uint32_t seconds;		/* with BARTER_VEND_LIMITED */
	uint32_t nr_ranges, nr_rules;
	uint64_t length;		/* of all ranges */
	struct barter_range *ranges;	/* as they were written */
	struct barter_range *cover;	/* the same, sorted */
	struct rule *rules;
};

struct policy {
	uint32_t nr;
	struct offer **offers;		/* sorted by name */
};

/* Who asks, by the kernel's word. */
struct peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	int pidfd;			/* -1 where there is none */
	int is_gone;			/* the process had ended when we asked */
	uint32_t nr_groups;		/* beside gid */
	gid_t *groups;			/* sorted */
};

/*
 * Read a policy. @name is what errors begin with. On -EINVAL @error has the line
 * and what is wrong with it.
 */
int policy_parse(const char *name, const char *text, size_t length,
		 struct policy **policy, char *error, size_t room);
/* The same of a file, which nobody but root and this user may be able to write. */
int policy_read(const char *path, struct policy **policy, char *error,
		size_t room);
void policy_free(struct policy *policy);
struct offer *policy_find(const struct policy *policy, const char *name);

struct offer *offer_get(struct offer *offer);
void offer_put(struct offer *offer);
int offer_allows(const struct offer *offer, const struct peer *peer);
/* Does it lend the same bytes in the same way? Who may have them is not asked. */
int offer_same(const struct offer *a, const struct offer *b);
/* Is there a byte that both have? */
int offer_overlaps(const struct offer *a, const struct offer *b);

#endif /* BARTER_VEND_POLICY_H */
