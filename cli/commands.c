// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The table of commands.
 */
#include "cli.h"

#include <barter-vend.h>
#include <string.h>

const struct command commands[] = {
	{
		.group = "The machine",
		.name = "list",
		.arguments = "[--all] [--json]",
		.summary = "PCI devices with memory, and whether it can be lent",
		.help = "  --all   also bridges and devices without memory BARs\n"
			"  --json  for programs\n",
		.run = run_list,
	},
	{
		.group = "The machine",
		.name = "doctor",
		.arguments = "[--fix [--dry-run]] [--json] [BDF...]",
		.summary = "what this machine lacks for lending, and the remedy",
		.help = "Checks kernel, IOMMU, modules, /dev nodes, IOMMU groups and routes. Without\n"
			"BDF the routes are those of devices bound to barter-vfio-pci, or of those\n"
			"that could be. Routes are only shown to root.\n"
			"Exit status 1 means that something needed is missing.\n\n"
			"  --fix      as root, do what takes nothing from anybody and gives nobody a\n"
			"             right: load modules, make the nodes /dev/barter and\n"
			"             /dev/vfio/vfio, bind a device that is named and has no driver.\n"
			"             Looks again then, and prints the rest as commands\n"
			"  --dry-run  with --fix: only say what it would do\n"
			"  --json     for programs\n",
		.run = run_doctor,
	},
	{
		.group = "The machine",
		.name = "topo",
		.arguments = "[--json | --dot | --svg] [-o FILE] "
			     "[--importer BDF]... [--exporter BDF]...",
		.summary = "which device's DMA reaches whose memory, and why",
		.help = "Needs root and barter.ko for the routes; without them the tree alone is\n"
			"drawn and the exit status is 1.\n\n"
			"  --json            for programs\n"
			"  --dot             for graphviz\n"
			"  --svg             a picture\n"
			"  -o FILE           write there\n"
			"  --importer BDF    only routes from this device (may be repeated)\n"
			"  --exporter BDF    only routes to this device's memory (may be repeated)\n",
		.run = run_topo,
	},
	{
		.group = "Lending",
		.name = "bind",
		.arguments = "[--force] [--json] BDF...",
		.summary = "hand devices to barter-vfio-pci",
		.help = "Remembers the driver that each device had, for \"barter unbind\". Devices of\n"
			"one IOMMU group that have other drivers are bound together, in one call.\n\n"
			"  --force  also if the device is in use: a mounted disk, a network\n"
			"           interface that is up\n"
			"  --json   for programs\n",
		.run = run_bind,
	},
	{
		.group = "Lending",
		.name = "unbind",
		.arguments = "[--json] BDF...",
		.summary = "give devices back to the driver they had",
		.help = "Refused while a process has the device open. Buffers of the device are dead\n"
			"for ever afterwards.\n\n"
			"  --json  for programs\n",
		.run = run_unbind,
	},
	{
		.group = "Lending",
		.name = "export",
		.arguments = "[--native] [--read-only] [--attribute WORD [--force]] "
			     "[--name NAME] [--json] BDF BAR "
			     "OFFSET+LENGTH... [-- COMMAND...]",
		.summary = "lend pieces of a BAR as one dma-buf",
		.help = "With COMMAND, runs it with the dma-buf as an open fd, whose number is in\n"
			"the environment variable BARTER_FD, and ends with its exit status. Without,\n"
			"prints how to reach the buffer and holds it until stdin is at its end or a\n"
			"signal comes. Numbers are decimal or 0x..., and may end in K, M or G.\n"
			"Offsets and lengths are multiples of the page size.\n\n"
			"  --native     a buffer of the kernel's own exporter (Linux 6.19 and later),\n"
			"               which iommufd accepts: one range, no mmap, and the kernel's\n"
			"               guarantees only. The driver may also be vfio-pci\n"
			"  --read-only  nobody writes through it, neither a CPU nor a device; with\n"
			"               --native only the CPU is kept from it\n"
			"  --attribute WORD  how CPUs read and write what they map: uc, uncached (the\n"
			"               default), or wc, with writes combined\n"
			"  --force      that attribute even if the BAR is not prefetchable or is mapped\n"
			"               otherwise\n"
			"  --name NAME  shows in /proc/PID/maps; up to 31 bytes\n"
			"  --json       what was lent, for programs; before COMMAND is run\n\n"
			"Example: barter export 01:00.0 2 0+64K 1M+64K -- sh -c 'barter info $BARTER_FD'\n",
		.run = run_export,
	},
	{
		.group = "Buffers",
		.name = "info",
		.arguments = "[--all] [--json] FD | PID:FD | NAME",
		.summary = "how a buffer stands: state, reasons, users, ranges",
		.help = "FD is an open fd of this process, as \"barter export\" passes one; PID:FD is\n"
			"one of another process, which the caller must be allowed to trace; NAME is the\n"
			"name of a buffer that such a process has open (\"barter export --name\").\n\n"
			"  --all   every range, not only the first ones\n"
			"  --json  for programs\n",
		.run = run_info,
	},
	{
		.group = "Buffers",
		.name = "watch",
		.arguments = "[--json] FD | PID:FD | NAME",
		.summary = "print each change of a buffer's state, until it is dead",
		.help = "The first line is how the buffer stands. FD, PID:FD and NAME are as for\n"
			"\"barter info\". Changes that follow each other more quickly than they can be\n"
			"printed share a line, which says how many they were. Ends when the buffer is\n"
			"dead (exit status 0) or by a signal.\n\n"
			"  --json  for programs: an object for each change, one on each line\n\n"
			"Example: barter export 01:00.0 2 0+64K -- sh -c 'barter watch $BARTER_FD'\n",
		.run = run_watch,
	},
	{
		.group = "Buffers",
		.name = "top",
		.arguments = "[-d SECONDS] [-n COUNT] [--sort KEY] [--importers] [--json]",
		.summary = "all buffers live: state, users, faults, revokes",
		.help = "Reads debugfs (/sys/kernel/debug/barter), which takes root. Goes on until q or\n"
			"^C; into a file or a pipe it writes plain text, one table after the other.\n"
			"HELD BY are processes with an fd of the buffer, as PID:FD for \"barter info\";\n"
			"/s are page faults in a second; GEN counts changes of state: a revoke is two,\n"
			"the restore one more.\n\n"
			"  -d SECONDS   between two looks, 0.1 to 3600; default: 2\n"
			"  -n COUNT     so many looks, then end\n"
			"  --sort KEY   id (the default), device, length, state, mmaps, faults, rate or\n"
			"               changes; the largest or the worst first\n"
			"  --importers  who is attached, and by which interconnect\n"
			"  --json       for programs: one object for each look, one on each line\n\n"
			"Keys: q ends, s sorts by the next key, i shows and hides importers, any other\n"
			"looks at once.\n",
		.run = run_top,
	},
	{
		.group = "Buffers",
		.name = "peek",
		.arguments = "[--width N] [--raw] [--json] "
			     "{BDF BAR | --fd FD} OFFSET [LENGTH]",
		.summary = "read memory of a BAR, or of a buffer",
		.help = "LENGTH is 4 bytes if left out. A width of 4 is used where OFFSET and LENGTH\n"
			"allow it, else 1: device registers may care.\n\n"
			"  --fd FD    an open dma-buf fd instead of a device\n"
			"  --width N  read 1, 2, 4 or 8 bytes at a time\n"
			"  --raw      the bytes as they are\n"
			"  --json     for programs\n",
		.run = run_peek,
	},
	{
		.group = "Buffers",
		.name = "poke",
		.arguments = "[--width N] [--json] {BDF BAR | --fd FD} OFFSET VALUE...",
		.summary = "write memory of a BAR, or of a buffer",
		.help = "Each VALUE is written after the other, in little endian order, 4 bytes each\n"
			"unless told otherwise.\n\n"
			"  --fd FD    an open dma-buf fd instead of a device\n"
			"  --width N  write 1, 2, 4 or 8 bytes at a time\n"
			"  --json     what was written, for programs\n",
		.run = run_poke,
	},
	{
		.group = "Buffers",
		.name = "scanout",
		.arguments = "[--json] [--all] [--set FD --size WIDTHxHEIGHT "
			     "[--format F] [--stride N[,N]] [--offset N[,N]] "
			     "| --clear] [-o FILE] PF",
		.summary = "a VF's buffer as the picture of its PF (barter-pf)",
		.help = "Shows how the picture of PF stands, or sets it, or writes what the screen\n"
			"shows. PF is the PCI address of a device bound to barter-pf. The picture\n"
			"stays until --clear or another --set; while the buffer is revoked it is\n"
			"black. Numbers are decimal or 0x..., and may end in K, M or G.\n\n"
			"  --set FD      an open dma-buf fd of a VF of this PF\n"
			"  --size WxH    pixels; both even for NV12\n"
			"  --format F    XRGB8888 (the default), RGB565, NV12\n"
			"  --stride N    bytes from one row to the next; for NV12 one for each plane.\n"
			"                Default: rows one behind the other\n"
			"  --offset N    where in the buffer the picture begins; for NV12 one for each\n"
			"                plane. Default: 0, the second plane behind the first\n"
			"  --clear       no picture: let go of the buffer\n"
			"  -o FILE       write what is shown as PNG, or as PPM if FILE ends in .ppm.\n"
			"                NV12 is taken as BT.601 with limited range\n"
			"  --all         every piece in PF's memory, not only the first ones\n"
			"  --json        for programs\n\n"
			"Example: barter export 02:00.0 2 1M+600K 0+600K -- sh -c \\\n"
			"         'barter scanout 01:00.0 --set $BARTER_FD --size 640x480 -o x.png'\n",
		.run = run_scanout,
	},
	{
		.group = "Sharing by a broker",
		.name = "vend",
		.arguments = "[--policy FILE] [--socket PATH] [--json] "
			     "[--check | --status | --metrics | --take-back LEASE | "
			     "--reload]",
		.summary = "be a broker: lend named slices of BARs over a socket",
		.help = "Opens the devices that the policy names and lends their slices to those who\n"
			"\"barter borrow\" them, until SIGTERM. A lease ends with its connection, at\n"
			"the end of its time, when it is taken back, or when a new policy (SIGHUP) does\n"
			"not allow it. Needs no root, only the node of each device's IOMMU group. See\n"
			"barter-vend(1) for the policy and the units for systemd.\n\n"
			"  --policy FILE      default: /etc/barter/vend.policy\n"
			"  --socket PATH      default: " BARTER_VEND_SOCKET "\n"
			"  --check            only say whether the policy is right\n\n"
			"Of the broker that runs, for its user and root:\n\n"
			"  --status           what is lent, to whom, and what holds up a take back;\n"
			"                     others see their own leases\n"
			"  --metrics          the same as Prometheus reads it\n"
			"  --take-back LEASE  take a lease back, and wait for it\n"
			"  --reload           read the policy again\n"
			"  --json             the answer for programs; not of --metrics\n",
		.run = run_vend,
	},
	{
		.group = "Sharing by a broker",
		.name = "borrow",
		.arguments = "[--socket PATH] [--seconds N] [--json] "
			     "{NAME [-- COMMAND...] | --list}",
		.summary = "borrow a slice from a broker",
		.help = "With COMMAND, runs it with the dma-buf as an open fd, whose number is in\n"
			"the environment variable BARTER_FD, and ends with its exit status. Without,\n"
			"holds the lease until a signal comes, or until it is taken back, which is\n"
			"exit status 1. Once it is taken back every access raises SIGBUS.\n\n"
			"  --socket PATH  default: " BARTER_VEND_SOCKET "\n"
			"  --seconds N    for at most so long; default: what the policy allows\n"
			"  --list         what this user may borrow\n"
			"  --json         for programs\n\n"
			"Example: barter borrow framebuffer -- sh -c 'barter peek --fd $BARTER_FD 0 64'\n",
		.run = run_borrow,
	},
	{ .name = NULL },
};

