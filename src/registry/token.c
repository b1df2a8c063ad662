/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/token.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "registry/basic.h"
#include "registry/fail.h"
#include "registry/retry.h"
#include "registry/secret_json.h"
#include "registry/url.h"

#define TOKEN_ANSWER_MAX (256ul * 1024) /* bytes */
#define TOKEN_MAX	 (64ul * 1024)	/* bytes */
#define TOKEN_LIFE_S	 60		/* if it is not told: the token specification of Docker */
#define TOKEN_LIFE_MAX_S 86400

int token_parse(const char *what, void *data, size_t len, struct token *ret, struct err *err)
{
	AUTO(secret_json_done) struct secret_json json = { 0 };
	struct json_at root;
	const char *text = NULL, *access = NULL;
	uint64_t life_s = TOKEN_LIFE_S;
	int r = secret_json_parse(&json, what, data, len, TOKEN_ANSWER_MAX, err);

	if (r < 0)
		return r;
	root = json_root(json.value, what);
	if ((r = json_get_object(&root, err)) < 0 ||
	    (r = json_opt_str(&root, "token", &text, err)) < 0 ||
	    (r = json_opt_str(&root, "access_token", &access, err)) < 0 ||
	    (r = json_opt_u64(&root, "expires_in", 0, INT64_MAX, &life_s, err)) < 0)
		return r;
	if (!text || !*text)
		text = access;
	if (!text || !*text)
		return err_set(err, ERR_PROTOCOL, "%s: an answer without a token", what);
	for (len = 0; text[len]; len++) {
		if (text[len] < 0x21 || text[len] > 0x7e || len >= TOKEN_MAX)
			return err_set(err, ERR_PROTOCOL, "%s: a token with odd bytes, or too long",
				       what);
	}
	ret->text = strdup(text);
	ret->life_s = life_s < TOKEN_LIFE_MAX_S ? life_s : TOKEN_LIFE_MAX_S;
	return ret->text ? 0 : err_no_memory(err);
}

/* "&NAME=VALUE", all but letters, digits and -._~ as %XX. @b has room: see the callers. */
static int add_parameter(struct buf *b, const char *name, const char *value)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	int r = buf_addf(b, "&%s=", name);

	for (; *value && r == 0; value++) {
		char hex[4];

		if (strchr(plain, *value)) {
			r = buf_add(b, value, 1);
			continue;
		}
		(void)snprintf(hex, sizeof(hex), "%%%02X", (unsigned char)*value);
		r = buf_add(b, hex, 3);
	}
	return r;
}

/* What is asked for: the same words in an address and in a form. */
static int add_question(struct buf *b, const struct endpoint *e)
{
	AUTO_FREE char *scope = NULL;
	int r = 0;

	if (e->auth.challenge.service[0])
		r = add_parameter(b, "service", e->auth.challenge.service);
	if (r < 0 || !e->repository[0])
		return r;
	if (asprintf(&scope, "repository:%s:pull", e->repository) < 0) {
		scope = NULL;
		return -ENOMEM;
	}
	return add_parameter(b, "scope", scope);
}

/* The whole address of a GET, or of a POST the address alone. */
static int make_url(const struct endpoint *e, bool post, struct buf *ret)
{
	const char *realm = e->auth.challenge.realm;
	size_t at;
	int r;

	buf_init(ret, 64ul * 1024);
	r = buf_add(ret, realm, strcspn(realm, "#"));
	at = ret->len;
	if (r == 0 && !post)
		r = add_question(ret, e);
	if (r == 0 && ret->len > at && !memchr(ret->data, '?', at))
		ret->data[at] = '?';
	return r == 0 && buf_cstr(ret) ? 0 : -ENOMEM;
}

static int make_form(const struct endpoint *e, const struct login *login, struct buf *ret)
{
	size_t max = 3 * LOGIN_SECRET_MAX + 16ul * 1024;
	int r;

	buf_init(ret, max);
	if (!buf_room(ret, max)) /* at once: growing leaves secrets behind */
		return -ENOMEM;
	r = buf_addf(ret, "grant_type=refresh_token&client_id=microsandbox");
	if (r == 0)
		r = add_question(ret, e);
	if (r == 0)
		r = add_parameter(ret, "refresh_token", login->identity_token);
	return r == 0 && buf_cstr(ret) ? 0 : -ENOMEM;
}

