/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: one request
 *
 * Each connection is a curl handle in a multi handle of its own, which keeps the socket open and
 * knows poll(): so the cancel switch ends a wait at once, also one for a resolver that hangs
 * (QUICK_EXIT: its thread is left behind).  A thread takes an idle connection, or makes one.
 *
 * Redirects are followed here and not by curl: a hop to another scheme, host or port carries no
 * Authorization, no client certificate and no form, and https is never left.
 */
#include "registry/http.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "registry/curl.h"
#include "registry/fail.h"
#include "registry/file.h"
#include "registry/trouble.h"
#include "registry/url.h"

#define HTTP_IDLE_MAX	 8	       /* connections kept */
#define HTTP_BUFFER	 (128l * 1024) /* bytes of one read */
#define HTTP_POLL_MS	 1000
#define SYSTEM_CA_MAX	 (8ul * 1024 * 1024)
#define HTTP_DISCARD_MAX (1ul * 1024 * 1024) /* bytes of an error body read to keep a connection */

struct conn {
	CURLM *multi;
	CURL *easy;
	struct conn *next;
};

struct http {
	struct curl curl;
	struct cancel *cancel;		    /* borrowed */
	const struct registry_times *times; /* borrowed */
	pthread_mutex_t lock;
	/* under lock */
	struct conn *idle;
	unsigned n_idle;
};

/* One hop. */
struct transfer {
	struct http *http;		/* borrowed */
	const struct http_request *req; /* borrowed */
	const struct url *url;		/* borrowed */
	struct http_answer *answer;	/* borrowed */
	struct err *err;		/* borrowed */
	int stop;			/* negative: a callback ended it and filled err */
	bool head_given;
	uint64_t body;		 /* bytes seen */
	uint64_t since, in_sink; /* ns: begin of the window of the speed check; spent in the sink */
	uint64_t body_at_since;
	char why[CURL_ERROR_SIZE];
};

static void conn_free(struct http *h, struct conn *c)
{
	if (!c)
		return;
	if (c->easy)
		h->curl.curl_easy_cleanup(c->easy);
	if (c->multi)
		(void)h->curl.curl_multi_cleanup(c->multi);
	free(c);
}

static int conn_get(struct http *h, struct conn **ret)
{
	struct conn *c;

	(void)pthread_mutex_lock(&h->lock);
	c = h->idle;
	if (c) {
		h->idle = c->next;
		h->n_idle--;
	}
	(void)pthread_mutex_unlock(&h->lock);
	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c)
			return -ENOMEM;
		c->multi = h->curl.curl_multi_init();
		c->easy = h->curl.curl_easy_init();
		if (!c->multi || !c->easy) {
			conn_free(h, c);
			return -ENOMEM;
		}
	}
	*ret = c;
	return 0;
}

static void conn_put(struct http *h, struct conn *c)
{
	bool kept = false;

	h->curl.curl_easy_reset(c->easy);
	(void)pthread_mutex_lock(&h->lock);
	if (h->n_idle < HTTP_IDLE_MAX) {
		c->next = h->idle;
		h->idle = c;
		h->n_idle++;
		kept = true;
	}
	(void)pthread_mutex_unlock(&h->lock);
	if (!kept)
		conn_free(h, c);
}

int http_new(struct cancel *cancel, const struct registry_times *times, struct http **ret_http,
	     struct err *err)
{
	AUTO_FREE struct http *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return err_no_memory(err);
	r = curl_load(&h->curl, err);
	if (r < 0)
		return r;
	h->cancel = cancel;
	h->times = times;
	(void)pthread_mutex_init(&h->lock, NULL);
	*ret_http = TAKE_PTR(h);
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	while (h->idle) {
		struct conn *c = h->idle;

		h->idle = c->next;
		conn_free(h, c);
	}
	(void)pthread_mutex_destroy(&h->lock);
	free(h);
}

const struct curl *http_curl(const struct http *h)
{
	return &h->curl;
}

