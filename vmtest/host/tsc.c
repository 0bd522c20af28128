// SPDX-License-Identifier: GPL-2.0-only
/*
 * tsc: how fast this machine's time-stamp counter counts, in kHz, on standard output;
 * 0 where there is none. QEMU without KVM and without -icount gives the guest this
 * counter, and a guest that has to measure it against an emulated timer, on a busy
 * host, may be off by any factor: all its timeouts would be too.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#ifdef __x86_64__
#include <x86intrin.h>

#define NS_PER_S	1000000000ull
/* Long enough that an error of a microsecond at either end is 20 in a million. */
#define SPAN_NS		100000000ull

struct moment {
	uint64_t ticks, ns;
};

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* Counter and clock at once: of some tries the one that nothing came between. */
static struct moment moment(void)
{
	struct moment best = {};
	uint64_t gap = UINT64_MAX;
	int i;

	for (i = 0; i < 64; i++) {
		uint64_t before = __rdtsc(), ns = now(), after = __rdtsc();

		if (after - before < gap) {
			gap = after - before;
			best = (struct moment){ .ticks = before + gap / 2, .ns = ns };
		}
	}
	return best;
}

int main(void)
{
	const struct timespec span = { .tv_nsec = SPAN_NS };
	struct moment first = moment(), last;

	nanosleep(&span, NULL);
	last = moment();
	printf("%.0f\n", (last.ticks - first.ticks) * 1e6 / (last.ns - first.ns));
	return 0;
}
#else
int main(void)
{
	puts("0");
	return 0;
}
#endif
