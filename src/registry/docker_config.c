/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/docker_config.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "registry/helper.h"
#include "registry/host_key.h"
#include "registry/secret_json.h"

void docker_config_done(struct docker_config *c)
{
	free(c->helper);
	free(c->store);
	login_done(&c->login);
	*c = (struct docker_config){ 0 };
}

/* "user:password" in base64. */
static int decode_auth(const struct json_at *at, const char *text, struct login *l, struct err *err)
{
	size_t len = strlen(text), n = 0;
	AUTO(secret_free) char *plain = NULL;
	char *colon;
	int r;

	if (len > BASE64_ENCODED(LOGIN_SECRET_MAX + LOGIN_USER_MAX))
		return json_complain(at, err, "%zu bytes are too many", len);
	plain = calloc(1, BASE64_DECODED(len) + 1);
	if (!plain)
		return err_no_memory(err);
	if (base64_decode(text, len, (uint8_t *)plain, &n) < 0)
		return json_complain(at, err, "is no base64");
	colon = strchr(plain, ':');
	if (!colon)
		return json_complain(at, err, "has no colon behind the user");
	*colon = '\0';
	r = login_set(l, plain, colon + 1);
	*colon = ':';
	if (r == -EINVAL)
		return json_complain(at, err, "has an odd user or password");
	return r < 0 ? err_no_memory(err) : 0;
}

static int copy_token(const struct json_at *entry, const char *key, char **ret, struct err *err)
{
	const char *text = NULL;
	int r = json_opt_str(entry, key, &text, err);

	if (r < 0 || !text || !*text)
		return r;
	if (!login_plain(text, LOGIN_SECRET_MAX))
		return json_complain(entry, err, "%s is too long, or has control characters", key);
	*ret = strdup(text);
	return *ret ? 0 : err_no_memory(err);
}

/* One entry of "auths"; one without a login is none. */
static int entry_login(const struct json_at *entry, struct login *ret, struct err *err)
{
	struct json_at auth = json_member(entry, "auth");
	const char *text = NULL, *user = NULL, *password = NULL;
	int r;

	if ((r = json_get_object(entry, err)) < 0 ||
	    (r = copy_token(entry, "identitytoken", &ret->identity_token, err)) < 0 ||
	    (r = copy_token(entry, "registrytoken", &ret->bearer_token, err)) < 0 ||
	    (r = json_opt_str(entry, "auth", &text, err)) < 0 ||
	    (r = json_opt_str(entry, "username", &user, err)) < 0 ||
	    (r = json_opt_str(entry, "password", &password, err)) < 0)
		return r;
	if (login_present(ret)) /* a token beats the password that may stand beside it */
		return 0;
	if (text && *text)
		return decode_auth(&auth, text, ret, err);
	if (!user || !password || !*user)
		return 0;
	r = login_set(ret, user, password);
	if (r == -EINVAL)
		return json_complain(entry, err, "has an odd user or password");
	return r < 0 ? err_no_memory(err) : 0;
}

/* The member of an object whose key fits best; value NULL: none does. */
static struct json_at best(const struct json_at *object, const char *host, const char *repository)
{
	struct json_at found = { .parent = object };
	size_t most = 0;
	const char *key;
	json_t *item;

	if (!json_is_object(object->value))
		return found;
	json_object_foreach((json_t *)(uintptr_t)object->value, key, item)
	{
		size_t fits = host_key_fits(key, host, repository);

		if (fits > most && !json_is_null(item)) {
			most = fits;
			found.key = key;
			found.value = item;
		}
	}
	return found;
}

static int helper(const struct json_at *at, char **ret, struct err *err)
{
	const char *name = NULL;
	int r;

	if (!json_present(at))
		return 0;
	r = json_get_str(at, &name, err);
	if (r < 0 || !*name)
		return r;
	if (!helper_name_valid(name))
		return json_complain(at, err, "is no name of a helper");
	*ret = strdup(name);
	return *ret ? 0 : err_no_memory(err);
}

int docker_config_find(const char *what, void *data, size_t len, const char *host,
		       const char *repository, struct docker_config *ret, struct err *err)
{
	AUTO(secret_json_done) struct secret_json json = { 0 };
	AUTO(docker_config_done) struct docker_config c = { 0 };
	struct json_at root, auths, entry, helpers, one, store;
	int r = secret_json_parse(&json, what, data, len, DOCKER_CONFIG_MAX, err);

	if (r < 0)
		return r;
	root = json_root(json.value, what);
	if ((r = json_get_object(&root, err)) < 0)
		return r;
	auths = json_member(&root, "auths");
	entry = best(&auths, host, repository);
	helpers = json_member(&root, "credHelpers");
	one = best(&helpers, host, NULL);
	store = json_member(&root, "credsStore");
	if ((json_present(&entry) && (r = entry_login(&entry, &c.login, err)) < 0) ||
	    (r = helper(&one, &c.helper, err)) < 0 || (r = helper(&store, &c.store, err)) < 0)
		return r;
	ret->helper = TAKE_PTR(c.helper);
	ret->store = TAKE_PTR(c.store);
	ret->login = c.login;
	c.login = (struct login){ 0 };
	return 0;
}

static int list_auths(const struct json_at *auths, docker_config_fn fn, void *user, struct err *err)
{
	const char *key;
	json_t *item;
	int r;

	json_object_foreach((json_t *)(uintptr_t)auths->value, key, item)
	{
		AUTO(login_done) struct login l = { 0 };
		struct json_at entry = { .value = item, .parent = auths, .key = key };
		AUTO_FREE char *host = host_key_clean(key);

		if (!host)
			return err_no_memory(err);
		r = entry_login(&entry, &l, err);
		if (r == 0 && login_present(&l))
			r = fn(user, host, l.user ? l.user : "<token>", NULL);
		if (r < 0)
			return r;
	}
	return 0;
}

static int list_helpers(const struct json_at *helpers, docker_config_fn fn, void *user,
			struct err *err)
{
	const char *key;
	json_t *item;
	int r;

	json_object_foreach((json_t *)(uintptr_t)helpers->value, key, item)
	{
		AUTO_FREE char *name = NULL;
		struct json_at at = { .value = item, .parent = helpers, .key = key };
		AUTO_FREE char *host = host_key_clean(key);

		if (!host)
			return err_no_memory(err);
		r = helper(&at, &name, err);
		if (r == 0 && name)
			r = fn(user, host, NULL, name);
		if (r < 0)
			return r;
	}
	return 0;
}

int docker_config_list(const char *what, void *data, size_t len, docker_config_fn fn, void *user,
		       struct err *err)
{
	AUTO(secret_json_done) struct secret_json json = { 0 };
	struct json_at root, auths, helpers, at;
	AUTO_FREE char *store = NULL;
	int r = secret_json_parse(&json, what, data, len, DOCKER_CONFIG_MAX, err);

	if (r < 0)
		return r;
	root = json_root(json.value, what);
	if ((r = json_get_object(&root, err)) < 0)
		return r;
	auths = json_member(&root, "auths");
	helpers = json_member(&root, "credHelpers");
	at = json_member(&root, "credsStore");
	if ((r = list_auths(&auths, fn, user, err)) < 0 ||
	    (r = list_helpers(&helpers, fn, user, err)) < 0 || (r = helper(&at, &store, err)) < 0)
		return r;
	return store ? fn(user, NULL, NULL, store) : 0;
}
