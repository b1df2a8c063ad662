/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_INSIDE_H
#define CLI_INSIDE_H

#include <microsandbox.h>
#include <stdbool.h>

#include "cli/command.h"
#include "cli/env.h"
#include "cli/program.h"

/* A program in a sandbox that is there: what `exec` and `shell` share. */
struct inside_opts {
	struct env_opts env;
	const char *workdir, *user, *on_disconnect;
	bool no_start;
};

// clang-format off
#define INSIDE_OPTIONS(type)                                                                       \
	ENV_OPTIONS(type, inside.env),                                                             \
	{ OPT_STRING, 'w', "workdir", "PATH", "working directory (the sandbox's)",                 \
	  offsetof(type, inside.workdir) },                                                        \
	{ OPT_STRING, 'u', "user", "USER", "NAME, UID, NAME:GROUP or UID:GID (the sandbox's)",     \
	  offsetof(type, inside.user) },                                                           \
	{ OPT_STRING, 0, "on-disconnect", "WHAT",                                                  \
	  "if msb dies: keep it running, hangup or kill (keep)",                                   \
	  offsetof(type, inside.on_disconnect) },                                                  \
	{ OPT_FLAG, 0, "no-start", NULL, "do not boot a sandbox that is down",                     \
	  offsetof(type, inside.no_start) }
// clang-format on

/* One program; the caller fills what stands above the line. */
struct inside {
	const char *name; /* of the sandbox; borrowed, as all here */
	const struct inside_opts *opts;
	const struct program_opts *program;
	const char *what, *hint; /* of struct pump */
	bool tty, detach;
	/* The members of the request that say what is run. */
	void (*put)(struct json_out *j, const void *user);
	const void *user;
	/* ---- */
	struct keys keys;
};

/* Before anything is touched. */
int inside_check(struct inside *in, struct msb_error *err);
/*
 * Start the sandbox if it is down, run the program, and serve it; with detach print its session and
 * return. Return: the code to exit with, or negative.
 */
int inside_run(const struct cli *cli, struct inside *in, struct msb_error *err);

#endif /* CLI_INSIDE_H */
