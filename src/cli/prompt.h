/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PROMPT_H
#define CLI_PROMPT_H

#include <microsandbox.h>
#include <stdbool.h>
#include <stddef.h>

/**
 * prompt_line() - Ask on the terminal of standard input
 * @label:	"Password: ", on standard error
 * @hidden:	What is typed is not shown
 * @out:	The line without its newline; the caller wipes a secret
 *
 * Standard input and error must be terminals. The terminal is as before afterwards, also after a
 * signal. Return: length, -signal for INT, TERM or HUP, or -1 with *err set (too long, end of input).
 */
int prompt_line(const char *label, bool hidden, char *out, size_t size, struct msb_error *err);

#endif /* CLI_PROMPT_H */
