// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter vend: the broker, and the owner's questions to it.
 */
#include "cli.h"
#include "json.h"
#include "vend/listen.h"
#include "vend/metrics.h"
#include "vend/server.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	OPTION_POLICY, OPTION_SOCKET, OPTION_CHECK, OPTION_STATUS,
	OPTION_METRICS, OPTION_TAKE_BACK, OPTION_RELOAD, OPTION_JSON
};

#define POLICY "/etc/barter/vend.policy"

struct vend_options {
	const char *policy;
	const char *socket;
	const char *lease;
	int mode;		/* OPTION_CHECK ... OPTION_RELOAD, or 0 */
	int json;
};

int failed_broker(const char *path, int error)
{
	if (!path)
		path = BARTER_VEND_SOCKET;
	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
		return failed(path, "no broker listens there; run: barter vend, or: systemctl start barter-vend.socket");
	case -EPIPE:
	case -ECONNRESET:
		return failed(path, "the broker has ended the connection; its log tells why");
	case -EMLINK:
		return failed(path, "this user has too many connections to the broker; end one of them first");
	case -EPERM:
		return failed(path, "only the broker's own user and root may ask for that; run as one of them");
	case -EPROTO:
	case -EPROTONOSUPPORT:
	case -EPROTOTYPE:
		return failed(path, "who listens there does not speak the broker's protocol, version %d; name its socket with --socket",
			      BARTER_VEND_VERSION);
	case -EAGAIN:
		return failed(
			path,
			"the broker takes in nobody at this moment: too many want to, or it stands still; try again");
	case -EMFILE:
		return failed(path, "no room for one more fd; raise the limit: ulimit -n");
	default:
		return failed(path, "%s%s", strerror(-error), error == -EACCES ?
			      "; its owner says by the socket's mode who may use it" : "");
	}
}

/* ---- The broker -------------------------------------------------------- */

static int get_listener(const char *path, int *listener, int *lock)
{
	int fd = systemd_listener(), ret;

	*lock = -1;
	if (fd >= 0) {
		*listener = fd;
		return EXIT_OK;
	}
	if (fd != -ENOENT)
		return failed("LISTEN_FDS", "expected one listening Unix socket of type SOCK_SEQPACKET");
	ret = listen_at(path, listener, lock);
	return !ret ? EXIT_OK :
	       failed(path, "cannot listen there: %s; %s", strerror(-ret),
		      ret == -EADDRINUSE ? "another broker does" :
		      "make its folder, or name another with --socket");
}

static int serve(const struct vend_options *options)
{
	const struct limits *limits = &default_limits;
	const char *path = options->socket ? options->socket :
			   BARTER_VEND_SOCKET;
	static struct server server;
	char text[BARTER_VEND_TEXT_LENGTH];
	int listener, lock, status;

	/* Whoever reads the log may end before the broker does. */
	signal(SIGPIPE, SIG_IGN);
	if (raise_fd_limit(limits->connections * 2 + limits->leases * 3 +
			   DEVICES * 8 + 128))
		return failed("RLIMIT_NOFILE", "the hard limit is too low; in a unit: LimitNOFILE=4096");
	status = get_listener(path, &listener, &lock);
	if (status)
		return status;
	status = server_init(&server, &vfio_backend, limits, options->policy,
			     listener);
	if (status)
		status = failed("vend", "cannot start: %s", strerror(-status));
	else if (server_reload(&server, text, sizeof(text)))
		status = failed("vend", "%s", text);
	if (!status) {
		server_log("%s; at %s", text, lock >= 0 ? path : "the socket that was handed over");
		systemd_notify("READY=1\nSTATUS=%s", text);
		status = server_run(&server);
	}
	if (lock >= 0)
		unlisten(path, lock);
	return status;
}

/* A line of the answer to --check, and of what is wrong. */
static void check_error(struct json *json, const char *offer, int line,
			const char *text)
{
	if (!json->to)
		return;
	json_open(json, NULL, '{');
	json_text(json, "offer", offer);
	json_index(json, "line", line);
	json_text(json, "text", text);
	json_close(json, '}');
}

static int check(const struct vend_options *options)
{
	struct json json = { .to = options->json ? stdout : NULL };
	char text[BARTER_VEND_TEXT_LENGTH];
	struct policy *policy = NULL;
	const char *why;
	int status = EXIT_OK;
	uint32_t i;

	if (json.to) {
		json_open(&json, NULL, '{');
		json_text(&json, "policy", options->policy);
		json_open(&json, "errors", '[');
	}
	if (policy_read(options->policy, &policy, text, sizeof(text))) {
		policy = NULL;
		status = failed("vend", "%s", text);
		check_error(&json, NULL, -1, text);
	}
	for (i = 0; policy && i < policy->nr; i++) {
		const struct offer *offer = policy->offers[i];

		if (!vfio_backend.check(offer, &why))
			continue;
		status = failed(options->policy, "%d: [%s]: %s", offer->line,
				offer->name, why);
		check_error(&json, offer->name, offer->line, why);
	}
	if (json.to) {
		json_close(&json, ']');
		json_number(&json, "offers", policy ? policy->nr : 0);
		json_bool(&json, "right", !status);
		json_close(&json, '}');
		json_end(&json);
	} else if (!status) {
		printf("%s: %u offers\n", options->policy, policy->nr);
	}
	policy_free(policy);
	return status;
}

