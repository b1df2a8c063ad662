/* SPDX-License-Identifier: Apache-2.0 */
/* Logins of registries: checked before they are stored in MSB_HOME/auth.json. */
#include <string.h>

#include "runtime/internal.h"

#define SECRET_MAX (64u << 10) /* bytes; tokens of clouds have a few KiB */

/* A host as references have it, of what people write: without scheme, path and other names. */
static int host_of(const char *text, char **ret_host, struct err *err)
{
	const char *begin = strstr(text, "://");
	AUTO_FREE char *host = NULL;

	begin = begin ? begin + 3 : text;
	host = strndup(begin, strcspn(begin, "/"));
	if (!host)
		return err_no_memory(err);
	if (strcmp(host, "index.docker.io") == 0 || strcmp(host, "registry-1.docker.io") == 0)
		memcpy(host, "docker.io", sizeof("docker.io")); /* it is shorter than both */
	if (!registry_name_valid(host)) {
		err_set(err, ERR_INVALID,
			"'%.100s' is no registry; write its host, such as ghcr.io or "
			"localhost:5000",
			text);
		return err_detail(err, ERR_NR_NONE, text);
	}
	*ret_host = TAKE_PTR(host);
	return 0;
}

static void wipe(char *secret, size_t len)
{
	if (secret)
		explicit_bzero(secret, len);
	free(secret);
}

/* @secret ends with NUL. */
static int check_and_store(struct home *home, const char *host, const char *user,
			   const char *secret, struct pull_how *how, const struct call *call,
			   struct err *err)
{
	AUTO(fetch_from_done) struct fetch_from from = { .ca = -1 };
	int r = fetch_from_init(&from, home, how, call, err);

	if (r == 0)
		r = registry_login_check(&from.options, host, user, secret, err);
	if (r == 0)
		r = cancel_check(call_cancel(call), err);
	if (r == 0)
		r = registry_login_store(home->fd, host, user, secret, err);
	if (r < 0 && err->code != ERR_CANCELLED)
		err_wrap(err, "cannot log in to '%s'", host);
	return r;
}

int home_registry_login(struct home *home, const char *name, const char *user, const void *secret,
			size_t len, const char *options, const struct call *call, struct err *err)
{
	AUTO(pull_how_done) struct pull_how how = { 0 };
	AUTO_FREE char *host = NULL;
	char *text = NULL;
	int r = home_settings_check(home, err);

	if (r == 0)
		r = host_of(name, &host, err);
	if (r == 0 && options)
		r = pull_how_parse_text(options, PULL_HOW_LOGIN, &how, err);
	if (r < 0)
		return r;
	if (!*user || len == 0 || len > SECRET_MAX || memchr(secret, 0, len))
		return err_set(err, ERR_INVALID,
			       "a user name, and a password of 1 to %u bytes, are needed for '%s'",
			       SECRET_MAX, host);
	text = strndup(secret, len);
	if (!text)
		return err_no_memory(err);
	r = check_and_store(home, host, user, text, &how, call, err);
	wipe(text, len);
	return r < 0 ? err_detail(err, err->number, host) : 0;
}

int home_registry_logout(struct home *home, const char *name, struct err *err)
{
	AUTO_FREE char *host = NULL;
	int r = host_of(name, &host, err);

	if (r == 0)
		r = registry_login_forget(home->fd, host, err);
	return r < 0 ? err_detail(err, err->number, host ? host : name) : 0;
}

static int put_login(void *user, const char *host, const char *name, const char *source)
{
	struct json_out *o = user;

	json_put_object(o, NULL);
	json_put_str(o, "host", host);
	json_put_str(o, "user", *name ? name : NULL);
	json_put_str(o, "source", source);
	json_put_end(o);
	return o->error;
}

int home_registry_list(struct home *home, char **ret_json, struct err *err)
{
	static const struct pull_how how = { 0 };
	AUTO(fetch_from_done) struct fetch_from from = { .ca = -1 };
	AUTO(buf_done) struct buf b = { 0 };
	struct json_out o;
	int r = fetch_from_init(&from, home, &how, NULL, err);

	list_begin(&b, &o);
	if (r == 0)
		r = registry_login_list(&from.options, put_login, &o, err);
	if (r < 0)
		return err->code ? -(int)err->code : err_no_memory(err);
	return list_end(&b, &o, ret_json, err);
}
