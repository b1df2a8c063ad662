/* SPDX-License-Identifier: Apache-2.0 */
#include "ports.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/num.h"
#include "proto/request.h"

#define LOOK_MS		 50	    /* between two looks */
#define TEXT_MAX	 (1u << 20) /* bytes of one list: about 7000 sockets; TCP's has listeners first */
#define TCP_LISTEN_STATE 0x0a	    /* <linux/tcp_states.h>, not for user space */

/* The hex number at @p, UINT64_MAX for none. The kernel writes capital letters. */
static uint64_t hex_at(const char *p)
{
	size_t digits = strspn(p, "0123456789ABCDEF");
	char text[8];
	uint64_t v;

	if (digits > sizeof(text))
		return UINT64_MAX;
	for (size_t i = 0; i < digits; i++)
		text[i] = (char)(p[i] | 0x20); /* leaves digits as they are */
	return parse_u64_n(text, digits, 16, UINT32_MAX, &v) < 0 ? UINT64_MAX : v;
}

/* "  0: 0100007F:1F90 00000000:0000 0A ...": local address and port, remote, state; hex. */
static bool line_has(const char *line, uint16_t port, bool udp)
{
	const char *p = strchr(line, ':'); /* behind the number of the line */

	p = p ? strchr(p + 1, ':') : NULL;
	if (!p || hex_at(p + 1) != port)
		return false;
	if (udp)
		return true;
	p = strchr(p, ' ');
	p = p ? strchr(p + 1, ' ') : NULL;
	return p && hex_at(p + 1) == TCP_LISTEN_STATE;
}

bool ports_find(const char *text, size_t len, uint16_t port, bool udp)
{
	const char *end = text + len;

	while (text < end) {
		const char *next = memchr(text, '\n', (size_t)(end - text));
		size_t n = next ? (size_t)(next - text) : (size_t)(end - text);
		char line[256];

		if (n < sizeof(line)) {
			memcpy(line, text, n);
			line[n] = '\0';
			if (line_has(line, port, udp))
				return true;
		}
		text += n + 1;
	}
	return false;
}

static bool list_has(const char *path, uint16_t port, bool udp)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	AUTO(buf_done) struct buf b = { .max = TEXT_MAX };
	void *room = fd < 0 ? NULL : buf_room(&b, TEXT_MAX);
	ssize_t n = room ? io_read_full(fd, room, TEXT_MAX) : 0;

	return n > 0 && ports_find(room, (size_t)n, port, udp);
}

void ports_wait(const void *arg, int fd)
{
	const struct wait_port_request *req = arg;
	uint64_t deadline = clock_now_ns() + req->timeout_ms * NS_PER_MS;
	int r = -ETIMEDOUT;

	for (;;) {
		struct pollfd p = { .fd = fd };
		uint64_t now = clock_now_ns();

		if (list_has(req->udp ? "/proc/net/udp" : "/proc/net/tcp", req->port, req->udp) ||
		    list_has(req->udp ? "/proc/net/udp6" : "/proc/net/tcp6", req->port, req->udp)) {
			r = 0;
			break;
		}
		if (now >= deadline || poll(&p, 1, LOOK_MS) > 0)
			break;
	}
	IGNORE_RESULT(io_write_full(fd, &r, sizeof(r)) < 0); /* nobody waits any more */
}