int http_add_system_ca(const struct http *h, struct buf *ca)
{
	AUTO(buf_done) struct buf text = { 0 };
	CURL *easy = h->curl.curl_easy_init();
	char *path = NULL;
	int r = -ENOENT;

	if (!easy)
		return -ENOMEM;
	if (h->curl.curl_easy_getinfo(easy, CURLINFO_CAINFO, &path) == CURLE_OK && path)
		r = small_file_read(AT_FDCWD, path, SYSTEM_CA_MAX, &text);
	h->curl.curl_easy_cleanup(easy);
	/* A system without that file has a folder, which libcurl reads itself. */
	return r < 0 ? 0 : buf_add(ca, text.data, text.len);
}

void http_answer_done(struct http_answer *a)
{
	buf_done(&a->error);
}

static size_t on_header(char *line, size_t size, size_t n, void *user)
{
	struct transfer *t = user;
	int r = http_head_line(&t->answer->head, line, size * n);

	if (r == 0)
		return size * n;
	if (r == -E2BIG)
		IGNORE_RESULT(err_set(t->err, ERR_PROTOCOL, "%s: a header of more than %lu bytes",
				      t->url->name, HEAD_BYTES_MAX));
	else
		IGNORE_RESULT(
			err_set(t->err, ERR_PROTOCOL, "%s: a broken header line", t->url->name));
	t->stop = fail_protocol(t->err);
	return 0;
}

static int give_head(struct transfer *t)
{
	const struct http_sink *sink = t->req->sink;

	if (t->head_given)
		return 0;
	t->head_given = true;
	return sink->head ? sink->head(sink->user, &t->answer->head, t->err) : 0;
}

static bool is_success(const struct http_head *h)
{
	return h->status >= 200 && h->status < 300;
}

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
	struct transfer *t = user;
	struct buf *error = &t->answer->error;
	size_t len = size * n, room;
	uint64_t start;

	t->body += len;
	if (cancel_fired(t->http->cancel))
		return 0;
	if (!is_success(&t->answer->head)) {
		room = error->max - error->len;
		/* What does not fit is of no use, nor is a half of it without memory. */
		IGNORE_RESULT(buf_add(error, data, len < room ? len : room));
		return t->body <= HTTP_DISCARD_MAX ? len : 0;
	}
	start = clock_now_ns();
	t->stop = give_head(t);
	if (t->stop == 0)
		t->stop =
			t->req->sink->data(t->req->sink->user, (const uint8_t *)data, len, t->err);
	t->in_sink += clock_now_ns() - start;
	return t->stop == 0 ? len : 0;
}

/* Less than the least number of bytes within the time, our own work not counted. */
static bool is_stalled(struct transfer *t)
{
	const struct registry_times *times = t->http->times;
	uint64_t now = clock_now_ns();

	if (now - t->since - t->in_sink < times->stall_ms * NS_PER_MS)
		return false;
	if (t->body - t->body_at_since < times->stall_bytes)
		return true;
	t->since = now;
	t->in_sink = 0;
	t->body_at_since = t->body;
	return false;
}

/* Run until it is over. Return: 0: *ret_code is what curl says; 1: stalled; -ECANCELED. */
static int drive(struct transfer *t, struct conn *c, CURLcode *ret_code)
{
	const struct curl *curl = &t->http->curl;
	uint64_t stall_ms = t->http->times->stall_ms;
	int ms = stall_ms < HTTP_POLL_MS ? (int)stall_ms : HTTP_POLL_MS; /* for is_stalled() */
	struct curl_waitfd cancel = { .fd = cancel_fd(t->http->cancel),
				      .events = CURL_WAIT_POLLIN };
	int running = 1, left;
	const CURLMsg *m;

	t->since = clock_now_ns();
	for (;;) {
		if (curl->curl_multi_perform(c->multi, &running) != CURLM_OK)
			return -ENOMEM;
		m = curl->curl_multi_info_read(c->multi, &left);
		if (m && m->msg == CURLMSG_DONE) {
			*ret_code = m->data.result;
			return 0;
		}
		if (cancel_fired(t->http->cancel))
			return -ECANCELED;
		if (is_stalled(t))
			return 1;
		if (curl->curl_multi_poll(c->multi, &cancel, cancel.fd >= 0, ms, NULL) != CURLM_OK)
			return -ENOMEM;
	}
}

