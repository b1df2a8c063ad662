/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/auth.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "registry/basic.h"
#include "registry/fail.h"
#include "registry/fetch.h"
#include "registry/token.h"

void auth_init(struct auth *a)
{
	(void)pthread_mutex_init(&a->lock, NULL);
}

void auth_done(struct auth *a)
{
	(void)pthread_mutex_destroy(&a->lock);
	login_done(&a->login);
	secret_free(a->header);
}

/* Under lock, all below. */

/* @life_s: UINT64_MAX: for ever */
static void set_header(struct auth *a, char *header, uint64_t life_s)
{
	secret_free(a->header);
	a->header = header;
	a->generation++;
	a->expires_ns = UINT64_MAX;
	/* A tenth earlier: what is under way must not come too late. */
	if (life_s != UINT64_MAX)
		a->expires_ns = clock_now_ns() + life_s * (NS_PER_S - NS_PER_S / 10);
}

static int look_up(struct registry *r, struct endpoint *e, struct err *err)
{
	struct credentials_of of = { .host = e->name,
				     .repository = e->repository,
				     .given = r->options.user && !e->is_mirror };
	struct auth *a = &e->auth;
	int res;

	if (a->looked_up)
		return 0;
	res = credentials_find(&r->options, &of, &a->login, a->from, err);
	if (res < 0)
		return res;
	a->looked_up = true;
	return 0;
}

static int tell_refused(const struct endpoint *e, const char *what, struct err *err)
{
	const struct auth *a = &e->auth;

	if (login_present(&a->login)) {
		(void)err_set(err, ERR_DENIED, "%s: %s: the credentials%s%s%s%s are refused",
			      e->name, what, a->login.user ? " of " : "",
			      a->login.user ? a->login.user : "", *a->from ? " from " : "",
			      a->from);
		return fail_auth(err);
	}
	(void)err_set(err, ERR_NOT_FOUND,
		      "%s: %s: not found, or you may not read it"
		      "\nlog in: msb registry login %s",
		      e->name, what, e->name);
	/* Docker Hub does not tell what is private from what is not there. */
	if (strcmp(e->name, "docker.io") == 0)
		return fail_not_found(err);
	err->code = ERR_DENIED;
	return fail_auth(err);
}

static bool speaks_plain(const struct endpoint *e)
{
	unsigned known = atomic_load(&e->base_known);

	return strncmp(e->base[known ? known - 1 : 0], "http://", 7) == 0;
}

static int make_bearer(const char *token, char **ret)
{
	if (asprintf(ret, "Bearer %s", token) >= 0)
		return 0;
	*ret = NULL;
	return -ENOMEM;
}

static int renew_basic(struct endpoint *e, const char *what, struct err *err)
{
	struct auth *a = &e->auth;
	AUTO(secret_free) char *header = NULL;

	if (!a->login.password || a->header) /* the same again would be refused again */
		return tell_refused(e, what, err);
	if (basic_header(a->login.user, a->login.password, &header) < 0)
		return err_no_memory(err);
	set_header(a, TAKE_PTR(header), UINT64_MAX);
	return 0;
}

static int renew_bearer(struct registry *r, struct endpoint *e, const char *what,
			struct http_answer *answer, struct err *err)
{
	struct auth *a = &e->auth;
	const struct login *login = login_present(&a->login) ? &a->login : NULL;
	AUTO(secret_free) char *header = NULL;
	struct token token = { 0 };
	int res;

	if (login && login->bearer_token) {
		if (a->header)
			return tell_refused(e, what, err);
		if (make_bearer(login->bearer_token, &header) < 0)
			return err_no_memory(err);
		set_header(a, TAKE_PTR(header), UINT64_MAX);
		return 0;
	}
	res = token_fetch(&r->options, r->http, e, login, speaks_plain(e), answer, &token, err);
	if (res < 0)
		return err->number == ERR_NR_REGISTRY_AUTH ? tell_refused(e, what, err) : res;
	res = make_bearer(token.text, &header);
	secret_free(token.text);
	if (res < 0)
		return err_no_memory(err);
	set_header(a, TAKE_PTR(header), token.life_s);
	return 0;
}

static int renew(struct registry *r, struct endpoint *e, const char *what,
		 struct http_answer *answer, struct err *err)
{
	const struct auth *a = &e->auth;
	bool plain = speaks_plain(e);
	int res = look_up(r, e, err);

	if (res < 0)
		return res;
	if (login_present(&a->login) && plain && !e->insecure) {
		(void)err_set(err, ERR_DENIED,
			      "%s wants a login, which plain HTTP would show to others"
			      "\nif that is meant, set registries.%s.insecure in config.json",
			      e->name, e->name);
		return fail_auth(err);
	}
	switch (a->challenge.kind) {
	case CHALLENGE_BASIC:
		return renew_basic(e, what, err);
	case CHALLENGE_BEARER:
		return renew_bearer(r, e, what, answer, err);
	case CHALLENGE_NONE:
	case CHALLENGE_OTHER:
	case CHALLENGE_KIND_MAX:
		break;
	}
	(void)err_set(err, ERR_DENIED, "%s wants a login of kind '%s', which is not supported",
		      e->name, a->challenge.scheme);
	return fail_auth(err);
}

/* Lock from here on. */

int auth_header(struct registry *r, struct endpoint *e, const char *what, char **ret_header,
		uint64_t *ret_generation, struct http_answer *answer, struct err *err)
{
	struct auth *a = &e->auth;
	int res = 0;

	(void)pthread_mutex_lock(&a->lock);
	if (a->header && clock_now_ns() >= a->expires_ns)
		res = renew(r, e, what, answer, err);
	*ret_header = NULL;
	*ret_generation = a->generation;
	if (res == 0 && a->header) {
		*ret_header = strdup(a->header);
		if (!*ret_header)
			res = err_no_memory(err);
	}
	(void)pthread_mutex_unlock(&a->lock);
	return res;
}

int auth_renew(struct registry *r, struct endpoint *e, const char *what, uint64_t generation,
	       struct http_answer *answer, struct err *err)
{
	struct auth *a = &e->auth;
	struct challenge challenge = answer->head.challenge;
	int res = 0;

	http_answer_done(answer);
	(void)pthread_mutex_lock(&a->lock);
	if (a->generation == generation) {
		a->challenge = challenge;
		res = renew(r, e, what, answer, err);
	}
	(void)pthread_mutex_unlock(&a->lock);
	return res;
}

int auth_refused(struct endpoint *e, const char *what, struct err *err)
{
	int res;

	(void)pthread_mutex_lock(&e->auth.lock);
	res = tell_refused(e, what, err);
	(void)pthread_mutex_unlock(&e->auth.lock);
	return res;
}
