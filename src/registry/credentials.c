/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "registry/docker_config.h"
#include "registry/endpoint.h"
#include "registry/file.h"
#include "registry/helper.h"
#include "registry/logins.h"
#include "registry/retry.h"

int foreign_file(const struct registry_options *o, enum foreign_file which, char **ret_path)
{
	static const struct {
		const char *tail;
		size_t root; /* offsetof() */
	} files[] = {
		[FOREIGN_DOCKER] = { "config.json",
				     offsetof(struct registry_options, docker_config) },
		[FOREIGN_DOCKER_HOME] = { ".docker/config.json",
					  offsetof(struct registry_options, user_dir) },
		[FOREIGN_CONTAINERS] = { "containers/auth.json",
					 offsetof(struct registry_options, runtime_dir) },
		[FOREIGN_CONTAINERS_HOME] = { ".config/containers/auth.json",
					      offsetof(struct registry_options, user_dir) },
	};
	const char *root = *(const char *const *)((const char *)o + files[which].root);

	*ret_path = NULL;
	if (!root || !*root || (which == FOREIGN_DOCKER_HOME && o->docker_config))
		return 0;
	if (asprintf(ret_path, "%s/%s", root, files[which].tail) < 0) {
		*ret_path = NULL;
		return -ENOMEM;
	}
	return 0;
}

static void from_set(char *from, const char *text)
{
	(void)snprintf(from, CREDENTIALS_FROM_MAX, "%s", text);
}

/* MSB_HOME/auth.json */
static int from_home(const struct registry_options *o, const struct credentials_of *of,
		     struct login *ret, char *from, struct err *err)
{
	AUTO(docker_config_done) struct docker_config c = { 0 };
	AUTO(secret_buf_done) struct buf text = { 0 };
	int r;

	if (o->home_fd < 0)
		return 0;
	r = small_file_read(o->home_fd, LOGINS_FILE, DOCKER_CONFIG_MAX, &text);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_sys(err, -r, "read " LOGINS_FILE);
	r = docker_config_find(LOGINS_FILE, text.data, text.len, of->host, of->repository, &c, err);
	if (r < 0 || !login_present(&c.login))
		return r;
	from_set(from, LOGINS_FILE);
	*ret = c.login;
	c.login = (struct login){ 0 };
	return 1;
}

/* `user` and `password_file` of config.json */
static int from_config(const struct registry_options *o, const struct credentials_of *of,
		       struct login *ret, char *from, struct err *err)
{
	const struct registry_host *h = endpoint_config(o, of->host);
	AUTO(secret_buf_done) struct buf text = { 0 };
	int r;

	if (!h || !h->user || !h->password_file)
		return 0;
	r = small_file_read(AT_FDCWD, h->password_file, LOGIN_SECRET_MAX, &text);
	if (r < 0)
		return err_sys(err, -r, "registries.%s.password_file: read '%s'", h->host,
			       h->password_file);
	while (text.len > 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
		text.len--;
	r = -EINVAL;
	if (buf_cstr(&text) && !memchr(text.data, '\0', text.len))
		r = login_set(ret, h->user, (const char *)text.data);
	if (r < 0)
		return err_set(err, ERR_INVALID,
			       "registries.%s.password_file: '%s' has no password", h->host,
			       h->password_file);
	from_set(from, h->password_file);
	return 1;
}

static int from_helper(const struct registry_options *o, const char *name, const char *host,
		       struct login *ret, char *from, struct err *err)
{
	const struct registry_times *times = o->times ? o->times : &registry_times;
	struct helper h = {
		.name = name, .path = o->path, .timeout_ms = times->helper_ms, .cancel = o->cancel
	};
	int r;

	if (!name)
		return 0;
	r = helper_get(&h, host, ret, err);
	if (r < 0 && err->code != ERR_CANCELLED) {
		log_warn("%s", err->msg);
		return 0;
	}
	if (r > 0)
		(void)snprintf(from, CREDENTIALS_FROM_MAX, "docker-credential-%s", name);
	return r;
}

/* A file of docker or containers. */
static int from_file(const struct registry_options *o, const struct credentials_of *of,
		     enum foreign_file which, struct login *ret, char *from, struct err *err)
{
	AUTO(docker_config_done) struct docker_config c = { 0 };
	AUTO(secret_buf_done) struct buf text = { 0 };
	bool by_path = which == FOREIGN_CONTAINERS || which == FOREIGN_CONTAINERS_HOME;
	AUTO_FREE char *path = NULL;
	struct err why = ERR_INIT;
	int r = foreign_file(o, which, &path);

	if (r < 0)
		return err_no_memory(err);
	if (!path)
		return 0;
	r = small_file_read(AT_FDCWD, path, DOCKER_CONFIG_MAX, &text);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0)
		(void)err_sys(&why, -r, "read '%s'", path);
	else
		r = docker_config_find(path, text.data, text.len, of->host,
				       by_path ? of->repository : NULL, &c, &why);
	if (r < 0) {
		log_warn("%s", why.msg);
		return 0;
	}
	r = from_helper(o, c.helper, of->host, ret, from, err);
	if (r == 0)
		r = from_helper(o, c.store, of->host, ret, from, err);
	if (r != 0 || !login_present(&c.login))
		return r;
	from_set(from, path);
	*ret = c.login;
	c.login = (struct login){ 0 };
	return 1;
}

int credentials_find(const struct registry_options *o, const struct credentials_of *of,
		     struct login *ret, char *from, struct err *err)
{
	int r;

	if (of->given) {
		r = login_set(ret, o->user, o->secret ? o->secret : "");
		if (r < 0)
			return err_set(err, ERR_INVALID,
				       "the user name or password for %s is too "
				       "long, or has control characters",
				       of->host);
		from_set(from, "");
		return 1;
	}
	r = from_home(o, of, ret, from, err);
	if (r == 0)
		r = from_config(o, of, ret, from, err);
	for (unsigned i = 0; i < FOREIGN_FILE_MAX && r == 0; i++)
		r = from_file(o, of, (enum foreign_file)i, ret, from, err);
	return r;
}