static void set_tls(struct transfer *t, CURL *easy)
{
	const struct curl *curl = &t->http->curl;
	const struct http_tls *tls = &t->req->tls;
	struct curl_blob ca = { .flags = CURL_BLOB_NOCOPY };

	(void)curl->curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (tls->unverified) {
		(void)curl->curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0l);
		(void)curl->curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0l);
	}
	if (tls->own_ca) {
		ca.data = tls->own_ca->data;
		ca.len = tls->own_ca->len;
		(void)curl->curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &ca);
	}
	if (tls->client_cert) {
		(void)curl->curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->client_cert);
		(void)curl->curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->client_key);
	}
}

/*
 * Options with values that curl knows: none of these calls can fail but for memory, which the
 * transfer then tells.
 */
static void set_options(struct transfer *t, CURL *easy, struct curl_slist *headers)
{
	const struct curl *curl = &t->http->curl;
	char range[32];

#define SET(option, value) (void)curl->curl_easy_setopt(easy, option, value)
	SET(CURLOPT_URL, t->url->text);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_NOSIGNAL, 1l);
	SET(CURLOPT_QUICK_EXIT, 1l);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)t->http->times->connect_ms);
	SET(CURLOPT_BUFFERSIZE, HTTP_BUFFER);
	SET(CURLOPT_TCP_KEEPALIVE, 1l);
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1l);
	SET(CURLOPT_USERAGENT, "microsandbox");
	SET(CURLOPT_ERRORBUFFER, t->why);
	SET(CURLOPT_HTTPHEADER, headers);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, t);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, t);
	if (host_is_loopback(t->url->host))
		SET(CURLOPT_PROXY, ""); /* a proxy is another machine */
	if (t->req->form)
		SET(CURLOPT_POSTFIELDS, t->req->form);
	if (t->req->from > 0) {
		(void)snprintf(range, sizeof(range), "%llu-", (unsigned long long)t->req->from);
		SET(CURLOPT_RANGE, range);
	}
#undef SET
	set_tls(t, easy);
}

/* Append "NAME: VALUE"; no-op without a value. */
static int add_header(const struct curl *curl, struct curl_slist **list, const char *name,
		      const char *value)
{
	AUTO_FREE char *line = NULL;
	struct curl_slist *more;

	if (!value)
		return 0;
	if (asprintf(&line, "%s: %s", name, value) < 0) {
		line = NULL;
		return -ENOMEM;
	}
	more = curl->curl_slist_append(*list, line);
	explicit_bzero(line, strlen(line));
	if (!more)
		return -ENOMEM;
	*list = more;
	return 0;
}

static void wipe_headers(const struct curl *curl, struct curl_slist *list)
{
	for (struct curl_slist *l = list; l; l = l->next)
		explicit_bzero(l->data, strlen(l->data));
	curl->curl_slist_free_all(list);
}

/* What came of it, as an error of ours. */
static int judge(struct transfer *t, struct conn *c, int r, CURLcode code)
{
	const struct curl *curl = &t->http->curl;
	struct http_answer *a = t->answer;
	struct trouble trouble = { .host = t->url->name,
				   .tls = t->url->tls,
				   .code = code,
				   .why = t->why,
				   .stalled = r == 1,
				   .answered = a->head.status != 0,
				   .body = t->body };
	curl_off_t after = 0, handshake = 0;

	if (r == -ECANCELED || cancel_fired(t->http->cancel))
		return fail_cancelled(t->err);
	if (r == -ENOMEM)
		return err_no_memory(t->err);
	if (t->stop < 0)
		return t->stop;
	if (r == 0 && (code == CURLE_OK || (code == CURLE_WRITE_ERROR && !is_success(&a->head)))) {
		if (curl->curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &after) == CURLE_OK &&
		    after > 0)
			a->retry_after_s = (int64_t)after;
		return is_success(&a->head) ? give_head(t) : 0;
	}
	(void)curl->curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &trouble.sys);
	if (curl->curl_easy_getinfo(c->easy, CURLINFO_APPCONNECT_TIME_T, &handshake) == CURLE_OK)
		trouble.handshake = handshake > 0;
	a->no_tls = trouble_no_tls(&trouble);
	a->again = trouble_may_pass(&trouble);
	a->closed = trouble.sys == ECONNREFUSED;
	return trouble_tell(&trouble, t->err);
}

