// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory: the device memory of the test machine as the host sees it, which is a
 * file per device. A test that compares these bytes does not depend on what the
 * guest's own mapping shows.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner.h"

void buffer_add(struct buffer *b, const void *data, size_t len)
{
	if (b->room - b->len < len) {
		b->room = b->len + len + 4096;
		b->data = realloc(b->data, b->room);
		if (!b->data)
			abort();
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

void buffer_drop(struct buffer *b, size_t len)
{
	memmove(b->data, b->data + len, b->len - len);
	b->len -= len;
}

void buffer_printf(struct buffer *b, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buffer_add(b, text, len < (int)sizeof(text) ? len : (int)sizeof(text) - 1);
}

/* The checksum is the machine's own sha256sum: ours would need a test too. */
static int sha256(const char *data, size_t len, struct buffer *out)
{
	char sum[65] = "";
	FILE *f = popen("exec sha256sum >sha256", "w");

	if (!f || fwrite(data, 1, len, f) != len || pclose(f)) {
		buffer_printf(out, "sha256sum failed on the host\n");
		return 1;
	}
	f = fopen("sha256", "re");
	if (!f || fread(sum, 1, 64, f) != 64) {
		buffer_printf(out, "sha256sum said nothing\n");
		return 1;
	}
	fclose(f);
	buffer_printf(out, "%s\n", sum);
	return 0;
}

static int write_hex(int fd, off_t offset, off_t size, const char *hex, struct buffer *out)
{
	size_t len = strlen(hex) / 2;

	if (strlen(hex) % 2 || !len || strspn(hex, "0123456789abcdefABCDEF") != 2 * len) {
		buffer_printf(out, "'%s' is no even number of hex digits\n", hex);
		return 1;
	}
	if ((off_t)len > size - offset) {
		buffer_printf(out, "that reaches beyond the %lld bytes there are\n",
			      (long long)size);
		return 1;
	}
	for (size_t i = 0; i < len; i++) {
		unsigned int byte;
		unsigned char c;

		sscanf(hex + 2 * i, "%2x", &byte);
		c = byte;
		if (pwrite(fd, &c, 1, offset + i) != 1) {
			buffer_printf(out, "write: %s\n", strerror(errno));
			return 1;
		}
	}
	return 0;
}

int memory_request(const char *line, struct buffer *out)
{
	char verb[16], where[64], arg[2][4096] = { "", "" }, mem[64] = "vram0", *colon, *end;
	char path[80], *data = NULL;
	unsigned long long offset, length;
	struct stat st;
	int fd, rc = 1, n;

	n = sscanf(line, "host-%15s %63s %4095s %4095s", verb, where, arg[0], arg[1]);
	if (n < 3) {
		buffer_printf(out, "'%s' lacks something; see vmctl without arguments\n", line);
		return 1;
	}
	colon = strchr(where, ':');
	if (colon)
		snprintf(mem, sizeof(mem), "%.*s", (int)(colon - where), where);
	offset = strtoull(colon ? colon + 1 : where, &end, 0);
	snprintf(path, sizeof(path), "mem/%s", mem);
	fd = strchr(mem, '/') ? -1 : open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		buffer_printf(out, "this machine has no memory '%s'\n", mem);
		goto out_free;
	}
	if (*end || offset > (unsigned long long)st.st_size) {
		buffer_printf(out, "'%s' is no offset into the %lld bytes of %s\n",
			      where, (long long)st.st_size, mem);
		goto out_free;
	}
	if (!strcmp(verb, "write")) {
		rc = write_hex(fd, offset, st.st_size, arg[0], out);
		goto out_free;
	}
	length = strtoull(arg[0], &end, 0);
	if (*end || length > st.st_size - offset) {
		buffer_printf(out, "'%s' is no length, or beyond the %lld bytes of %s\n",
			      arg[0], (long long)st.st_size, mem);
		goto out_free;
	}
	data = malloc(length + 1);
	if (!data)
		abort();
	if (!strcmp(verb, "fill")) {
		memset(data, strtoul(arg[1], NULL, 0), length);
		rc = n < 4 || pwrite(fd, data, length, offset) != (ssize_t)length;
		if (rc)
			buffer_printf(out, "host-fill needs a byte, and room\n");
		goto out_free;
	}
	if (pread(fd, data, length, offset) != (ssize_t)length) {
		buffer_printf(out, "read: %s\n", strerror(errno));
		goto out_free;
	}
	if (!strcmp(verb, "read")) {
		buffer_add(out, data, length);
		rc = 0;
	} else if (!strcmp(verb, "sha256")) {
		rc = sha256(data, length, out);
	} else {
		buffer_printf(out, "no request host-%s\n", verb);
	}
out_free:
	free(data);
	if (fd >= 0)
		close(fd);
	return rc;
}
