/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TTY_H
#define CLI_TTY_H

#include <stdbool.h>
#include <termios.h>

/* The terminal of standard input in raw mode, restored by tty_restore() on every way out. */
struct tty {
	bool raw;
	struct termios before;
};

int tty_make_raw(struct tty *tty); /* 0 or -errno */
void tty_restore(struct tty *tty);
/* Size of the terminal at standard output, else error, else input; 24x80 if there is none. */
void tty_size(int *ret_rows, int *ret_cols);
/* Standard error is a terminal that can move its cursor. */
bool tty_fancy(void);
/* It may have colours: NO_COLOR is not set. */
bool tty_colour(void);
/* Standard input is a terminal that would stop us for reading now. */
bool tty_in_background(void);

#endif /* CLI_TTY_H */
