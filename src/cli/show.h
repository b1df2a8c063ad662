/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include <microsandbox.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Runs calls of the library in the background and shows how they work: bars, lines, JSON or
 * nothing.  Bars, and lines for people, go to standard error; JSON lines to standard output.
 */
enum show_mode { SHOW_AUTO, SHOW_BAR, SHOW_PLAIN, SHOW_JSON, SHOW_NONE, SHOW_MODE_MAX };
extern const char *const show_mode_names[]; /* NULL-terminated */

struct show_job {
	const char *name; /* borrowed; what it is about */
	/* The call, on another thread. */
	int (*run)(void *user, const struct msb_call *call, struct msb_error *err);
	void *user; /* borrowed */
	/* Called as soon as it has ended, on the thread of show_run(); NULL: not. */
	void (*ended)(struct show_job *job);
	/* out */
	int result; /* of run() */
	struct msb_error error;
	bool moved;	  /* something was transferred, and "Pulled" was said */
	uint64_t took_ms; /* until the image was here; without an image, until the end */
};

/**
 * show_run() - Run all jobs, at most 16 at once
 *
 * INT, TERM and HUP end the calls.  Return: 0 once all have ended, whatever came out, or the number of
 * that signal, or negative with *err set.
 */
int show_run(struct show_job *jobs, size_t n, enum show_mode mode, struct msb_error *err);

/* "   ✓ Pulled       debian (2.1s)", on standard error. */
void show_action(const char *verb, const struct show_job *job);

#endif /* CLI_SHOW_H */
