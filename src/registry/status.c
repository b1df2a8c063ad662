/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/status.h"

#include <stdio.h>
#include <string.h>

#include "json/json.h"
#include "registry/fail.h"
#include "registry/retry.h"

#define SAID_MAX 160 /* bytes of the server's own words that are passed on */

/* The first "message" of {"errors": [{"code", "message"}]}, printable, behind ": "; "" if none. */
static void said(const struct http_answer *a, char *out, size_t size)
{
	AUTO(json_decref) json_t *value = NULL;
	struct err ignored = ERR_INIT;
	struct json_at root, errors, first;
	const char *text = NULL;
	size_t n = 0;

	out[0] = '\0';
	if (a->error.len == 0 ||
	    json_parse("errors", a->error.data, a->error.len, a->error.len, &value, &ignored) < 0)
		return;
	root = json_root(value, NULL);
	errors = json_member(&root, "errors");
	first = json_item(&errors, 0);
	if (json_opt_str(&first, "message", &text, &ignored) < 0 || !text || !*text)
		return;
	n = (size_t)snprintf(out, size, ": ");
	for (; *text && n + 1 < size; text++)
		out[n++] = *text >= 0x20 && *text < 0x7f ? *text : '?';
	out[n] = '\0';
}

static int tell_busy(const struct http_answer *a, const struct endpoint *e, const char *what,
		     const char *words, struct err *err)
{
	unsigned status = a->head.status;

	if (status == 429 && strcmp(e->name, "docker.io") == 0)
		(void)err_set(
			err, ERR_UNAVAILABLE,
			"docker.io: %s: Docker Hub's limit of pulls is reached for this "
			"address or account%s\na login raises it: msb registry login docker.io",
			what, words);
	else if (status == 429)
		(void)err_set(err, ERR_UNAVAILABLE, "%s: %s: too many requests%s", e->name, what,
			      words);
	else
		(void)err_set(err, ERR_UNAVAILABLE, "%s: %s: the server has trouble (status %u%s)",
			      e->name, what, status, words);
	return fail_unreachable(err);
}

int status_tell(const struct http_answer *a, struct endpoint *e, const char *what, struct err *err)
{
	unsigned status = a->head.status;
	char words[SAID_MAX];

	said(a, words, sizeof(words));
	if (status == 404) {
		(void)err_set(err, ERR_NOT_FOUND, "%s: %s not found%s", e->name, what, words);
		return fail_not_found(err);
	}
	if ((status == 401 || status == 403) && a->elsewhere) {
		(void)err_set(err, ERR_PROTOCOL,
			      "%s: %s: the server it redirects to refuses (status %u)%s", e->name,
			      what, status, words);
		return fail_protocol(err);
	}
	if (status == 401 || status == 403)
		return auth_refused(e, what, err);
	if (retry_status(status))
		return tell_busy(a, e, what, words, err);
	(void)err_set(err, ERR_PROTOCOL, "%s: %s: unexpected status %u%s", e->name, what, status,
		      words);
	return fail_protocol(err);
}
