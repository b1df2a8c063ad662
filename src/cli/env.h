/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_ENV_H
#define CLI_ENV_H

#include <microsandbox.h>

#include "base/options.h"
#include "json/json.h"

/* -e and --env-file: K=V, or K for the value that K has here. */
struct env_opts {
	struct opt_list env, env_file;
};

#define ENV_OPTIONS(type, member)                                                                  \
	{ OPT_LIST,                                                                                \
	  'e',                                                                                     \
	  "env",                                                                                   \
	  "K=V",                                                                                   \
	  "environment; K alone copies it from here (repeatable)",                                 \
	  offsetof(type, member.env) },                                                            \
	{                                                                                          \
		OPT_LIST, 0, "env-file", "FILE",                                                   \
			"lines of K=V or K; # begins a comment (repeatable)",                      \
			offsetof(type, member.env_file)                                            \
	}

/* The variables as an object; one reference, NULL: none. Options win over files. */
int env_read(const struct env_opts *o, json_t **ret_env, struct msb_error *err);

#endif /* CLI_ENV_H */
