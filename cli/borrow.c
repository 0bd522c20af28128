// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter borrow: a slice from a broker, for a command or to hold.
 */
#include "cli.h"
#include "json.h"
#include "run.h"

#include <barter-vend.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { OPTION_SOCKET, OPTION_SECONDS, OPTION_LIST, OPTION_JSON };

struct borrow_options {
	const char *socket;
	const char *name;
	uint32_t seconds;
	int list;
	int json;
	char **child;
};

static int failed_borrow(const struct borrow_options *options, int error)
{
	switch (error) {
	case -ENOENT:
		return failed(options->name, "the broker offers this user no such slice; see: barter borrow --list");
	case -EBUSY:
		return failed(options->name, "somebody else has it, or part of it, or holds the device up; try again later, or ask the owner: barter vend --status");
	case -EDQUOT:
		return failed(options->name, "this user has too many leases; end one of them first");
	case -ESHUTDOWN:
	case -ECANCELED:
		return failed(options->name, "it was taken back before it was lent: the broker ends, or its policy has changed; see: barter borrow --list");
	case -ENXIO:
	case -ENODEV:
	case -EACCES:
	case -EINVAL:
	case -EOPNOTSUPP:
		return failed(options->name, "the broker's device cannot lend it (%s); its log and \"barter doctor\" tell why",
			      strerror(-error));
	default:
		return failed_broker(options->socket, error);
	}
}

static void offer_json(struct json *json, const struct barter_vend_offer *offer)
{
	json_open(json, NULL, '{');
	json_text(json, "name", offer->name);
	json_text(json, "device", offer->device);
	json_number(json, "bar", offer->bar);
	json_number(json, "ranges", offer->nr_ranges);
	json_number(json, "length", offer->length);
	json_bool(json, "read_only", !!(offer->flags & BARTER_VEND_READ_ONLY));
	json_text(json, "memory", offer->flags & BARTER_VEND_WC ? "wc" : "uc");
	json_bool(json, "shared", !!(offer->flags & BARTER_VEND_SHARED));
	json_index(json, "seconds", offer->flags & BARTER_VEND_LIMITED ?
		   (int)offer->seconds : -1);
	json_number(json, "leases", offer->leases);
	json_close(json, '}');
}

static void offer_text(const struct barter_vend_offer *offer)
{
	char limit[32] = "unlimited";

	if (offer->flags & BARTER_VEND_LIMITED)
		snprintf(limit, sizeof(limit), "%u s", offer->seconds);
	printf("%-16s %s BAR %u, %s in %u ranges, %s, %s, %s, %s, lent %u\n",
	       offer->name, offer->device, offer->bar,
	       SIZE_TEXT(offer->length), offer->nr_ranges,
	       offer->flags & BARTER_VEND_READ_ONLY ? "read-only" :
	       "read-write", offer->flags & BARTER_VEND_WC ? "wc" : "uc",
	       offer->flags & BARTER_VEND_SHARED ? "shared" : "exclusive",
	       limit, offer->leases);
}

static int list(struct barter_broker *broker,
		const struct borrow_options *options)
{
	struct json json = { .to = stdout };
	struct barter_vend_offer offer = { .name = "" };
	int ret, nr = 0;

	if (options->json)
		json_open(&json, NULL, '[');
	while (!(ret = barter_broker_offer(broker, offer.name, &offer))) {
		nr++;
		if (options->json)
			offer_json(&json, &offer);
		else
			offer_text(&offer);
	}
	if (options->json) {
		json_close(&json, ']');
		json_end(&json);
	} else if (!nr && ret == -ENOENT) {
		printf("nothing is offered to this user\n");
	}
	return ret == -ENOENT ? EXIT_OK : failed_broker(options->socket, ret);
}

