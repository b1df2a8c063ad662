/* SPDX-License-Identifier: Apache-2.0 */
#include "env.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/defer.h"

int env_set(struct str_list *env, const char *pair)
{
	const char *equals = strchr(pair, '=');
	size_t len;
	char *copy;

	if (!equals || equals == pair)
		return 0;
	len = (size_t)(equals - pair) + 1;
	for (size_t i = 0; i < env->n; i++) {
		if (strncmp(env->items[i], pair, len) != 0)
			continue;
		copy = strdup(pair);
		if (!copy)
			return -ENOMEM;
		free(env->items[i]);
		env->items[i] = copy;
		return 0;
	}
	return str_list_add(env, pair);
}

int env_set_all(struct str_list *env, const struct str_list *pairs)
{
	int r = 0;

	for (size_t i = 0; i < pairs->n && r >= 0; i++)
		r = env_set(env, pairs->items[i]);
	return r;
}

const char *env_get(const struct str_list *env, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < env->n; i++)
		if (strncmp(env->items[i], name, len) == 0 && env->items[i][len] == '=')
			return env->items[i] + len + 1;
	return NULL;
}

static bool may_execute(const char *path, int *r)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		if (errno == EACCES)
			*r = -EACCES;
		return false;
	}
	if (S_ISREG(st.st_mode) && access(path, X_OK) == 0)
		return true;
	if (!S_ISDIR(st.st_mode))
		*r = -EACCES;
	return false;
}

int env_find_program(const char *name, const char *path, char **ret_path)
{
	int r = -ENOENT;

	if (strchr(name, '/')) {
		*ret_path = strdup(name);
		return *ret_path ? 0 : -ENOMEM;
	}
	if (!*name)
		return -ENOENT;
	for (;;) {
		size_t len = strcspn(path, ":");
		AUTO_FREE char *full = NULL;

		/* An empty entry is the working directory, as everywhere. */
		if (asprintf(&full, "%.*s%s%s", (int)len, path, len ? "/" : "./", name) < 0) {
			full = NULL;
			return -ENOMEM;
		}
		if (may_execute(full, &r)) {
			*ret_path = TAKE_PTR(full);
			return 0;
		}
		if (!path[len])
			return r;
		path += len + 1;
	}
}
