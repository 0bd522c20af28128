// SPDX-License-Identifier: GPL-2.0-only
/*
 * kernel_log: what the kernel itself has to say about a run: its log, from the
 * first line on, kmemleak, and whether DMA API debugging has watched to the end.
 *
 * The log is read from /dev/kmsg, where dmesg -c removes nothing and where a gap
 * shows in the sequence numbers.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "init.h"

#define KMEMLEAK "/sys/kernel/debug/kmemleak"

/* A line with one of these is a bug, unless /etc/vmtest/allow excuses it. */
static const char *const signs[] = {
	"WARNING:",
	"BUG:",
	"BUG at",
	"kernel BUG",
	"Oops",
	"Call Trace:",
	"general protection",
	"Kernel panic",
	"double fault",
	"stack segment",
	"Unable to handle",
	"stack-protector",
	"Bad page",
	"bad page",
	"Bad rss-counter",
	"bad pmd",
	"bad pud",
	"bad p4d",
	"bad pgd",
	"KASAN:",
	"UBSAN:",
	"KFENCE:",
	"ODEBUG:",
	"possible circular locking",
	"possible recursive locking",
	"possible irq lock inversion",
	"inconsistent lock state",
	"suspicious RCU",
	"bad unlock balance",
	"lock held when returning",
	"held lock freed",
	"nested lock was not taken",
	"Invalid wait context",
	"scheduling while atomic",
	"sleeping function called",
	"blocked for more than",
	"detected stall",
	"detected expedited stall",
	"self-detected stall",
	"soft lockup",
	"hard LOCKUP",
	"nobody cared",
	"refcount_t:",
	"list_add corruption",
	"list_del corruption",
	"list_add double add",
	"page allocation failure",
	"vmalloc error",
	"kmemleak: Cannot",
	"kmemleak: Kernel memory leak detector disabled",
	"DMA-API: device driver",
	"DMA-API: exceeded",
	"DMA-API: debugging out of memory",
	"DMA-API: cacheline tracking ENOMEM",
};

/* What healthy kernels print at boot on an emulated CPU. */
static const char *const harmless[] = {
	"Speculative Return Stack Overflow: WARNING:",
	"Spectre V2 : WARNING:",
};

/* "DEBUG:" is not "BUG:": a sign that starts with a letter starts a word. */
static bool has_sign(const char *line, const char *sign)
{
	for (const char *at = line; (at = strstr(at, sign)); at++)
		if (at == line || !isalnum((unsigned char)at[-1]) ||
		    !isalnum((unsigned char)sign[0]))
			return true;
	return false;
}

static bool is_excused(const char *line)
{
	char text[256];
	FILE *f = fopen("/etc/vmtest/allow", "re");
	bool found = false;

	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		found |= !strncmp(line, harmless[i], strlen(harmless[i]));
	while (f && !found && fgets(text, sizeof(text), f)) {
		text[strcspn(text, "\n")] = 0;
		found = text[0] && strstr(line, text);
	}
	if (f)
		fclose(f);
	return found;
}

void kmsg_check(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC), complaints = 0;
	unsigned long long expected = 0;
	char record[8192];
	ssize_t n;

	if (fd < 0) {
		report("complaint /dev/kmsg cannot be read: %s", strerror(errno));
		return;
	}
	while ((n = read(fd, record, sizeof(record) - 1)) > 0 || errno == EPIPE) {
		unsigned long long seq;
		char *text;

		if (n < 0)
			continue;	/* overrun while reading: seen as a gap below */
		record[n] = 0;
		text = strchr(record, ';');
		if (!text || sscanf(record, "%*u,%llu", &seq) != 1)
			continue;
		text++;
		text[strcspn(text, "\n")] = 0;
		if (seq != expected)
			report("complaint the kernel log overran: %llu lines lost",
			       seq - expected);
		expected = seq + 1;
		race_line(text);
		if (race_begins(text))
			continue;
		for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
			if (!has_sign(text, signs[i]) || is_excused(text))
				continue;
			/* The first few tell the story; the console log has them all. */
			if (complaints++ < 20)
				report("complaint kernel log: %s", text);
			break;
		}
	}
	close(fd);
	races_end();
	if (!expected)
		report("complaint the kernel log is empty: nothing could be searched");
}

static void kmemleak_command(const char *command)
{
	int fd = open(KMEMLEAK, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, command, strlen(command)) < 0)
		report("complaint kmemleak refuses '%s': %s", command, strerror(errno));
	close(fd);
}

static bool command_line_has(const char *word)
{
	char line[4096] = "";
	FILE *f = fopen("/proc/cmdline", "re");

	if (f && !fgets(line, sizeof(line), f))
		line[0] = 0;
	if (f)
		fclose(f);
	return strstr(line, word);
}

/* Whoever turns it off on the command line also has to excuse what it says of that. */
static bool kmemleak_is_off(void)
{
	return command_line_has(" kmemleak=off");
}

/*
 * It switches itself off for ever when it finds no memory for its own notes. Of the two
 * lines that say so one comes once only, and a log can be silenced: so it is asked.
 */
void dma_debug_check(void)
{
	FILE *f = fopen("/sys/kernel/debug/dma-api/disabled", "re");
	int off = f ? fgetc(f) : 'N';

	if (f)
		fclose(f);
	if (off != 'N' && !command_line_has(" dma_debug=off"))
		report("complaint DMA API debugging has switched itself off");
}

/* What was allocated before the project's modules came is not theirs. */
static unsigned long long began_jiffies;

void kmemleak_start(void)
{
	char line[256];
	FILE *f;

	if (access(KMEMLEAK, W_OK) || kmemleak_is_off())
		return;
	kmemleak_command("scan=off");
	f = fopen("/proc/timer_list", "re");
	while (f && fgets(line, sizeof(line), f) && !began_jiffies)
		sscanf(line, "jiffies: %llu", &began_jiffies);
	if (f)
		fclose(f);
	if (!began_jiffies)
		report("complaint /proc/timer_list does not tell the time to kmemleak");
}

/*
 * The first scan notes a checksum of what nobody points to, the second reports
 * what has not changed and is older than 5 s.
 */
void kmemleak_check(void)
{
	unsigned long long born;
	long long scanned;
	int leaks = 0, lines = 0;
	char head[256] = "", line[256];
	bool ours = false;
	FILE *f;

	if (access(KMEMLEAK, R_OK) || kmemleak_is_off())
		return;
	scanned = uptime_ms();
	kmemleak_command("scan");
	while (uptime_ms() < scanned + 6000)
		usleep(100000);
	kmemleak_command("scan");
	f = fopen(KMEMLEAK, "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		printf("kmemleak: %s\n", line);
		if (!strncmp(line, "unreferenced object", 19)) {
			strcpy(head, line);
			ours = false;
			continue;
		}
		if (head[0]) {
			char *at = strstr(line, "jiffies ");

			ours = !at || sscanf(at, "jiffies %llu", &born) != 1 ||
			       born >= began_jiffies;
			leaks += ours;
			if (ours && lines++ < 40)
				report("complaint kmemleak: %s", head);
			head[0] = 0;
		}
		if (ours && lines++ < 40)
			report("complaint kmemleak: %s", line);
	}
	if (f)
		fclose(f);
	if (leaks)
		report("complaint kmemleak: %d objects leaked", leaks);
}
