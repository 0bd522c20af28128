// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * Words for the ABI's numbers. They are stable: programs may compare them.
 */
#include "internal.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *name_of(const char *const *names, size_t count,
			   uint32_t number)
{
	if (number < count && names[number])
		return names[number];
	return "unknown";
}

BARTER_API const char *barter_state_name(uint32_t state)
{
	static const char *const names[] = {
		[BARTER_STATE_OK] = "ok",
		[BARTER_STATE_REVOKING] = "revoking",
		[BARTER_STATE_REVOKED] = "revoked",
		[BARTER_STATE_DEAD] = "dead",
	};

	return name_of(names, COUNT(names), state);
}

BARTER_API const char *barter_kind_name(uint32_t kind)
{
	static const char *const names[] = {
		[BARTER_KIND_OTHER] = "other",
		[BARTER_KIND_BARTER] = "barter",
		[BARTER_KIND_NATIVE] = "native",
	};

	return name_of(names, COUNT(names), kind);
}

BARTER_API const char *barter_reason_name(uint32_t reason)
{
	switch (reason) {
	case BARTER_REASON_CONFIG:
		return "config";
	case BARTER_REASON_MEMORY:
		return "memory";
	case BARTER_REASON_RESET:
		return "reset";
	case BARTER_REASON_LOW_POWER:
		return "low-power";
	case BARTER_REASON_ERROR:
		return "error";
	case BARTER_REASON_CLOSED:
		return "closed";
	case BARTER_REASON_GONE:
		return "gone";
	case BARTER_REASON_REQUESTED:
		return "requested";
	case BARTER_REASON_INTERRUPTED:
		return "interrupted";
	default:
		return "unknown";
	}
}

BARTER_API char *barter_reasons_format(uint32_t reasons, char *text,
				       size_t length)
{
	size_t used = 0;
	unsigned int bit;

	text[0] = '\0';
	for (bit = 0; bit < 32; bit++) {
		const char *name;
		size_t need;

		if (!(reasons & 1U << bit))
			continue;
		name = barter_reason_name(1U << bit);
		need = strlen(name) + (used ? 1 : 0);
		if (need >= length - used)
			break;
		if (used)
			text[used++] = ',';
		memcpy(text + used, name, strlen(name) + 1);
		used += strlen(name);
	}
	return text;
}

BARTER_API const char *barter_route_name(uint32_t route)
{
	static const char *const names[] = {
		[BARTER_ROUTE_NONE] = "none",
		[BARTER_ROUTE_BUS] = "bus",
		[BARTER_ROUTE_HOST] = "host-bridge",
		[BARTER_ROUTE_SAME] = "same-device",
	};

	return name_of(names, COUNT(names), route);
}

BARTER_API const char *barter_why_name(uint32_t why)
{
	static const char *const names[] = {
		[BARTER_WHY_SAME_DEVICE] = "same-device",
		[BARTER_WHY_COMMON_BRIDGE] = "common-bridge",
		[BARTER_WHY_CPU_ALLOWED] = "cpu-allowed",
		[BARTER_WHY_BRIDGE_ALLOWED] = "bridge-allowed",
		[BARTER_WHY_ADMIN_ALLOWED] = "admin-allowed",
		[BARTER_WHY_NOT_PCI] = "not-pci",
		[BARTER_WHY_BRIDGE_UNKNOWN] = "bridge-unknown",
		[BARTER_WHY_BRIDGES_DIFFER] = "bridges-differ",
		[BARTER_WHY_DMA_MASK] = "dma-mask",
		[BARTER_WHY_KERNEL_REFUSED] = "kernel-refused",
		[BARTER_WHY_NO_HOST_BRIDGE] = "no-host-bridge",
	};

	return name_of(names, COUNT(names), why);
}

BARTER_API const char *barter_memattr_name(uint32_t memattr)
{
	switch (memattr) {
	case BARTER_MEMATTR_UC:
		return "uc";
	case BARTER_MEMATTR_WC:
		return "wc";
	default:
		return "unknown";
	}
}