static int hop(struct http *h, const struct http_request *req, const struct url *url,
	       struct http_answer *a, struct err *err)
{
	struct transfer t = {
		.http = h,
		.req = req,
		.url = url,
		.answer = a,
		.err = err,
	};
	struct curl_slist *headers = NULL;
	struct conn *c = NULL;
	CURLcode code = CURLE_OK;
	int r;

	a->head = (struct http_head){ 0 };
	a->retry_after_s = -1;
	buf_done(&a->error);
	if (add_header(&h->curl, &headers, "Accept", req->accept) < 0 ||
	    add_header(&h->curl, &headers, "Authorization", req->authorization) < 0 ||
	    conn_get(h, &c) < 0) {
		wipe_headers(&h->curl, headers);
		return err_no_memory(err);
	}
	set_options(&t, c->easy, headers);
	r = h->curl.curl_multi_add_handle(c->multi, c->easy) == CURLM_OK ? drive(&t, c, &code)
									 : -ENOMEM;
	r = judge(&t, c, r, code);
	(void)h->curl.curl_multi_remove_handle(c->multi, c->easy);
	wipe_headers(&h->curl, headers);
	conn_put(h, c);
	return r;
}

static bool is_redirect(const struct http_head *h)
{
	return h->location[0] && (h->status == 301 || h->status == 302 || h->status == 303 ||
				  h->status == 307 || h->status == 308);
}

/* Where the answer sends us; *url is replaced. */
static int follow(struct http *h, struct http_request *req, struct http_answer *a, struct url *url,
		  struct err *err)
{
	AUTO(url_done) struct url next = { 0 };
	int r = url_parse(&h->curl, url->text, a->head.location, &next);

	if (r == -ENOMEM)
		return err_no_memory(err);
	if (r < 0) {
		(void)err_set(err, ERR_PROTOCOL,
			      "%s: redirects to what is no http or https address", url->name);
		return fail_protocol(err);
	}
	if (req->form || (url->tls && !next.tls)) {
		(void)err_set(err, ERR_PROTOCOL,
			      req->form ? "%s: redirects a request for a token, to %s"
					: "%s: redirects from https to plain http, to %s",
			      url->name, next.name);
		return fail_protocol(err);
	}
	if (strcmp(url->origin, next.origin) != 0) {
		a->elsewhere = true; /* for good: what is not sent once is not sent again */
		req->authorization = NULL;
		req->tls.client_cert = req->tls.client_key = NULL;
	}
	url_done(url);
	*url = next;
	next = (struct url){ 0 };
	return 0;
}

int http_fetch(struct http *h, const struct http_request *req, struct http_answer *a,
	       struct err *err)
{
	AUTO(url_done) struct url url = { 0 };
	struct http_request now = *req;
	int r = url_parse(&h->curl, NULL, req->url, &url);

	*a = (struct http_answer){ .retry_after_s = -1 };
	buf_init(&a->error, HTTP_ERROR_MAX);
	if (r == -ENOMEM)
		return err_no_memory(err);
	if (r < 0) {
		(void)err_set(err, ERR_INVALID, "'%s' is no http or https address", req->url);
		return fail_protocol(err);
	}
	for (unsigned n = 0;; n++) {
		r = hop(h, &now, &url, a, err);
		if (r < 0 || !is_redirect(&a->head))
			return r;
		if (n == HTTP_MAX_REDIRECTS) {
			(void)err_set(err, ERR_PROTOCOL, "%s: more than %d redirects", url.name,
				      HTTP_MAX_REDIRECTS);
			return fail_protocol(err);
		}
		r = follow(h, &now, a, &url, err);
		if (r < 0)
			return r;
	}
}
