// SPDX-License-Identifier: GPL-2.0-only
/*
 * holder FILE [LENGTH]: a client of the broker, under "barter borrow": maps the buffer
 * of $BARTER_FD, writes its process's number into the first word of each half, says
 * "mapped" in FILE, and reads it for as long as it is there. Then it says "gone".
 *
 * Exit status 0 if access ended with SIGBUS, 1 if anything else was seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static sigjmp_buf faulted;

static void on_fault(int number)
{
	(void)number;
	siglongjmp(faulted, 1);
}

static void say(const char *path, const char *text)
{
	FILE *file = fopen(path, "ae");

	if (!file || fprintf(file, "%s\n", text) < 0 || fclose(file)) {
		perror(path);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	size_t length = argc > 2 ? strtoull(argv[2], NULL, 0) : 128 << 10;
	const char *fd = getenv("BARTER_FD");
	uint32_t mine = (uint32_t)getpid();
	volatile uint32_t *p;

	if (argc < 2 || !fd)
		return 2;
	p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(fd), 0);
	if (p == MAP_FAILED) {
		say(argv[1], strerror(errno));
		return 1;
	}
	signal(SIGBUS, on_fault);
	if (sigsetjmp(faulted, 1)) {
		say(argv[1], "gone");
		return 0;
	}
	p[0] = mine;
	p[length / 8] = mine;
	say(argv[1], "mapped");
	while (p[0] == mine && p[length / 8] == mine)
		usleep(10000);
	say(argv[1], "something else is there");
	return 1;
}
