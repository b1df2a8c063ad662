/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/dir.h"
#include "base/io.h"
#include "base/num.h"
#include "base/options.h"
#include "runtime/internal.h"

int take_json(struct buf *b, char **ret_json, struct err *err)
{
	const char *text = buf_cstr(b);
	char *copy = text ? strdup(text) : NULL;

	if (!copy)
		return err_no_memory(err);
	*ret_json = copy;
	return 0;
}

int random_hex(char *out, size_t n_digits)
{
	uint8_t bytes[32];

	if (getrandom(bytes, n_digits / 2, 0) != (ssize_t)(n_digits / 2))
		return -EIO;
	hex_encode(bytes, n_digits / 2, out);
	return 0;
}

void remove_folder(int dir_fd, const char *name)
{
	AUTO_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		IGNORE_RESULT(dir_clear(fd));
	(void)unlinkat(dir_fd, name, AT_REMOVEDIR);
}

void socket_address(int dir_fd, const char *name, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	(void)snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", dir_fd, name);
}

void read_tail(int dir_fd, const char *name, char *out, size_t max)
{
	AUTO_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	ssize_t n = 0;
	uint64_t from;

	out[0] = '\0';
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	from = (uint64_t)st.st_size > max - 1 ? (uint64_t)st.st_size - (max - 1) : 0;
	n = io_pread_full(fd, out, max - 1, from);
	n = n < 0 ? 0 : n;
	while (n > 0 && (unsigned char)out[n - 1] <= ' ')
		n--;
	out[n] = '\0';
	for (ssize_t i = 0; i < n; i++)
		if ((unsigned char)out[i] < ' ' && out[i] != '\n')
			out[i] = ' ';
		else if ((unsigned char)out[i] >= 0x7f)
			out[i] = '?';
}

int64_t left_ms(uint64_t start_ns, int64_t timeout_ms)
{
	int64_t spent = (int64_t)((clock_now_ns() - start_ns) / NS_PER_MS);

	return timeout_ms < 0 ? -1 : timeout_ms > spent ? timeout_ms - spent : 0;
}

bool nearly_equal(const char *a, const char *b)
{
	const char *const names[] = { b, NULL };

	return suggest(a, names);
}