/*
 * Who asks for tokens there may be another server than the registry.  Without TLS it must be this
 * machine, a host marked insecure, or the registry itself if that is spoken to without TLS, too.
 */
static int check_realm(const struct registry_options *options, struct http *http,
		       const struct endpoint *e, bool plain, struct http_tls *tls, struct err *err)
{
	AUTO(url_done) struct url realm = { 0 };
	AUTO(url_done) struct url own = { 0 };
	const struct registry_host *config;
	bool same, insecure;
	int r = url_parse(http_curl(http), NULL, e->auth.challenge.realm, &realm);

	if (r == 0)
		r = url_parse(http_curl(http), NULL, e->base[plain && e->base[1]], &own);
	if (r == -ENOMEM)
		return err_no_memory(err);
	if (r < 0) {
		(void)err_set(err, ERR_PROTOCOL, "%s: its token server has no valid address",
			      e->name);
		return fail_protocol(err);
	}
	assert(realm.host && own.host);
	same = strcmp(realm.host, own.host) == 0;
	config = endpoint_config(options, realm.name);
	insecure =
		host_is_loopback(realm.host) || options->insecure || (config && config->insecure);
	if (!realm.tls && !insecure && !(same && e->insecure && plain)) {
		(void)err_set(err, ERR_PROTOCOL,
			      "%s: its token server %s has plain HTTP, which shows credentials and "
			      "tokens to others",
			      e->name, realm.name);
		return fail_protocol(err);
	}
	*tls = (struct http_tls){ .own_ca = e->tls.own_ca,
				  .unverified = insecure || (same && e->insecure) };
	if (strcmp(realm.origin, own.origin) == 0) {
		tls->client_cert = e->tls.client_cert;
		tls->client_key = e->tls.client_key;
	}
	return 0;
}

static int on_data(void *user, const uint8_t *data, size_t len, struct err *err)
{
	struct buf *b = user;

	if (buf_add(b, data, len) == 0)
		return 0;
	(void)err_set(err, ERR_PROTOCOL, "the token server answers more than %lu bytes",
		      TOKEN_ANSWER_MAX);
	return fail_protocol(err);
}

static int judge(const struct endpoint *e, bool has_login, struct http_answer *a, struct err *err)
{
	unsigned status = a->head.status;

	a->again = retry_status(status);
	if (status == 400 || status == 401 || status == 403) {
		(void)err_set(err, ERR_DENIED,
			      has_login ? "%s: its token server refuses the credentials"
					: "%s: its token server gives no token to just anybody",
			      e->name);
		return fail_auth(err);
	}
	if (a->again) {
		(void)err_set(err, ERR_UNAVAILABLE, "%s: its token server has trouble (status %u)",
			      e->name, status);
		return fail_unreachable(err);
	}
	(void)err_set(err, ERR_PROTOCOL, "%s: its token server answers with status %u", e->name,
		      status);
	return fail_protocol(err);
}

int token_fetch(const struct registry_options *options, struct http *http, const struct endpoint *e,
		const struct login *login, bool plain, struct http_answer *a, struct token *ret,
		struct err *err)
{
	AUTO(secret_free) char *basic = NULL;
	AUTO(secret_buf_done) struct buf body = { 0 };
	AUTO(secret_buf_done) struct buf form = { 0 };
	AUTO(buf_done) struct buf url = { 0 };
	struct http_sink sink = { .user = &body, .data = on_data };
	struct http_request req = { .sink = &sink };
	bool post = login && login->identity_token;
	int r = check_realm(options, http, e, plain, &req.tls, err);

	if (r < 0)
		return r;
	buf_init(&body, TOKEN_ANSWER_MAX);
	if (!buf_room(&body, TOKEN_ANSWER_MAX) || make_url(e, post, &url) < 0 ||
	    (post && make_form(e, login, &form) < 0) ||
	    (!post && login && basic_header(login->user, login->password, &basic) < 0))
		return err_no_memory(err);
	req.url = (const char *)url.data;
	req.form = post ? (const char *)form.data : NULL;
	req.authorization = basic;
	r = http_fetch(http, &req, a, err);
	if (r == 0 && a->head.status != 200)
		r = judge(e, login != NULL, a, err);
	if (r < 0)
		return r;
	r = token_parse(e->name, body.data, body.len, ret, err);
	return r < 0 ? fail_protocol(err) : 0;
}
