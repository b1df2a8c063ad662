/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/logins.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "base/io.h"
#include "base/log.h"
#include "registry/basic.h"
#include "registry/credentials.h"
#include "registry/docker_config.h"
#include "registry/file.h"
#include "registry/helper.h"
#include "registry/host_key.h"
#include "registry/retry.h"
#include "registry/secret_json.h"

#define LOGINS_NEW LOGINS_FILE ".new"

/* An open folder of its own, so that its lock is ours alone; released with it. */
static int lock_home(int home_fd)
{
	int fd = openat(home_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	while (fd >= 0 && flock(fd, LOCK_EX) < 0) {
		if (errno == EINTR)
			continue;
		r = -errno;
		(void)close(fd);
		return r;
	}
	return fd < 0 ? -errno : fd;
}

/* The file as it is; an empty object if there is none. */
static int read_logins(int home_fd, struct secret_json *ret, struct err *err)
{
	AUTO(secret_buf_done) struct buf text = { 0 };
	struct json_at root, auths;
	int r = small_file_read(home_fd, LOGINS_FILE, DOCKER_CONFIG_MAX, &text);

	if (r == -ENOENT) {
		ret->value = json_pack("{s:{}}", "auths");
		return ret->value ? 0 : err_no_memory(err);
	}
	if (r < 0)
		return err_sys(err, -r, "read " LOGINS_FILE);
	r = secret_json_parse(ret, LOGINS_FILE, text.data, text.len, DOCKER_CONFIG_MAX, err);
	if (r < 0)
		return r;
	root = json_root(ret->value, LOGINS_FILE);
	auths = json_member(&root, "auths");
	if ((r = json_get_object(&root, err)) < 0)
		return r;
	if (json_present(&auths))
		return json_get_object(&auths, err);
	return json_object_set_new(ret->value, "auths", json_object()) < 0 ? err_no_memory(err) : 0;
}

static int write_logins(int home_fd, const json_t *value, struct err *err)
{
	AUTO(secret_buf_done) struct buf text = { 0 };
	AUTO_CLOSE int fd = -1;
	struct json_out o;
	int r;

	buf_init(&text, DOCKER_CONFIG_MAX);
	if (!buf_room(&text, DOCKER_CONFIG_MAX)) /* at once: growing leaves secrets behind */
		return err_no_memory(err);
	json_out_init(&o, &text);
	json_put_value(&o, NULL, value);
	r = json_out_end(&o);
	if (r < 0)
		return err_set(err, ERR_INVALID, LOGINS_FILE " would have more than %lu bytes",
			       DOCKER_CONFIG_MAX);
	/* A leftover of a crash; nobody else writes, because of the lock. */
	(void)unlinkat(home_fd, LOGINS_NEW, 0);
	fd = openat(home_fd, LOGINS_NEW, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return err_sys(err, errno, "write " LOGINS_FILE);
	r = io_write_full(fd, text.data, text.len);
	if (r == 0 && (fsync(fd) < 0 || renameat(home_fd, LOGINS_NEW, home_fd, LOGINS_FILE) < 0 ||
		       fsync(home_fd) < 0))
		r = -errno;
	return r < 0 ? err_sys(err, -r, "write " LOGINS_FILE) : 0;
}

/* All keys that mean this host. Return: how many there were. */
static unsigned drop(json_t *auths, const char *host)
{
	unsigned n = 0;
	const char *key;
	json_t *item;
	void *next;

	json_object_foreach_safe(auths, next, key, item)
	{
		AUTO_FREE char *clean = host_key_clean(key);
		AUTO_FREE char *want = host_key_clean(host);

		if (clean && want && strcmp(clean, want) == 0) {
			n++;
			(void)json_object_del(auths, key);
		}
	}
	return n;
}

int registry_login_store(int home_fd, const char *host, const char *user, const char *secret,
			 struct err *err)
{
	AUTO(secret_json_done) struct secret_json json = { 0 };
	AUTO(login_done) struct login check = { 0 };
	AUTO(secret_free) char *auth = NULL;
	AUTO_FREE char *key = host_key_clean(host);
	AUTO_CLOSE int lock = lock_home(home_fd);
	json_t *auths, *entry;
	int r = login_set(&check, user, secret);

	if (r == -EINVAL || strchr(user, ':'))
		return err_set(err, ERR_INVALID,
			       "the user name or password for %s is too long, or has control "
			       "characters or, in the name, a colon",
			       host);
	if (lock < 0)
		return err_sys(err, -lock, "lock " LOGINS_FILE);
	if (r < 0 || !key || basic_pair("", user, secret, &auth) < 0)
		return err_no_memory(err);
	r = read_logins(home_fd, &json, err);
	if (r < 0)
		return r;
	auths = json_object_get(json.value, "auths");
	(void)drop(auths, host);
	entry = json_pack("{s:s}", "auth", auth);
	if (!entry || json_object_set_new(auths, key, entry) < 0)
		return err_set(err, ERR_INVALID, "'%s' is no name of a registry", host);
	return write_logins(home_fd, json.value, err);
}

int registry_login_forget(int home_fd, const char *host, struct err *err)
{
	AUTO(secret_json_done) struct secret_json json = { 0 };
	AUTO_CLOSE int lock = lock_home(home_fd);
	int r;

	if (lock < 0)
		return err_sys(err, -lock, "lock " LOGINS_FILE);
	r = read_logins(home_fd, &json, err);
	if (r < 0)
		return r;
	if (drop(json_object_get(json.value, "auths"), host) == 0)
		return err_set(err, ERR_NOT_FOUND, "there is no login for '%s' in " LOGINS_FILE,
			       host);
	return write_logins(home_fd, json.value, err);
}

struct listing {
	const struct registry_options *options; /* borrowed */
	registry_login_fn fn;
	void *user;
	const char *source; /* borrowed */
	struct err *err;    /* borrowed */
};

static int list_one(void *user, const char *host, const char *name)
{
	struct listing *l = user;

	return l->fn(l->user, host, name, l->source);
}

/* A helper that is for @host, or for all that it knows. One that fails is a warning. */
static int list_helper(struct listing *l, const char *host, const char *name)
{
	const struct registry_times *times =
		l->options->times ? l->options->times : &registry_times;
	struct helper h = { .name = name,
			    .path = l->options->path,
			    .timeout_ms = times->helper_ms,
			    .cancel = l->options->cancel };
	struct err why = ERR_INIT;
	char source[128];
	struct listing inner = *l;
	int r;

	(void)snprintf(source, sizeof(source), "docker-credential-%s", name);
	inner.source = source;
	if (host)
		return list_one(&inner, host, "");
	r = helper_list(&h, list_one, &inner, &why);
	if (r < 0 && why.code == ERR_CANCELLED) {
		*l->err = why;
		return r;
	}
	if (r < 0 && why.code != ERR_NONE) {
		log_warn("%s", why.msg);
		return 0;
	}
	return r;
}

static int list_entry(void *user, const char *host, const char *name, const char *helper)
{
	return helper ? list_helper(user, host, helper) : list_one(user, host, name);
}

/* @foreign: one that is broken is a warning. */
static int list_file(struct listing *l, int dir_fd, const char *path, bool foreign)
{
	AUTO(secret_buf_done) struct buf text = { 0 };
	struct err why = ERR_INIT;
	int r = small_file_read(dir_fd, path, DOCKER_CONFIG_MAX, &text);

	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	l->source = path;
	if (r < 0)
		(void)err_sys(&why, -r, "read '%s'", path);
	else
		r = docker_config_list(path, text.data, text.len, list_entry, l, &why);
	if (r < 0 && foreign && why.code != ERR_NONE) {
		log_warn("%s", why.msg);
		return 0;
	}
	if (r < 0 && why.code != ERR_NONE)
		*l->err = why;
	return r;
}

int registry_login_list(const struct registry_options *options, registry_login_fn fn, void *user,
			struct err *err)
{
	struct listing l = { .options = options, .fn = fn, .user = user, .err = err };
	int r = options->home_fd < 0 ? 0 : list_file(&l, options->home_fd, LOGINS_FILE, false);

	l.source = "config.json";
	for (size_t i = 0; i < options->n_hosts && r >= 0; i++) {
		if (options->hosts[i].user && options->hosts[i].password_file)
			r = list_one(&l, options->hosts[i].host, options->hosts[i].user);
	}
	for (unsigned i = 0; i < FOREIGN_FILE_MAX && r >= 0; i++) {
		AUTO_FREE char *path = NULL;

		if (foreign_file(options, (enum foreign_file)i, &path) < 0)
			return err_no_memory(err);
		if (path)
			r = list_file(&l, AT_FDCWD, path, true);
	}
	return r < 0 ? r : 0;
}
