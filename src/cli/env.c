/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "cli/common.h"

#undef getenv /* NAME copies a variable of the host */

#define ENV_FILE_MAX (1u << 20) /* bytes */
#define ENV_NAME_MAX 255	/* bytes */

static int add(json_t *env, const char *what, const char *text, struct msb_error *err)
{
	size_t len = strcspn(text, "=");
	const char *value = text[len] ? text + len + 1 : NULL;
	char name[ENV_NAME_MAX + 1];
	json_t *string;

	if (len == 0 || len > ENV_NAME_MAX)
		return common_error(err, MSB_E_INVALID_CONFIG, "%s: '%s' is not NAME=VALUE", what,
				    text);
	(void)snprintf(name, sizeof(name), "%.*s", (int)len, text);
	if (!value)
		value = getenv(name);
	if (!value)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "%s: '%s' is not set here; write %s=VALUE", what, name, name);
	string = json_string(value);
	if (!string)
		return common_error(err, MSB_E_INVALID_CONFIG, "%s: the value of '%s' is not UTF-8",
				    what, name);
	if (json_object_set_new(env, name, string) < 0)
		return common_error(err, MSB_E_INVALID_CONFIG, "%s: '%s' is not UTF-8", what, name);
	return 0;
}

static int read_file(const char *path, char *text, size_t size, struct msb_error *err)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -errno : io_read_full(fd, text, size);

	if (n < 0)
		return common_error(err, MSB_E_INVALID_CONFIG, "--env-file: cannot read '%s': %s",
				    path, strerrordesc_np((int)-n));
	if ((size_t)n == size || memchr(text, '\0', (size_t)n))
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "--env-file: '%s' is no list of variables", path);
	text[n] = '\0';
	return 0;
}

static int add_file(json_t *env, const char *path, struct msb_error *err)
{
	AUTO_FREE char *text = calloc(1, ENV_FILE_MAX + 1);
	char what[300];
	unsigned line = 0;
	int r;

	if (!text)
		return common_error(err, MSB_E_NO_MEMORY, "out of memory");
	r = read_file(path, text, ENV_FILE_MAX, err);
	for (char *p = text, *next; r >= 0 && *p; p = next) {
		size_t len = strcspn(p, "\n");

		next = p + len + (p[len] == '\n');
		if (len > 0 && p[len - 1] == '\r')
			len--;
		p[len] = '\0';
		line++;
		p += strspn(p, " \t");
		(void)snprintf(what, sizeof(what), "--env-file: %.200s line %u", path, line);
		if (*p && *p != '#')
			r = add(env, what, p, err);
	}
	return r;
}

int env_read(const struct env_opts *o, json_t **ret_env, struct msb_error *err)
{
	AUTO(json_decref) json_t *env = json_object();
	int r = env ? 0 : common_error(err, MSB_E_NO_MEMORY, "out of memory");

	for (size_t i = 0; r >= 0 && i < o->env_file.n; i++)
		r = add_file(env, o->env_file.items[i], err);
	for (size_t i = 0; r >= 0 && i < o->env.n; i++) {
		const char *text = o->env.items[i];
		size_t len = strcspn(text, "=");

		for (size_t k = 0; r >= 0 && k < i; k++)
			if (strncmp(o->env.items[k], text, len) == 0 &&
			    strcspn(o->env.items[k], "=") == len)
				r = common_error(err, MSB_E_INVALID_CONFIG,
						 "--env: '%.*s' is given twice", (int)len, text);
		if (r >= 0)
			r = add(env, "--env", text, err);
	}
	if (r < 0)
		return r;
	*ret_env = json_object_size(env) ? TAKE_PTR(env) : NULL;
	return 0;
}
