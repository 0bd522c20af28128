// SPDX-License-Identifier: GPL-2.0-only
/*
 * runner -t SECONDS -d DIR [-b SECONDS] [-i] -- QEMU...: the host's side of one run.
 *
 * Starts QEMU in DIR with the channels that the guest's init and vmctl expect,
 * passes the command's output on, forwards vmctl's requests to QEMU's monitor or
 * answers them from the backing files in DIR/mem, and ends QEMU when the verdict
 * is there, when the time is up, or when we are told to stop. Everything runs in
 * one poll loop: QEMU stands still while one of its channels is full, so nothing
 * here may wait for QEMU in any other place.
 *
 * What came out is left in DIR/result, one line each, for vmtest to read:
 *	begun, ready MS, complaint TEXT, note TEXT, exit STATUS, verdict	as init reported
 *	late		the time was up
 *	silent		the kernel wrote nothing for -b seconds, and init had not begun
 *	signal N	QEMU itself was killed by signal N
 *	qemu N		QEMU ended by itself with status N
 *	stopped		we were interrupted
 * and DIR/out.tar holds the guest's /out.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runner.h"

enum { REPORT, OUTPUT, ERRORS, CONTROL, MONITOR, NR_CHANNELS };

static struct channel {
	const char *name;
	int fd;
	struct buffer in, out;
} channels[NR_CHANNELS] = {
	[REPORT] = { .name = "report" },
	[OUTPUT] = { .name = "output" },
	[ERRORS] = { .name = "errors" },
	[CONTROL] = { .name = "control" },
	[MONITOR] = { .name = "monitor" },
};

static FILE *result;
static volatile sig_atomic_t stop_signal;
static bool have_report, have_verdict;

/* The answer to the guest that is on its way, and how much may go out now. */
static struct buffer answer;

/* What QEMU's monitor is doing: commands in order, each for the guest or for us. */
#define PROMPT "(qemu) "
static struct command {
	char *line;
	bool for_guest;
} queue[8];
static int queued;
static bool monitor_ready, monitor_busy;

static void die(const char *what)
{
	fprintf(stderr, "vmtest: %s: %s\n", what, strerror(errno));
	exit(125);
}

static void on_signal(int sig)
{
	stop_signal = sig;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* ---- the monitor ---- */

static void monitor_next(void)
{
	if (!monitor_ready || monitor_busy || !queued)
		return;
	buffer_add(&channels[MONITOR].out, queue[0].line, strlen(queue[0].line));
	buffer_add(&channels[MONITOR].out, "\n", 1);
	monitor_busy = true;
}

static void monitor_send(const char *line, bool for_guest)
{
	if (queued == sizeof(queue) / sizeof(queue[0]))
		return;
	queue[queued++] = (struct command){ strdup(line), for_guest };
	monitor_next();
}

static void guest_answer(int status, const struct buffer *text)
{
	struct buffer *out = &channels[CONTROL].out;

	out->len = 0;
	answer.len = 0;
	buffer_printf(out, "%d %zu\n", status, text->len);
	buffer_add(&answer, text->data, text->len);
}

/* The next piece of the answer; called for the first and for each "+". */
static void guest_answer_piece(void)
{
	size_t len = answer.len < VMCTL_CHUNK ? answer.len : VMCTL_CHUNK;

	buffer_add(&channels[CONTROL].out, answer.data, len);
	buffer_drop(&answer, len);
}

/*
 * The monitor echoes the command with terminal escapes, ends that line, prints
 * its answer and then the prompt.
 */
static void monitor_input(struct buffer *in)
{
	size_t plen = strlen(PROMPT);
	struct buffer text = { 0 };
	char *begin;

	if (in->len < plen || memcmp(in->data + in->len - plen, PROMPT, plen))
		return;
	if (monitor_ready && !monitor_busy) {
		in->len = 0;
		return;
	}
	if (!monitor_ready) {
		monitor_ready = true;
		in->len = 0;
		monitor_next();
		return;
	}
	begin = memchr(in->data, '\n', in->len);
	if (!begin)
		return;		/* a prompt that is part of the echo */
	begin++;
	for (char *c = begin; c < in->data + in->len - plen; c++)
		if (*c != '\r')
			buffer_add(&text, c, 1);
	if (queue[0].for_guest) {
		guest_answer(0, &text);
		guest_answer_piece();
	}
	free(text.data);
	free(queue[0].line);
	memmove(queue, queue + 1, --queued * sizeof(queue[0]));
	in->len = 0;
	monitor_busy = false;
	monitor_next();
}

/* ---- the guest ---- */

static void control_line(const char *line)
{
	struct buffer text = { 0 };
	int status;

	if (!strncmp(line, "host-", 5)) {
		status = memory_request(line, &text);
		guest_answer(status, &text);
		guest_answer_piece();
		free(text.data);
	} else {
		monitor_send(line, true);
	}
}

static void control_input(struct buffer *in)
{
	char *end;

	while (in->len) {
		if (in->data[0] == '+') {
			buffer_drop(in, 1);
			guest_answer_piece();
			continue;
		}
		end = memchr(in->data, '\n', in->len);
		if (!end)
			return;
		*end = 0;
		control_line(in->data);
		buffer_drop(in, end + 1 - in->data);
	}
}

static void report_line(const char *line)
{
	unsigned long long bytes;

	if (sscanf(line, "out %llu", &bytes) == 1) {
		char command[128];

		snprintf(command, sizeof(command), "pmemsave %s %llu out.tar",
			 getenv("VMTEST_OUT_BASE"), bytes);
		monitor_send(command, false);
		return;
	}
	have_report = true;
	fprintf(result, "%s\n", line);
	fflush(result);
	if (!strcmp(line, "verdict")) {
		have_verdict = true;
		monitor_send("quit", false);
	}
}

static void report_input(struct buffer *in)
{
	char *end;

	while (in->len && (end = memchr(in->data, '\n', in->len))) {
		*end = 0;
		report_line(in->data);
		buffer_drop(in, end + 1 - in->data);
	}
}

static void pass_on(struct buffer *in, int fd)
{
	size_t at = 0;

	while (at < in->len) {
		ssize_t n = write(fd, in->data + at, in->len - at);

		if (n < 0 && errno == EAGAIN) {
			poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 1000);
			continue;
		}
		if (n < 0 && errno != EINTR)
			break;
		at += n > 0 ? n : 0;
	}
	in->len = 0;
}