/* ---- The owner's questions --------------------------------------------- */

static void status_json(struct json *json,
			const struct barter_vend_status *status)
{
	char reasons[128];

	json_open(json, NULL, '{');
	json_number(json, "lease", status->lease);
	json_text(json, "offer", status->name);
	json_text(json, "state", barter_vend_state_name(status->state));
	json_text(json, "why", barter_vend_why_name(status->why));
	json_number(json, "uid", status->uid);
	json_number(json, "gid", status->gid);
	json_index(json, "pid", status->pid);
	json_text(json, "program", status->program[0] ? status->program : NULL);
	json_text(json, "device", status->device);
	json_number(json, "bar", status->bar);
	json_number(json, "ranges", status->nr_ranges);
	json_number(json, "length", status->length);
	json_bool(json, "read_only", !!(status->flags & BARTER_VEND_READ_ONLY));
	json_text(json, "memory", status->flags & BARTER_VEND_WC ? "wc" : "uc");
	json_bool(json, "shared", !!(status->flags & BARTER_VEND_SHARED));
	json_number(json, "held_seconds", status->held);
	json_index(json, "left_seconds", status->flags & BARTER_VEND_LIMITED &&
		   status->state == BARTER_VEND_LENT ? (int)status->left : -1);
	json_number(json, "taking_seconds", status->taking);
	json_text(json, "blocker", status->blocker[0] ? status->blocker : NULL);
	json_text(json, "error", status->error ? strerror(-status->error) :
		  NULL);
	json_text(json, "buffer", barter_state_name(status->buffer_state));
	json_text(json, "buffer_reasons",
		  barter_reasons_format(status->buffer_reasons, reasons,
					sizeof(reasons)));
	json_number(json, "mmaps", status->mmaps);
	json_number(json, "importers", status->importers);
	json_close(json, '}');
}

static void status_text(const struct barter_vend_status *status)
{
	char reasons[128];

	printf("%-5llu %-16s %-11s uid %u, pid %d (%s), %s, %u s",
	       (unsigned long long)status->lease, PLAIN_TEXT(status->name),
	       barter_vend_state_name(status->state), status->uid, status->pid,
	       status->program[0] ? PLAIN_TEXT(status->program) : "gone",
	       SIZE_TEXT(status->length), status->held);
	if (status->state == BARTER_VEND_LENT &&
	    status->flags & BARTER_VEND_LIMITED)
		printf(", %u s left", status->left);
	if (status->state != BARTER_VEND_LENT && status->why)
		printf(", for %u s (%s)", status->taking,
		       barter_vend_why_name(status->why));
	if (status->blocker[0])
		printf(", held up by %s", PLAIN_TEXT(status->blocker));
	if (status->error)
		printf(", %s", strerror(-status->error));
	if (status->state == BARTER_VEND_LENT &&
	    status->buffer_state != BARTER_STATE_OK)
		printf(", buffer %s (%s)",
		       barter_state_name(status->buffer_state),
		       barter_reasons_format(status->buffer_reasons, reasons,
					     sizeof(reasons)));
	printf("\n");
}

static int show_status(struct barter_broker *broker,
		       const struct vend_options *options)
{
	struct barter_vend_status status = { .lease = 0 };
	struct json json = { .to = stdout };
	int ret, nr = 0;

	if (options->json)
		json_open(&json, NULL, '[');
	while (!(ret = barter_broker_status(broker, status.lease, &status))) {
		nr++;
		if (options->json)
			status_json(&json, &status);
		else
			status_text(&status);
	}
	if (options->json) {
		json_close(&json, ']');
		json_end(&json);
	} else if (!nr && ret == -ENOENT) {
		printf("nothing is lent\n");
	}
	return ret == -ENOENT ? EXIT_OK : failed_broker(options->socket, ret);
}

/* All leases first: a broker that fails in between leaves no half of an answer. */
static int show_metrics(struct barter_broker *broker,
			const struct vend_options *options)
{
	struct barter_vend_status *leases = NULL, *more;
	struct barter_vend_status status = { .lease = 0 };
	size_t nr = 0;
	int ret;

	while (!(ret = barter_broker_status(broker, status.lease, &status))) {
		if (!(nr & (nr - 1))) {
			more = realloc(leases, (nr ? nr * 2 : 1) * sizeof(*more));
			if (!more) {
				ret = -ENOMEM;
				break;
			}
			leases = more;
		}
		leases[nr++] = status;
	}
	if (ret == -ENOENT)
		metrics_write(stdout, leases, nr);
	free(leases);
	return ret == -ENOENT ? EXIT_OK : failed_broker(options->socket, ret);
}

