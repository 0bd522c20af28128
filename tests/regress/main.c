// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * regress		judge barter
 * regress refused	the same, only the tests of maps that are refused half way
 * regress native	judge the kernel's own exporter, by the record below
 * regress native-warns	the same, only the tests at which it makes the kernel warn
 * regress list		print the table's rows, tab-separated; for tests/regress/table
 *
 * Each test leaves a line "result ID VERDICT WHAT", tab-separated, among its
 * diagnostics. The record says what the kernel's exporter does in RECORDED: if
 * that changes, this suite fails, and record and documentation have to follow.
 */
#define _GNU_SOURCE
#include "regress.h"

#include <stdarg.h>

#define RECORDED_MAJOR	7
#define RECORDED_MINOR	3

#define TEST(fn)	#fn, fn

static const struct bug bugs[] = {
	{ "B1", "closing the device while its buffers are revoked hangs; refcount underflow",
	  "20260416131815.2729131-2-mattev@meta.com",
	  TEST(b1_close_of_a_revoked_device_ends), 60, PASSES, false, NULL },
	{ "B2", "after a revoke and a restore the next revoke waits for nobody",
	  "20260429182736.409323-2-clopez@suse.de",
	  TEST(b2_the_second_revoke_waits_too), 60, PASSES, false, NULL },
	{ "B3", "an importer unpins without the dma_resv: lockdep warns",
	  "20260526111034.4079-1-Ankit.Soni@amd.com",
	  TEST(b3_importers_unmap_and_unpin_under_the_lock), 60, PASSES, false,
	  "for barter: its sample importer and the test module's; for the kernel: iommufd. Lockdep judges, on debug kernels" },
	{ "B4", "wrong DMA addresses in buffers of 8 GiB and more",
	  "20251125-dma-buf-overflow-v1-1-b70ea1e6c4ba@fb.com",
	  TEST(b4_addresses_beyond_8_gib_are_right), 120, PASSES, false, NULL },
	{ "B5", "lengths above 4 GiB are cut short behind an IOMMU",
	  "20260609164047.486227-1-xuehaohu@google.com",
	  TEST(b5_lengths_beyond_4_gib_are_right), 300, PASSES, false, NULL },
	{ "B6", "segments after the first 4 GiB do not begin at a page",
	  "20260623015459.1153884-1-xuehaohu@google.com",
	  TEST(b6_segments_are_of_whole_pages), 300, PASSES, false, NULL },
	{ "B7", "use after free when another thread closes the new fd at once",
	  "20260523181446.69525-1-devnexen@gmail.com",
	  TEST(b7_close_races_with_export), 60, PASSES, false,
	  "KASAN judges, on debug kernels; with the tracepoints of both on" },
	{ "B8", "a buffer exported while memory is off can be used",
	  "20260318140408.4677fff5@shazbot.org",
	  TEST(b8_born_revoked_while_memory_is_off), 60, PASSES, false, NULL },
	{ "B9", "at close the device is turned off before importers have let go",
	  "20260330132952.GS310919@nvidia.com",
	  TEST(b9_close_asks_importers_before_the_device_is_off), 60, PASSES, false, NULL },
	{ "B10", "a BAR is exported that the driver has not claimed",
	  "20260330132952.GS310919@nvidia.com",
	  TEST(b10_an_exported_bar_is_claimed), 60, PASSES, false, NULL },
	{ "B11", "ranges are not held against the BAR's length",
	  "20251017130249.GA309181@nvidia.com",
	  TEST(b11_ranges_stay_inside_the_bar), 60, PASSES, false, NULL },
	{ "B12", "I/O virtual addresses leak when an importer never maps, or detaches late",
	  NULL, TEST(b12_importers_come_and_go_without_a_leak), 60, PASSES, false, NULL },
	{ "B13", "an importer that cannot let go is accepted: no revoke is possible",
	  NULL, TEST(b13_no_importer_keeps_the_memory), 60, PASSES, false, NULL },
	{ "B14", "a proposed match of mapping types asserts a lock that attach does not hold",
	  "f4e2171a-da58-488f-be02-26a39b5afbe3@linux.intel.com",
	  NULL, NULL, 0, PASSES, false, "in a proposal only; barter has no mapping types to match" },
	{ "B15", "an exporter checks only where a range starts, not where it ends",
	  "20260526124413.2220-1-lirongqing@baidu.com",
	  TEST(b15_the_end_of_a_range_is_checked), 60, PASSES, false,
	  "the report is of mlx5's exporter" },
	{ "B16", "irdma's callback may run before its private pointer is set",
	  "20260217184559.GP750753@ziepe.ca",
	  NULL, NULL, 0, PASSES, false, "in an RDMA importer; barter's sample importer looks up nothing in its callback that attach sets later" },
	{ "B17a", "a reset waits for a broken importer for ever, and cannot be killed",
	  NULL, TEST(b17a_who_waits_for_an_importer_can_be_killed), 60, FAILS, false, NULL },
	{ "B17b", "the same in a reset by sysfs and in close",
	  NULL, TEST(b17b_what_cannot_be_refused_waits_to_the_end), 60, LACKS, false,
	  "inherited: a driver can refuse neither. barter names the importer, and goes on when it lets go" },
	{ "B18", "use after free and a leak in the variant drivers of xe and pds",
	  NULL, NULL, NULL, 0, PASSES, false, "in code of two devices; barter's variant driver has no migration" },
	{ "B19", "a fault after a VMA was split warns",
	  "20260527163837.02be1e7c@shazbot.org",
	  TEST(b19_split_mappings_fault_quietly), 60, LACKS, false, NULL },
	{ "B20", "an importer for TPH does not ask again after a revoke",
	  "20260709132602.6a3fb084@shazbot.org",
	  NULL, NULL, 0, PASSES, false, "in an importer; barter exports no TPH" },
	{ "N1", "two ranges cannot be mapped behind an IOMMU (EADDRINUSE)",
	  NULL, TEST(n1_two_ranges_map_behind_an_iommu), 60, FAILS, false, NULL },
	{ "N2a", "a map that is refused half way gives I/O virtual addresses back that it never had",
	  NULL, TEST(n2a_refused_maps_leave_nothing_behind), 60, FAILS, true, NULL },
	{ "N2b", "a map that fails gives its I/O virtual addresses back wrong",
	  NULL, TEST(n2b_maps_that_fail_give_addresses_back_once), 60, FAILS, true, NULL },
	{ "N3", "unwinding a failed map walks past what was filled",
	  NULL, TEST(n3_maps_that_run_out_of_memory_leave_nothing_behind), 120, FAILS, true,
	  "by fault injection, on debug kernels" },
	{ "N4", "importers cannot tell the ranges of a buffer apart",
	  NULL, TEST(n4_a_slice_of_each_range_is_where_it_belongs), 60, FAILS, false, NULL },
	{ "N5", "a restore tells importers to let go once more",
	  NULL, TEST(n5_a_restore_tells_nobody), 60, FAILS, false, NULL },
	{ "N6", "iommufd: an area stays dead after a revoke, and cannot be split",
	  NULL, NULL, NULL, 0, PASSES, false, "in iommufd, an importer" },
	{ "N6a", "a hot reset waits for importers with the locks of all devices held",
	  NULL, TEST(n6a_hot_reset_waits_without_locks), 60, FAILS, false, NULL },
	{ "N6a2", "a hot reset fails with EBUSY when somebody just uses a device",
	  NULL, TEST(n6a2_busy_locks_refuse_a_hot_reset), 60, FAILS, false,
	  "inherited: vfio-pci-core only tries the locks. A refused reset takes no buffer away" },
	{ "N6b", "after a reset with memory off buffers stay away until memory is on",
	  NULL, TEST(n6b_memory_that_comes_back_brings_buffers_back), 60, PASSES, false,
	  "as it should be: the same buffers come back with the memory" },
	{ "M3a", "writing COMMAND in low power gives buffers back",
	  NULL, TEST(m3a_command_in_low_power_gives_nothing_back), 60, FAILS, false, NULL },
	{ "M3b", "a buffer exported in low power can be used",
	  NULL, TEST(m3b_born_revoked_in_low_power), 60, FAILS, false, NULL },
	{ "M4a", "a buffer cannot be mmapped",
	  NULL, TEST(m4a_a_buffer_can_be_mmapped), 60, FAILS, false, NULL },
	{ "M4b", "a reset by sysfs takes no buffer back",
	  NULL, TEST(m4b_reset_by_sysfs_revokes), 60, FAILS, false, NULL },
	{ "M4d", "unbinding the driver takes no buffer back while the device is open",
	  NULL, TEST(m4d_unbind_revokes_at_once), 60, FAILS, false, NULL },
	{ "M4c", "an error of the link (AER) takes no buffer back",
	  NULL, TEST(m4c_an_error_of_the_link_revokes), 60, FAILS, false, NULL },
	/* The last one: where the kernel leaks, every map before it counts. */
	{ "M2", "every unmap leaks the scatterlist",
	  NULL, TEST(m2_unmap_frees_the_scatterlist), 120, FAILS, false, NULL },
};

