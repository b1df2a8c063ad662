/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tty.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#undef getenv /* TERM and NO_COLOR are about this terminal only */

int tty_make_raw(struct tty *tty)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &tty->before) < 0)
		return -errno;
	raw = tty->before;
	cfmakeraw(&raw);
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
		return -errno;
	tty->raw = true;
	return 0;
}

void tty_restore(struct tty *tty)
{
	if (tty->raw)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &tty->before);
	tty->raw = false;
}

void tty_size(int *ret_rows, int *ret_cols)
{
	struct winsize size = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0)
		(void)ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
	if (size.ws_row == 0)
		(void)ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
	*ret_rows = size.ws_row ? size.ws_row : 24;
	*ret_cols = size.ws_col ? size.ws_col : 80;
}

bool tty_fancy(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

bool tty_colour(void)
{
	const char *no = getenv("NO_COLOR");

	return tty_fancy() && (!no || !*no);
}

bool tty_in_background(void)
{
	return isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) != getpgrp();
}
