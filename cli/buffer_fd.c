// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * How commands name a buffer: FD, PID:FD, or the name that it was given, unless that
 * begins like one of the others.
 */
#include "buffer_info.h"
#include "held.h"

#include <ctype.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* So many of one name are told. */
#define SHOWN 8

/* Buffers of one name, each by one of those who hold it. */
struct named {
	const char *name;
	struct held found[SHOWN];
	unsigned int nr; /* may be more than there is room for */
};

/* What fdinfo calls the dma-buf; a name has no more than 31 bytes. */
static int has_name(const struct held *held, const char *name)
{
	char path[64], line[128];
	int same = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", held->pid, held->fd);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, "name:\t", 6))
			continue;
		line[strcspn(line, "\n")] = '\0';
		same = !strcmp(line + 6, name);
		break;
	}
	fclose(file);
	return same;
}

static void look_for_name(const struct held *held, void *data)
{
	struct named *named = data;
	unsigned int i;

	for (i = 0; i < named->nr && i < SHOWN; i++) {
		if (named->found[i].inode != held->inode)
			continue;
		/* Of others more is needed than the right to look at them. */
		if (held->pid == (int)getpid())
			named->found[i] = *held;
		return;
	}
	if (!has_name(held, named->name))
		return;
	if (named->nr < SHOWN)
		named->found[named->nr] = *held;
	named->nr++;
}

/* The fd of a process, as one of this process. */
static int fetch_fd(const char *text, int pid, int number, int *fd)
{
	int ret = held_fetch(pid, number);

	if (ret >= 0) {
		*fd = ret;
		return EXIT_OK;
	}
	return failed(text, "%s",
		      ret == -ESRCH ? "no such process; barter top shows who holds which buffer" :
		      ret == -EBADF ? "the process has no such fd open; see: barter top" :
		      ret == -EPERM ? "no permission to take the fd of that process; run as root" :
				      strerror(-ret));
}

static int fetch_name(const char *text, int *fd)
{
	struct named named = { .name = text };
	char list[160] = "";
	struct stat status;
	unsigned int i;
	size_t at;
	int ret;

	held_each(look_for_name, &named);
	if (!named.nr)
		return failed(
			text,
			"no buffer of that name is open in a process that you may trace; barter top shows all as root, and FD or PID:FD names one without a name");
	if (named.nr == 1) {
		ret = fetch_fd(text, named.found[0].pid, named.found[0].fd, fd);
		if (ret == EXIT_OK &&
		    (fstat(*fd, &status) || status.st_ino != named.found[0].inode))
			ret = failed(text, "has just been closed; once more tells who else has it");
		return ret;
	}
	for (i = 0; i < named.nr && i < SHOWN; i++) {
		at = strlen(list);
		snprintf(list + at, sizeof(list) - at, "%s%d:%d", i ? ", " : "", named.found[i].pid,
			 named.found[i].fd);
	}
	return failed(text, "several buffers have that name; say which: %s%s", list,
		      named.nr > i ? " ..." : "");
}

int buffer_fd(const struct command *command, const char *text, int *fd)
{
	const char *colon = strchr(text, ':');
	uint64_t pid = 0, number;
	char pid_text[24];

	if (text[0] && text[0] != ':' && !isdigit((unsigned char)text[0]))
		return fetch_name(text, fd);
	if (colon) {
		snprintf(pid_text, sizeof(pid_text), "%.*s",
			 (int)(colon - text), text);
		if (number_parse(pid_text, &pid) || !pid || pid > INT32_MAX)
			return wrong_usage(command, "\"%s\" is no process id",
					   pid_text);
	}
	if (number_parse(colon ? colon + 1 : text, &number) ||
	    number > INT32_MAX)
		return wrong_usage(
			command,
			"\"%s\" is no fd; expected FD, PID:FD or NAME, which begins with no digit",
			text);
	if (pid)
		return fetch_fd(text, (int)pid, (int)number, fd);
	*fd = (int)number;
	return EXIT_OK;
}
