/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_MAKE_H
#define CLI_MAKE_H

#include <microsandbox.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "cli/command.h"
#include "cli/env.h"
#include "cli/fetch.h"

/* What a sandbox is made of: options of `run` and `create`, and the spec that they mean. */
struct make_opts {
	const char *name, *engine, *root_disk, *fstype, *workdir, *user, *hostname, *shell;
	struct env_opts env;
	struct opt_list entrypoint, labels;
	struct fetch_opts fetch;
	uint64_t cpus, memory_mib, partition, stop_timeout_ms, start_timeout_ms;
	uint64_t max_duration_ms, idle_timeout_ms, replace_timeout_ms;
	bool ephemeral, persist, replace;
};

#define MAKE_NOT_GIVEN UINT64_MAX /* config.json, or the library, has a say */
#define MAKE_DEFAULTS                                                                              \
	{                                                                                          \
		.cpus = MAKE_NOT_GIVEN, .memory_mib = MAKE_NOT_GIVEN,                              \
		.stop_timeout_ms = MAKE_NOT_GIVEN, .replace_timeout_ms = MAKE_NOT_GIVEN            \
	}

/* In an option table: its rows but the shared ones of env.h and fetch.h. */
// clang-format off
#define MAKE_OPTIONS(type)                                                                         \
	{ OPT_STRING, 'n', "name", "NAME", "name of the sandbox; a named one keeps its disk",      \
	  offsetof(type, make.name) },                                                             \
	{ OPT_LIST, 0, "label", "K[=V]", "a label to choose it by (repeatable)",                   \
	  offsetof(type, make.labels) },                                                           \
	{ OPT_STRING, 0, "engine", "ENGINE", "auto, kvm or qemu (MSB_ENGINE; auto)",               \
	  offsetof(type, make.engine) },                                                           \
	{ OPT_NUMBER, 'c', "cpus", "N", "virtual CPUs, 1 to 64 (1)", offsetof(type, make.cpus) },  \
	{ OPT_SIZE_MIB, 'm', "memory", "SIZE", "memory of the guest (512M)",                       \
	  offsetof(type, make.memory_mib) },                                                       \
	{ OPT_STRING, 0, "root-disk", "WHAT",                                                      \
	  "SIZE, tmpfs[:SIZE], none (read-only), PATH of a raw ext4 file, or direct: write a "     \
	  "directory or raw disk in place (8G)",                                                   \
	  offsetof(type, make.root_disk) },                                                        \
	{ OPT_NUMBER, 0, "partition", "N", "of a disk image: the one that is the root",            \
	  offsetof(type, make.partition) },                                                        \
	{ OPT_STRING, 0, "fstype", "TYPE", "of a disk image: ext4 or erofs, in place of looking",  \
	  offsetof(type, make.fstype) },                                                           \
	ENV_OPTIONS(type, make.env),                                                               \
	{ OPT_STRING, 'w', "workdir", "PATH", "working directory (the image's, else /)",           \
	  offsetof(type, make.workdir) },                                                          \
	{ OPT_STRING, 'u', "user", "USER", "NAME, UID, NAME:GROUP or UID:GID (the image's)",       \
	  offsetof(type, make.user) },                                                             \
	{ OPT_STRING, 0, "shell", "PATH", "for `msb shell` and scripts (/bin/sh)",                 \
	  offsetof(type, make.shell) },                                                            \
	{ OPT_STRING, 'H', "hostname", "NAME", "host name in the guest (the sandbox's name)",      \
	  offsetof(type, make.hostname) },                                                         \
	{ OPT_LIST, 0, "entrypoint", "WORD", "in place of the image's (repeatable; '' clears it)", \
	  offsetof(type, make.entrypoint) },                                                       \
	{ OPT_DURATION, 0, "stop-timeout", "DURATION", "for programs after the stop signal (10s)", \
	  offsetof(type, make.stop_timeout_ms) },                                                  \
	{ OPT_DURATION, 0, "start-timeout", "DURATION", "to become ready (kvm 30s, qemu 120s)",    \
	  offsetof(type, make.start_timeout_ms) },                                                 \
	{ OPT_DURATION, 0, "max-duration", "DURATION", "end it after this time (no limit)",        \
	  offsetof(type, make.max_duration_ms) },                                                  \
	{ OPT_DURATION, 0, "idle-timeout", "DURATION", "end it after so long without use (never)", \
	  offsetof(type, make.idle_timeout_ms) },                                                  \
	{ OPT_FLAG, 0, "replace", NULL, "stop and delete a sandbox of that name first",            \
	  offsetof(type, make.replace) },                                                          \
	{ OPT_DURATION, 0, "replace-timeout", "DURATION", "for that stop; 0 kills it (10s)",       \
	  offsetof(type, make.replace_timeout_ms) },                                               \
	{ OPT_FLAG, 0, "ephemeral", NULL, "delete it when it ends (the default without a name)",   \
	  offsetof(type, make.ephemeral) },                                                        \
	{ OPT_FLAG, 0, "rm", NULL, "the same", offsetof(type, make.ephemeral) },                   \
	{ OPT_FLAG, 0, "persist", NULL, "keep it when it ends (the default with a name)",          \
	  offsetof(type, make.persist) },                                                          \
	{ OPT_STRING, 0, "pull", "WHEN", "missing, always or never (missing)",                     \
	  offsetof(type, make.fetch.pull) },                                                       \
	FETCH_OPTIONS(type, make.fetch)
// clang-format on

/* The image of the command line; an error that shows how it is done. */
int make_check(const struct make_opts *o, const struct opt_rest *rest, const char *command,
	       struct msb_error *err);
/* @reuse: an equal one of that name is used again */
int make_spec(const struct make_opts *o, const char *image, bool reuse, struct buf *b,
	      const char **ret_text, struct msb_error *err);
/* Create it with a view of what goes on. Return: 0, the code to exit with, or negative. */
int make_sandbox(struct msb *m, const char *image, const char *spec, int flags,
		 struct msb_sandbox **ret_sb, struct msb_error *err);

#endif /* CLI_MAKE_H */
