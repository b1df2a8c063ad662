/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: how challenges are told apart
 *
 * A header has a list of challenges, each a scheme and then a list of NAME=VALUE, all parted by
 * commas.  So a comma may end a value or a challenge: what follows it is a scheme if the word is
 * not followed by '='.  The token68 form ("Negotiate abc==") is skipped like an odd parameter.
 */
#include "registry/challenge.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

struct cursor {
	const char *at, *end;
};

static bool is_token(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static void skip(struct cursor *c, const char *set)
{
	while (c->at < c->end && *c->at && strchr(set, *c->at))
		c->at++;
}

/* A word; "" if there is none. */
static size_t word(struct cursor *c, const char **ret)
{
	*ret = c->at;
	while (c->at < c->end && is_token(*c->at))
		c->at++;
	return (size_t)(c->at - *ret);
}

/* A word or a quoted string into @out, which may be NULL. false: broken, or does not fit. */
static bool value(struct cursor *c, char *out, size_t size)
{
	size_t n = 0;
	bool quoted = c->at < c->end && *c->at == '"', closed = !quoted;

	if (quoted)
		c->at++;
	while (c->at < c->end) {
		char ch = *c->at;

		if (quoted && ch == '"') {
			c->at++;
			closed = true;
			break;
		}
		if (!quoted && (ch == ',' || ch == ' ' || ch == '\t'))
			break;
		if (quoted && ch == '\\' && c->at + 1 < c->end)
			ch = *++c->at;
		c->at++;
		if (ch < 0x20 || ch == 0x7f || (out && n + 1 >= size))
			return false;
		if (out)
			out[n++] = ch;
	}
	if (out)
		out[n] = '\0';
	return closed;
}

static void set_scheme(struct challenge *c, const char *name, size_t len)
{
	*c = (struct challenge){ .kind = CHALLENGE_OTHER };
	if (len == 6 && strncasecmp(name, "bearer", len) == 0)
		c->kind = CHALLENGE_BEARER;
	else if (len == 5 && strncasecmp(name, "basic", len) == 0)
		c->kind = CHALLENGE_BASIC;
	if (len >= sizeof(c->scheme))
		len = sizeof(c->scheme) - 1;
	memcpy(c->scheme, name, len);
}

/* The parameters of one challenge, up to the next scheme. */
static void parameters(struct cursor *c, struct challenge *one)
{
	for (;;) {
		struct cursor back;
		const char *name;
		size_t len;
		char *out = NULL;
		size_t size = 0;

		skip(c, " \t,");
		back = *c;
		len = word(c, &name);
		skip(c, " \t");
		if (len == 0 || c->at >= c->end || *c->at != '=') {
			*c = back;
			return;
		}
		c->at++;
		skip(c, " \t");
		if (len == 5 && strncasecmp(name, "realm", len) == 0)
			out = one->realm, size = sizeof(one->realm);
		else if (len == 7 && strncasecmp(name, "service", len) == 0)
			out = one->service, size = sizeof(one->service);
		if (!value(c, out, size))
			one->kind = CHALLENGE_OTHER;
	}
}

void challenge_parse(struct challenge *c, const char *text, size_t len)
{
	struct cursor cur = { text, text + len };

	for (;;) {
		struct challenge one;
		const char *name;
		size_t n;

		skip(&cur, " \t,");
		n = word(&cur, &name);
		if (n == 0) { /* no grammar: nothing behind it can be trusted */
			if (cur.at < cur.end && c->kind == CHALLENGE_NONE)
				c->kind = CHALLENGE_OTHER;
			return;
		}
		set_scheme(&one, name, n);
		parameters(&cur, &one);
		if (one.kind == CHALLENGE_BEARER && !one.realm[0])
			one.kind = CHALLENGE_OTHER;
		if (one.kind > c->kind)
			*c = one;
	}
}
