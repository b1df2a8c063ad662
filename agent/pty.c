/* SPDX-License-Identifier: Apache-2.0 */
#include "pty.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "base/defer.h"

#define ROWS 24
#define COLS 80
#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441 /* <asm-generic/ioctls.h>; musl 1.2.3 lacks it */
#endif

int pty_open(const struct tty_size *size, int *ret_master, int *ret_slave)
{
	AUTO_CLOSE int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	int unlock = 0, slave;

	if (master < 0)
		return -errno;
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return -errno;
	/* By descriptor, not by name: /dev belongs to the guest. */
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return -errno;
	pty_resize(master, size);
	*ret_master = TAKE_FD(master);
	*ret_slave = slave;
	return 0;
}

void pty_resize(int master, const struct tty_size *size)
{
	struct winsize ws = {
		.ws_row = size->rows ? size->rows : ROWS,
		.ws_col = size->cols ? size->cols : COLS,
	};

	(void)ioctl(master, TIOCSWINSZ, &ws);
}

unsigned char pty_eof_char(int master)
{
	struct termios t;

	return tcgetattr(master, &t) < 0 ? 4 /* ctrl-d */ : t.c_cc[VEOF];
}
