// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmctl REQUEST...: inside the test machine, ask the host for something.
 *
 *	vmctl device_del ivshm0			any command of QEMU's monitor
 *	vmctl pcie_aer_inject_error rp0 DLP
 *	vmctl host-sha256 [MEM:]OFFSET LENGTH	of the memory behind a device,
 *	vmctl host-read   [MEM:]OFFSET LENGTH	  as the host sees it (raw bytes)
 *	vmctl host-write  [MEM:]OFFSET HEX
 *	vmctl host-fill   [MEM:]OFFSET LENGTH BYTE
 *
 * MEM is the name of a backing file of the machine, vram0 by default. Numbers
 * may be decimal or 0x. Exit status 0, or 1 with a message where the host says
 * no; QEMU's monitor reports its own errors as text with status 0.
 *
 * The request goes as one line over the second serial port; the answer is
 * "STATUS LENGTH\n" and LENGTH bytes, in pieces that are acknowledged with "+"
 * since a serial line without flow control loses what nobody reads in time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <termios.h>
#include <unistd.h>

#include "../chunk.h"

static int port;

static void die(const char *what)
{
	fprintf(stderr, "vmctl: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void put(const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(port, buf, len);

		if (n < 0)
			die("cannot send to the host");
		buf += n;
		len -= n;
	}
}

static void get(char *buf, size_t len)
{
	while (len) {
		ssize_t n = read(port, buf, len);

		if (n <= 0)
			die("no answer from the host");
		buf += n;
		len -= n;
	}
}

int main(int argc, char **argv)
{
	char head[64], chunk[VMCTL_CHUNK];
	size_t length, at = 0;
	struct termios tio;
	int status;

	if (argc < 2) {
		fprintf(stderr, "usage: vmctl MONITOR-COMMAND... | host-sha256|host-read "
			"[MEM:]OFFSET LENGTH | host-write [MEM:]OFFSET HEX | "
			"host-fill [MEM:]OFFSET LENGTH BYTE\n");
		return 2;
	}
	port = open("/dev/ttyS1", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (port < 0 || flock(port, LOCK_EX) || tcgetattr(port, &tio))
		die("/dev/ttyS1");
	cfmakeraw(&tio);
	tio.c_cc[VMIN] = 1;
	tio.c_cc[VTIME] = 0;
	if (tcsetattr(port, TCSANOW, &tio))
		die("/dev/ttyS1");
	/* Half an answer to somebody who was killed is not ours. */
	tcflush(port, TCIFLUSH);

	for (int i = 1; i < argc; i++) {
		put(argv[i], strlen(argv[i]));
		put(i + 1 < argc ? " " : "\n", 1);
	}
	do {
		get(head + at, 1);
		if (at == sizeof(head) - 1)
			die("the host's answer makes no sense");
	} while (head[at++] != '\n');
	head[at] = 0;
	if (sscanf(head, "%d %zu", &status, &length) != 2)
		die("the host's answer makes no sense");
	while (length) {
		size_t n = length < sizeof(chunk) ? length : sizeof(chunk);

		get(chunk, n);
		put("+", 1);
		fwrite(chunk, 1, n, status ? stderr : stdout);
		length -= n;
	}
	return fflush(stdout) || status ? 1 : 0;
}