#define NR_BUGS	(sizeof(bugs) / sizeof(*bugs))

bool own;

static const char *const words[] = { "passes", "fails", "lacks", "inherited" };

/* Of the test that runs. */
static enum verdict verdict;
static bool broken, not_run;
static char what[300];

static void verdict_set(enum verdict v, const char *text)
{
	if (verdict != PASSES)
		return;
	verdict = v;
	snprintf(what, sizeof(what), "%s", text);
}

static bool judge(bool pass, const char *text, const char *result)
{
	if (!pass)
		verdict_set(FAILS, result);
	if (own)
		diag("%s: %s", pass ? "holds" : "does not hold", text);
	else
		ok(pass, "%s", text);
	return pass;
}

bool check(bool pass, const char *fmt, ...)
{
	char text[200], whole[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(whole, sizeof(whole), "not so: %s", text);
	return judge(pass, text, whole);
}

bool check_errno(long long got, int want, const char *fmt, ...)
{
	char text[200], whole[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (want ? got == -want : got >= 0)
		return judge(true, text, "");
	snprintf(whole, sizeof(whole), "%s: %s", text,
		 got < 0 ? strerrorname_np((int)-got) ?: "?" : "it succeeds");
	return judge(false, whole, whole);
}

bool setup(bool pass, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	broken |= !pass;
	if (!pass || !own)
		ok(pass, "%s", text);
	return pass;
}

void inherited(const char *text)
{
	verdict_set(own ? FAILS : INHERITED, text);
}

void lacks(const char *text)
{
	verdict_set(LACKS, text);
}

void cannot(const char *why)
{
	not_run = true;
	snprintf(what, sizeof(what), "%s", why);
	skip(why, "not run");
}

/* The test, and in a boot of its own what the kernel has to say about it. */
static void run_fn(const struct bug *b)
{
	struct log log;

	if (!own || !b->warns) {
		tap_case(b->test, b->fn, b->seconds);
		return;
	}
	log_open(&log);
	tap_case(b->test, b->fn, b->seconds);
	if (log_wait(&log, "WARNING:", "", 200)) {
		verdict = FAILS;
		snprintf(what, sizeof(what), "the kernel warns");
		not_run = false;
	}
	log_close(&log);
}

static void own_recorded(const struct bug *b)
{
	if (broken || not_run)
		return;
	if (kernel_before(RECORDED_MAJOR, RECORDED_MINOR)) {
		skip("the record is of a later kernel", "%s", words[verdict]);
		return;
	}
	ok(verdict == b->own, "the kernel's own exporter %s, as recorded",
	   words[b->own]);
	if (verdict != b->own)
		diag("it %s: %s. The record in main.c and the documentation have to follow.",
		     words[verdict], what);
}

static void run(const struct bug *b)
{
	const char *only = getenv("BARTER_ONLY");

	if (only && !strstr(b->test, only))
		return;
	verdict = PASSES;
	broken = not_run = false;
	what[0] = 0;
	run_fn(b);
	if (own)
		own_recorded(b);
	diag("result\t%s\t%s\t%s", b->id,
	     broken ? "broken" : not_run ? "not run" : words[verdict], what);
}

static void list(void)
{
	for (unsigned int i = 0; i < NR_BUGS; i++)
		printf("%s\t%s\t%s\t%s\t%s\n", bugs[i].id, bugs[i].symptom,
		       bugs[i].seen ?: "-", bugs[i].test ?: "-",
		       bugs[i].note ?: "-");
}

int main(int argc, char **argv)
{
	struct utsname u;
	bool warns;

	if (argc > 1 && !strcmp(argv[1], "list")) {
		list();
		return 0;
	}
	if (argc > 1 && !strcmp(argv[1], "refused"))
		setenv("BARTER_ONLY", "n2", 1);
	warns = argc > 1 && !strcmp(argv[1], "native-warns");
	own = warns || (argc > 1 && !strcmp(argv[1], "native"));
	if (own && kernel_before(6, 19)) {
		skip("no exporter in the kernel before 6.19",
		     "the kernel's own exporter");
		return tap_done();
	}
	if (own)
		setenv("BARTER_DRIVER", "vfio-pci", 1);
	uname(&u);
	diag("kernel\t%s", u.release);
	fixture_open();
	fill(bar, SEED, 0, bar_length);
	for (unsigned int i = 0; i < NR_BUGS; i++)
		if (bugs[i].fn && (!own || bugs[i].warns == warns))
			run(&bugs[i]);
	if (warns)
		forget_native_leaks();
	return tap_done();
}