/* Begin, and say what it waits for, should it. */
static int take_back(struct barter_broker *broker,
		     const struct vend_options *options, uint64_t lease)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	struct barter_vend_status status;
	char blocker[BARTER_VEND_BLOCKER_LENGTH] = "";
	struct json json = { .to = stdout };
	int ret;

	ret = barter_broker_take_back(broker, lease, BARTER_VEND_NO_WAIT);
	if (ret == -ENOENT)
		return failed(options->lease, "there is no such lease; see: barter vend --status");
	while (!ret) {
		ret = barter_broker_status(broker, lease - 1, &status);
		if (ret || status.lease != lease)
			break;
		if (strcmp(blocker, status.blocker)) {
			memcpy(blocker, status.blocker, sizeof(blocker));
			/* It may have let go a moment before it is back. */
			if (blocker[0]) {
				progress_end();
				fprintf(stderr, "barter: lease %s: held up by %s\n", options->lease,
					PLAIN_TEXT(blocker));
			}
		}
		progress_begin(options->lease, "is being taken back", 0);
		nanosleep(&pause, NULL);
	}
	progress_end();
	if (ret && ret != -ENOENT)
		return failed_broker(options->socket, ret);
	if (options->json) {
		json_open(&json, NULL, '{');
		json_number(&json, "lease", lease);
		json_bool(&json, "taken_back", 1);
		json_close(&json, '}');
		json_end(&json);
	} else {
		printf("%s: taken back\n", options->lease);
	}
	return EXIT_OK;
}

static int reload(struct barter_broker *broker,
		  const struct vend_options *options)
{
	struct json json = { .to = stdout };
	struct barter_vend_text text;
	int ret;

	progress_begin("vend", "the policy is being read", 0);
	ret = barter_broker_reload(broker, &text);
	progress_end();
	if (ret && !text.text[0])
		return failed_broker(options->socket, ret);
	if (ret)
		return failed("vend", "the policy stays as it was: %s",
			      text.text);
	if (options->json) {
		json_open(&json, NULL, '{');
		json_bool(&json, "reloaded", 1);
		json_text(&json, "text", text.text);
		json_close(&json, '}');
		json_end(&json);
	} else {
		printf("%s\n", text.text);
	}
	return EXIT_OK;
}

static int ask(const struct command *command,
	       const struct vend_options *options)
{
	struct barter_broker *broker;
	uint64_t lease = 0;
	int ret, status;

	if (options->mode == OPTION_TAKE_BACK &&
	    (number_parse(options->lease, &lease) || !lease))
		return wrong_usage(command, "\"%s\" is no number of a lease",
				   options->lease);
	ret = barter_broker_open(options->socket, &broker);
	if (ret)
		return failed_broker(options->socket, ret);
	if (options->mode == OPTION_STATUS)
		status = show_status(broker, options);
	else if (options->mode == OPTION_METRICS)
		status = show_metrics(broker, options);
	else if (options->mode == OPTION_TAKE_BACK)
		status = take_back(broker, options, lease);
	else
		status = reload(broker, options);
	barter_broker_close(broker);
	return status;
}

int run_vend(const struct command *command, int argc, char **argv)
{
	static const char *const names[] = {
		[OPTION_POLICY] = "policy=",
		[OPTION_SOCKET] = "socket=",
		[OPTION_CHECK] = "check",
		[OPTION_STATUS] = "status",
		[OPTION_METRICS] = "metrics",
		[OPTION_TAKE_BACK] = "take-back=",
		[OPTION_RELOAD] = "reload",
		[OPTION_JSON] = "json",
		NULL
	};
	struct options options = { command, names, argc, argv, 0, NULL };
	struct vend_options vend = { .policy = POLICY };
	int option;

	while ((option = option_next(&options)) >= 0) {
		if (option == OPTION_POLICY) {
			vend.policy = options.value;
		} else if (option == OPTION_SOCKET) {
			vend.socket = options.value;
		} else if (option == OPTION_JSON) {
			vend.json = 1;
		} else if (vend.mode) {
			return wrong_usage(command, "--check, --status, --metrics, --take-back and --reload exclude each other");
		} else {
			vend.mode = option;
			vend.lease = options.value;
		}
	}
	if (option != OPTION_END)
		return option_exit(option);
	if (options.at < argc)
		return wrong_usage(command, "\"%s\" is too much",
				   argv[options.at]);
	if (vend.json && (!vend.mode || vend.mode == OPTION_METRICS))
		return wrong_usage(command, "--json goes with --check, --status, --take-back and --reload");
	if (!vend.mode)
		return serve(&vend);
	return vend.mode == OPTION_CHECK ? check(&vend) : ask(command, &vend);
}
