// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The guest of suite vmm's guest, in place of its firmware: it does what it is told over
 * its serial port (order.h), so that the test decides what a guest does, and this is the
 * CPU that does it. It has no variables but those on its stack.
 *
 * Each access to the port costs a way out of two machines: so orders are short, not text.
 */
#include "../../lib/access.h"
#include "../order.h"

#define COM1	0x3f8
#define FIFO	(COM1 + 2)
#define STATUS	(COM1 + 5)
/* On, cleared, and told of when there are 14 bytes. */
#define FIFO_14	0xc7

static uint32_t load(uint32_t at)
{
	return *(volatile uint32_t *)at;
}

static void store(uint32_t at, uint32_t value)
{
	*(volatile uint32_t *)at = value;
}

static uint8_t in_byte(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "d"(port));
	return value;
}

static void out_byte(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "d"(port));
}

static uint32_t in(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "d"(port));
	return value;
}

static void out(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "d"(port));
}

static uint32_t fill_all(const struct order *o)
{
	for (uint32_t i = 0; i < o->value; i += 4)
		store(o->at + i, pattern(o->seed, o->place + i));
	return 0;
}

static uint32_t first_other(const struct order *o)
{
	for (uint32_t i = 0; i < o->value; i += 4)
		if (load(o->at + i) != pattern(o->seed, o->place + i))
			return i;
	return ~0u;
}

/*
 * Between two looks at the port a while passes that costs the machine below nothing. Each
 * byte is waited for: QEMU may hand an order over in two parts.
 */
static void take(struct order *o)
{
	uint8_t *to = (uint8_t *)o;

	for (uint32_t n = 0; n < sizeof(*o); n++) {
		while (!(in_byte(STATUS) & 1))
			for (int i = 0; i < 200; i++)
				__asm__ volatile("pause");
		to[n] = in_byte(COM1);
	}
}

static void answer(uint32_t value)
{
	const void *from = &value;
	uint32_t n = sizeof(value);

	__asm__ volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(COM1), "m"(value));
}

void main(void)
{
	struct order o;
	uint32_t value;

	out_byte(FIFO, FIFO_14);
	answer(ORDER_UP);
	for (;;) {
		take(&o);
		value = 0;
		switch (o.verb) {
		case ORDER_ECHO:
			value = o.value;
			break;
		case ORDER_LOAD:
			value = load(o.at);
			break;
		case ORDER_STORE:
			store(o.at, o.value);
			break;
		case ORDER_FILL:
			value = fill_all(&o);
			break;
		case ORDER_DIFFERS:
			value = first_other(&o);
			break;
		case ORDER_OUT:
			out((uint16_t)o.at, o.value);
			break;
		case ORDER_CONFIG:
			out(0xcf8, o.at);
			value = in(0xcfc);
			break;
		case ORDER_CONFIG_SET:
			out(0xcf8, o.at);
			out(0xcfc, o.value);
			break;
		}
		answer(value);
	}
}
