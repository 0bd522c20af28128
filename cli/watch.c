// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter watch: each change of a buffer's state.
 */
#include "buffer_info.h"

#include <inttypes.h>
#include <poll.h>
#include <string.h>

enum { OPTION_JSON };

static void change_text(const struct barter_change *change)
{
	char reasons[160];

	barter_reasons_format(change->reasons, reasons, sizeof(reasons));
	printf("%s%s%s%s%s%s, generation %" PRIu64,
	       colour_on(stdout, colour_of_state(change->state)),
	       barter_state_name(change->state), colour_off(stdout), reasons[0] ? " (" : "", reasons, reasons[0] ? ")" : "",
	       change->generation);
	if (change->changes > 1)
		printf(", %" PRIu64 " changes", change->changes);
	putchar('\n');
}

/* One line: whoever reads a stream reads it by lines. */
static void change_json(const struct barter_change *change)
{
	struct json json = { .to = stdout, .one_line = 1 };
	unsigned int bit;

	json_open(&json, NULL, '{');
	json_number(&json, "generation", change->generation);
	json_number(&json, "changes", change->changes);
	json_text(&json, "state", barter_state_name(change->state));
	json_open(&json, "reasons", '[');
	for (bit = 0; bit < 32; bit++)
		if (change->reasons & 1U << bit)
			json_text(&json, NULL, barter_reason_name(1U << bit));
	json_close(&json, ']');
	json_close(&json, '}');
	json_end(&json);
}

static int change_print(const struct barter_change *change, int json)
{
	if (json)
		change_json(change);
	else
		change_text(change);
	return answer_done(EXIT_OK);
}

/* A dead buffer cannot be watched: say so as if it had just died. */
static int print_dead(const char *name, int fd, int json)
{
	struct barter_info info = { .size = sizeof(info), .dmabuf_fd = fd };
	struct barter_change dead;
	int ret = barter_buffer_info(-1, &info);

	if (ret)
		return failed_control(name, ret);
	dead = (struct barter_change) {
		.generation = info.out_generation,
		.state = info.out_state,
		.reasons = info.out_reasons,
	};
	return change_print(&dead, json);
}

static int follow(const char *name, struct barter_watcher *watcher,
		  struct barter_change *change, int json)
{
	struct pollfd poll_fd = {
		.fd = barter_watch_fd(watcher), .events = POLLIN,
	};
	int ret, status;

	for (;;) {
		status = change_print(change, json);
		if (status || change->state == BARTER_STATE_DEAD)
			return status;
		do {
			if (poll(&poll_fd, 1, -1) < 0 && errno != EINTR)
				return failed(name, "%s", strerror(errno));
			ret = barter_watch_read(watcher, change);
		} while (ret == -EAGAIN || ret == -EINTR);
		if (ret)
			return failed_control(name, ret);
	}
}

int run_watch(const struct command *command, int argc, char **argv)
{
	static const char *const names[] = { [OPTION_JSON] = "json", NULL };
	struct options options = { command, names, argc, argv, 0, NULL };
	int option, status, ret, fd = -1, json = 0;
	struct barter_watcher *watcher;
	struct barter_change change;
	char name[40];

	while ((option = option_next(&options)) >= 0)
		json = 1;
	if (option != OPTION_END)
		return option_exit(option);
	if (argc - options.at != 1)
		return wrong_usage(command, "expected one FD, PID:FD or NAME");
	status = buffer_fd(command, argv[options.at], &fd);
	if (status)
		return status;
	snprintf(name, sizeof(name), "fd %.30s", argv[options.at]);
	ret = barter_watch_open(-1, fd, &change, &watcher);
	if (ret == -EBADFD)
		return print_dead(name, fd, json);
	if (ret == -EBADF)
		return failed(
			name,
			"is not open; pass the number of an fd that this process inherits, PID:FD, or a name");
	if (ret == -EINVAL)
		return failed(name, "is no buffer of barter's, and cannot be watched; those come from: barter export, barter borrow");
	/* As other questions to /dev/barter say it. */
	if (ret)
		return failed_control(name, ret == -EOPNOTSUPP ? -ENOTTY : ret);
	status = follow(name, watcher, &change, json);
	barter_watch_close(watcher);
	return status;
}