static void channel_input(int i)
{
	struct channel *ch = &channels[i];
	char buf[65536];
	ssize_t n = read(ch->fd, buf, sizeof(buf));

	if (n <= 0) {
		if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
			close(ch->fd);
			ch->fd = -1;
		}
		return;
	}
	buffer_add(&ch->in, buf, n);
	switch (i) {
	case REPORT:
		report_input(&ch->in);
		break;
	case OUTPUT:
		pass_on(&ch->in, STDOUT_FILENO);
		break;
	case ERRORS:
		pass_on(&ch->in, STDERR_FILENO);
		break;
	case CONTROL:
		control_input(&ch->in);
		break;
	case MONITOR:
		monitor_input(&ch->in);
		break;
	}
}

/* One round of the loop; false once every channel is closed. */
static bool turn(int timeout)
{
	struct pollfd fds[NR_CHANNELS];
	bool open_channels = false;

	for (int i = 0; i < NR_CHANNELS; i++) {
		fds[i] = (struct pollfd){ .fd = channels[i].fd, .events = POLLIN };
		if (channels[i].out.len)
			fds[i].events |= POLLOUT;
		open_channels |= channels[i].fd >= 0;
	}
	if (!open_channels || poll(fds, NR_CHANNELS, timeout) < 0)
		return open_channels;
	for (int i = 0; i < NR_CHANNELS; i++) {
		struct channel *ch = &channels[i];

		if (ch->fd >= 0 && fds[i].revents & POLLOUT) {
			ssize_t n = send(ch->fd, ch->out.data, ch->out.len,
					 MSG_DONTWAIT | MSG_NOSIGNAL);

			if (n > 0)
				buffer_drop(&ch->out, n);
		}
		if (ch->fd >= 0 && fds[i].revents & (POLLIN | POLLHUP | POLLERR))
			channel_input(i);
	}
	return true;
}

/* ---- QEMU ---- */

