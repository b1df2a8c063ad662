/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_ENV_H
#define AGENT_ENV_H

#include "proto/agent.h"

/* Environment of a program, and the search for it on PATH. Leaf functions. */

#define ENV_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* "K=V" replaces an earlier K; what has no '=' or no name is left out. 0 or -ENOMEM. */
MUST_CHECK int env_set(struct str_list *env, const char *pair);
MUST_CHECK int env_set_all(struct str_list *env, const struct str_list *pairs);
/* The value of @name, NULL if there is none; borrowed. */
const char *env_get(const struct str_list *env, const char *name);

/**
 * env_find_program() - What execve() should get
 * @name:	argv[0]; with a '/' it is taken as it is
 * @ret_path:	Owned by the caller
 * Return: 0, -ENOENT, -EACCES (found, but it may not be executed), -ENOMEM.
 */
MUST_CHECK int env_find_program(const char *name, const char *path, char **ret_path);

#endif /* AGENT_ENV_H */