static void say_lease(const struct barter_vend_lease *lease, int fd,
		      const struct borrow_options *options)
{
	struct json json = { .to = stdout };

	if (options->json) {
		json_open(&json, NULL, '{');
		json_number(&json, "lease", lease->lease);
		json_text(&json, "name", options->name);
		json_number(&json, "pid", (uint64_t)getpid());
		json_number(&json, "fd", (uint64_t)fd);
		json_text(&json, "device", lease->device);
		json_number(&json, "bar", lease->bar);
		json_number(&json, "ranges", lease->nr_ranges);
		json_number(&json, "length", lease->length);
		json_bool(&json, "read_only",
			  !!(lease->flags & BARTER_VEND_READ_ONLY));
		json_index(&json, "seconds", lease->flags & BARTER_VEND_LIMITED ?
			   (int)lease->seconds : -1);
		json_close(&json, '}');
		json_end(&json);
		return;
	}
	/* For people, and not in the way of what the command prints. */
	fprintf(stderr, "barter: lease %llu: %s, %s of BAR %u of %s%s",
		(unsigned long long)lease->lease, options->name,
		SIZE_TEXT(lease->length), lease->bar, lease->device,
		lease->flags & BARTER_VEND_READ_ONLY ? ", read-only" : "");
	if (lease->flags & BARTER_VEND_LIMITED)
		fprintf(stderr, ", for %u s", lease->seconds);
	fputc('\n', stderr);
}

/* Until a signal comes, or the lease is taken back. */
static int hold(struct barter_broker *broker,
		const struct borrow_options *options)
{
	struct pollfd fds[2] = {
		{ .fd = barter_broker_fd(broker), .events = POLLIN },
	};
	struct barter_vend_event event;
	sigset_t set;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fds[1] = (struct pollfd) {
		.fd = signalfd(-1, &set, SFD_CLOEXEC),
		.events = POLLIN,
	};
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return failed(options->name, "%s", strerror(errno));
		if (fds[1].revents)
			return EXIT_OK;
		if (!fds[0].revents)
			continue;
		ret = barter_broker_event(broker, &event);
		if (!ret)
			return failed(options->name, "taken back (%s)",
				      barter_vend_why_name(event.why));
		if (ret != -EAGAIN)
			return failed_broker(options->socket, ret);
	}
}

static int borrow(const struct borrow_options *options)
{
	struct barter_vend_lease lease;
	struct barter_broker *broker;
	int ret, fd, status;

	ret = barter_broker_open(options->socket, &broker);
	if (ret)
		return failed_broker(options->socket, ret);
	if (options->list) {
		status = list(broker, options);
		barter_broker_close(broker);
		return status;
	}
	ret = barter_broker_borrow(broker, options->name, options->seconds,
				   &lease, &fd);
	if (ret) {
		status = failed_borrow(options, ret);
	} else {
		say_lease(&lease, fd, options);
		status = answer_done(EXIT_OK);
		if (!status)
			status = options->child ?
				 run_with_fd(fd, options->child) :
				 hold(broker, options);
		close(fd);
	}
	barter_broker_close(broker);
	return status;
}

int run_borrow(const struct command *command, int argc, char **argv)
{
	static const char *const names[] = {
		[OPTION_SOCKET] = "socket=",
		[OPTION_SECONDS] = "seconds=",
		[OPTION_LIST] = "list",
		[OPTION_JSON] = "json",
		NULL
	};
	struct options options = { command, names, argc, argv, 0, NULL };
	struct borrow_options what = { .socket = NULL };
	uint64_t number;
	int option, i;

	while ((option = option_next(&options)) >= 0) {
		if (option == OPTION_SOCKET) {
			what.socket = options.value;
		} else if (option == OPTION_LIST) {
			what.list = 1;
		} else if (option == OPTION_JSON) {
			what.json = 1;
		} else {
			if (number_parse(options.value, &number) || !number ||
			    number > UINT32_MAX / 2)
				return wrong_usage(command, "\"%s\" is no number of seconds",
						   options.value);
			what.seconds = (uint32_t)number;
		}
	}
	if (option != OPTION_END)
		return option_exit(option);
	for (i = options.at; i < argc; i++) {
		if (strcmp(argv[i], "--"))
			continue;
		what.child = argv + i + 1;
		argc = i;
	}
	if (what.child && !what.child[0])
		return wrong_usage(command, "no COMMAND after \"--\"");
	if (argc - options.at != !what.list || (what.list && what.child))
		return wrong_usage(command, "expected one NAME, or --list");
	what.name = argv[options.at];
	return borrow(&what);
}
