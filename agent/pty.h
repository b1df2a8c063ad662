/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_PTY_H
#define AGENT_PTY_H

#include "base/err.h"
#include "proto/agent.h"

/* Leaf functions. Descriptors are owned by the caller; the master is non-blocking. */
MUST_CHECK int pty_open(const struct tty_size *size, int *ret_master, int *ret_slave);
/* 0 rows or columns mean the default. */
void pty_resize(int master, const struct tty_size *size);
/* The byte that means end of file to the terminal now. */
unsigned char pty_eof_char(int master);

#endif /* AGENT_PTY_H */