static pid_t start_qemu(char **qemu, bool interactive)
{
	static char text[NR_CHANNELS][96];
	static const char *const console[2] = {
		"file,id=console,path=console.log",
		"stdio,id=console,signal=off,mux=off,logfile=console.log",
	};
	int theirs[NR_CHANNELS], argc = 0, pair[2], log;
	const char *argv[512];
	pid_t pid;

	while (qemu[argc] && argc < 400) {
		argv[argc] = qemu[argc];
		argc++;
	}
	for (int i = 0; i < NR_CHANNELS; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
			die("socketpair");
		fcntl(pair[0], F_SETFD, FD_CLOEXEC);
		channels[i].fd = pair[0];
		theirs[i] = pair[1];
		snprintf(text[i], sizeof(text[i]), "socket,id=%s,fd=%d",
			 channels[i].name, pair[1]);
		argv[argc++] = "-chardev";
		argv[argc++] = text[i];
	}
#define ARGS(...) do {						\
		static const char *const more[] = { __VA_ARGS__ };	\
		for (size_t j = 0; j < sizeof(more) / sizeof(more[0]); j++) \
			argv[argc++] = more[j];			\
	} while (0)
	ARGS("-device", "isa-debugcon,iobase=0xe8,chardev=report",
	     "-device", "isa-debugcon,iobase=0xe9,chardev=output",
	     "-device", "isa-debugcon,iobase=0xea,chardev=errors",
	     "-serial", "chardev:console", "-serial", "chardev:control",
	     "-mon", "chardev=monitor,mode=readline", "-chardev");
	argv[argc++] = console[interactive];
	argv[argc] = NULL;

	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid) {
		for (int i = 0; i < NR_CHANNELS; i++)
			close(theirs[i]);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	log = open("qemu.log", O_WRONLY | O_CREAT | O_TRUNC, 0666);
	if (!interactive) {
		/* A terminal's Ctrl-C is for us, who then end QEMU. */
		setpgid(0, 0);
		dup2(open("/dev/null", O_RDWR), 0);
		dup2(log, 1);
	}
	dup2(log, 2);
	execvp(argv[0], (char **)argv);
	fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Has the kernel written nothing for LIMIT seconds while init has not begun? */
static bool silent(double limit)
{
	static double since;
	static off_t size = -1;
	struct stat st;

	if (have_report || limit <= 0)
		return false;
	if (stat("console.log", &st))
		st.st_size = 0;
	if (st.st_size != size) {
		size = st.st_size;
		since = now();
	}
	return now() - since > limit;
}

int main(int argc, char **argv)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
	double deadline = 0, quit_by = 0, silence = 0;
	const char *dir = NULL;
	bool interactive = false, killed = false;
	int opt, status = 0;
	FILE *pidfile;
	pid_t qemu;

	while ((opt = getopt(argc, argv, "+t:b:d:i")) != -1) {
		if (opt == 't')
			deadline = now() + atof(optarg);
		else if (opt == 'b')
			silence = atof(optarg);
		else if (opt == 'd')
			dir = optarg;
		else if (opt == 'i')
			interactive = true;
		else
			return 125;
	}
	if (!dir || optind >= argc || chdir(dir))
		die("usage: runner -t SECONDS -d DIR [-b SECONDS] [-i] -- QEMU...");
	result = fopen("result", "we");
	if (!result)
		die("result");
	for (size_t i = 0; i < 3; i++)
		sigaction(ends[i], &(struct sigaction){ .sa_handler = on_signal }, NULL);
	signal(SIGPIPE, SIG_IGN);
	qemu = start_qemu(argv + optind, interactive);
	pidfile = fopen("qemu.pid", "we");
	if (pidfile) {
		fprintf(pidfile, "%d\n", qemu);
		fclose(pidfile);
	}

	while (waitpid(qemu, &status, WNOHANG) == 0) {
		turn(100);
		if (have_verdict && !quit_by)
			quit_by = now() + 10;
		if (stop_signal && !killed)
			fputs("stopped\n", result);
		else if (deadline && now() > deadline && !have_verdict && !killed)
			fputs("late\n", result);
		else if (!killed && silent(silence))
			fputs("silent\n", result);
		else if (!quit_by || now() < quit_by)
			continue;
		if (!killed)
			kill(qemu, SIGKILL);
		killed = true;
	}
	/* What QEMU wrote before it ended is still in the sockets. */
	for (int i = 0; i < 1000; i++)
		if (!turn(0))
			break;
	if (!killed && WIFSIGNALED(status))
		fprintf(result, "signal %d\n", WTERMSIG(status));
	else if (!killed)
		fprintf(result, "qemu %d\n", WEXITSTATUS(status));
	fclose(result);
	unlink("qemu.pid");
	return 0;
}
