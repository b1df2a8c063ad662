/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_HTTP_H
#define REGISTRY_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "base/defer.h"
#include "base/err.h"
#include "registry/head.h"
#include "registry/registry.h"

#define HTTP_MAX_REDIRECTS 5
#define HTTP_ERROR_MAX	   (16ul * 1024) /* bytes kept of the body that explains a failure */

/* One request at a time on each of its connections, which stay open for the next. Any thread. */
struct http;

struct curl;

/* @cancel, @times: borrowed */
MUST_CHECK int http_new(struct cancel *cancel, const struct registry_times *times,
			struct http **ret_http, struct err *err);
void http_free(struct http *h);
DEFINE_AUTO(struct http *, http_free);
/* The library, for url_parse(). */
const struct curl *http_curl(const struct http *h);

/* Append what the system trusts, as far as it is one file. 0 or -ENOMEM. */
MUST_CHECK int http_add_system_ca(const struct http *h, struct buf *ca);

/* How one server is trusted. All borrowed. */
struct http_tls {
	const struct buf *own_ca;	      /* PEM, all; NULL: the system's */
	const char *client_cert, *client_key; /* files; NULL: none */
	bool unverified;		      /* take any certificate */
};

/* Who gets the body of an answer with status 2xx. Negative: stop, *err is filled. */
struct http_sink {
	void *user;
	/* Before the first byte, also if there is none; may be NULL. */
	int (*head)(void *user, const struct http_head *head, struct err *err);
	int (*data)(void *user, const uint8_t *data, size_t len, struct err *err);
};

/* All borrowed for the call. */
struct http_request {
	const char *url;
	const char *accept;	   /* NULL: anything */
	const char *authorization; /* sent to the server of @url only; NULL: none */
	const char *form;    /* body of a POST, sent to the server of @url only; NULL: a GET */
	uint64_t from;	     /* bytes to leave out, by Range */
	struct http_tls tls; /* client_cert is for the server of @url only */
	const struct http_sink *sink;
};

struct http_answer {
	struct http_head head;
	int64_t retry_after_s; /* -1: not told */
	bool elsewhere;	       /* it is from another server than that of the request's URL */
	struct buf error;      /* body of an answer that is not 2xx, cut at HTTP_ERROR_MAX; owned */
	/* If the call fails: */
	bool again;  /* trouble that may pass */
	bool closed; /* nobody listens at that port */
	bool no_tls; /* there was no answer, and nothing that speaks TLS */
};
void http_answer_done(struct http_answer *a);
static inline void http_answer_done_auto(struct http_answer *a)
{
	http_answer_done(a);
}

/**
 * http_fetch() - One request, redirects followed
 * @a:		Set also on failure, but for the status; http_answer_done() ends it
 * @err:	CANCELLED, registry-unreachable, registry-protocol, what the sink says
 *
 * Blocks.  Return: 0: there was a whole answer, whatever its status.
 */
MUST_CHECK int http_fetch(struct http *h, const struct http_request *req, struct http_answer *a,
			  struct err *err);

#endif /* REGISTRY_HTTP_H */