const struct command *command_find(const char *name)
{
	const struct command *command;

	for (command = commands; command->name; command++)
		if (!strcmp(command->name, name))
			return command;
	return NULL;
}

/*
 * @text from column @at on, in lines of 80 columns. What stands in brackets stays in one
 * line, up to a bracket or bar within.
 */
static void fold(const char *text, int at, FILE *to)
{
	int indent = at, depth = 0, length;

	for (; *text; text += length + (text[length] == ' ')) {
		for (length = 0; text[length]; length++) {
			depth += strchr("[{", text[length]) ? 1 :
				 strchr("]}", text[length]) ? -1 : 0;
			if (text[length] == ' ' &&
			    (!depth || strchr("[|", text[length + 1])))
				break;
		}
		if (at + 1 + length > 79 && at > indent)
			at = fprintf(to, "\n%*s", indent, "") - 1;
		at += fprintf(to, " %.*s", length, text);
	}
	putc('\n', to);
}

void command_help(const struct command *command, FILE *to)
{
	fold(command->arguments, fprintf(to, "usage: barter %s", command->name), to);
	fprintf(to, "\n%c%s.\n\n%s",
		command->summary[0] >= 'a' && command->summary[0] <= 'z' ?
		command->summary[0] - 'a' + 'A' : command->summary[0],
		command->summary + 1, command->help);
}
