/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: who is asked, and how often
 *
 * Mirrors come first, each once: any failure there means the next place, which goes on where the
 * mirror stopped.  A mirror that could not be reached is not asked again.  The registry itself
 * is asked again after trouble that may pass, as retry.h says.
 *
 * Each thread remembers which endpoints its call has asked, for registry_distrust(): a word with
 * one bit an endpoint, and above them the index of the last one.
 */
#include "registry/fetch.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "registry/fail.h"
#include "registry/status.h"

#define ASKED_BITS 16

/* An answer to a new call begins with no endpoint. */
static void forget_asked(struct registry *r)
{
	(void)pthread_setspecific(r->asked, NULL);
}

/* Without memory the endpoint is not remembered: then nothing is distrusted. */
static void remember_asked(struct registry *r, size_t index)
{
	uintptr_t word = (uintptr_t)pthread_getspecific(r->asked);

	word = (word & ((1u << ASKED_BITS) - 1)) | (uintptr_t)1 << index | index << ASKED_BITS;
	(void)pthread_setspecific(r->asked, (void *)word);
}

bool registry_distrust(struct registry *r)
{
	uintptr_t word = (uintptr_t)pthread_getspecific(r->asked);
	bool any = false;

	for (size_t i = 0; i + 1 < r->n_endpoints; i++) {
		if (word & (uintptr_t)1 << i) {
			atomic_store(&r->endpoints[i].gone, true);
			any = true;
		}
	}
	return any;
}

const char *registry_source(struct registry *r)
{
	return r->endpoints[(uintptr_t)pthread_getspecific(r->asked) >> ASKED_BITS].name;
}

/* The request at one base of the endpoint. */
static int ask_base(struct registry *r, struct endpoint *e, unsigned base, const char *header,
		    struct fetch *f, struct http_answer *a, struct err *err)
{
	AUTO_FREE char *url = NULL;
	struct http_request req = { .accept = f->accept,
				    .authorization = header,
				    .from = f->done,
				    .tls = e->tls,
				    .sink = &f->sink };

	if (asprintf(&url, "%s/%s%s%s", e->base[base], e->repository, *e->repository ? "/" : "",
		     f->path) < 0) {
		url = NULL;
		return err_no_memory(err);
	}
	req.url = url;
	return http_fetch(r->http, &req, a, err);
}

/* The request, at the base that answers. */
static int ask(struct registry *r, struct endpoint *e, const char *header, struct fetch *f,
	       struct http_answer *a, struct err *err)
{
	unsigned known = atomic_load(&e->base_known);
	int res = ask_base(r, e, known ? known - 1 : 0, header, f, a, err);

	if (known == 0 && !(res < 0 && a->no_tls)) {
		atomic_store(&e->base_known, 1u);
	} else if (known == 0 && e->base[1] && !cancel_fired(r->options.cancel)) {
		http_answer_done(a);
		res = ask_base(r, e, 1, header, f, a, err);
		if (!(res < 0 && a->no_tls))
			atomic_store(&e->base_known, 2u);
	}
	return res;
}

/*
 * The request with what the endpoint wants to know; it may ask once.  A server that it sends us
 * to may not: logins are for the endpoint and the token server that it names itself.
 */
static int ask_as(struct registry *r, struct endpoint *e, struct fetch *f, struct http_answer *a,
		  struct err *err)
{
	for (unsigned n = 0;; n++) {
		AUTO(secret_free) char *header = NULL;
		uint64_t generation;
		int res = auth_header(r, e, f->what, &header, &generation, a, err);

		if (res < 0)
			return res;
		http_answer_done(a);
		res = ask(r, e, header, f, a, err);
		if (res < 0 || a->head.status != 401 || a->elsewhere || n > 0)
			return res;
		res = auth_renew(r, e, f->what, generation, a, err);
		if (res < 0)
			return res;
	}
}

/* One try. */
static int attempt(struct registry *r, struct endpoint *e, struct fetch *f, struct http_answer *a,
		   struct err *err)
{
	int res = ask_as(r, e, f, a, err);

	if (res < 0)
		return res;
	if (a->head.status < 200 || a->head.status > 299) {
		a->again = retry_status(a->head.status);
		return status_tell(a, e, f->what, err);
	}
	if (f->size != UINT64_MAX && f->done < f->size) {
		a->again = true;
		(void)err_set(err, ERR_UNAVAILABLE, "%s: %s ends after %llu of %llu bytes", e->name,
			      f->what, (unsigned long long)f->done, (unsigned long long)f->size);
		return fail_unreachable(err);
	}
	return 0;
}

static int wait_ms(struct registry *r, uint64_t ms, struct err *err)
{
	struct pollfd p = { .fd = cancel_fd(r->options.cancel), .events = POLLIN };
	uint64_t end = clock_now_ns() + ms * NS_PER_MS, now;

	while ((now = clock_now_ns()) < end && !cancel_fired(r->options.cancel))
		(void)poll(&p, 1, (int)((end - now + NS_PER_MS - 1) / NS_PER_MS));
	return cancel_fired(r->options.cancel) ? fail_cancelled(err) : 0;
}

int fetch_from(struct registry *r, struct endpoint *e, struct fetch *f, struct err *err)
{
	struct retry retry = { 0 };
	uint32_t random = 0;
	int64_t ms;
	int res;

	for (;;) {
		AUTO(http_answer_done) struct http_answer a = { 0 };

		res = attempt(r, e, f, &a, err);
		if (res == 0 || !a.again || e->is_mirror || f->stopped)
			return res;
		if (a.closed && f->done == 0 && retry.failed > 0)
			return res; /* twice in a row before anything came: it is not there */
		IGNORE_RESULT(getrandom(&random, sizeof(random), 0) < 0); /* then all wait alike */
		ms = retry_next(&retry, &r->times, f->done, a.retry_after_s, random);
		if (ms < 0)
			return res;
		log_debug("%s: again in %lld ms: %s", e->name, (long long)ms, err->msg);
		if (f->watcher && f->watcher->retry)
			f->watcher->retry(f->watcher->user, err->msg, (uint64_t)ms);
		res = wait_ms(r, (uint64_t)ms, err);
		if (res < 0)
			return res;
	}
}

int fetch(struct registry *r, struct fetch *f, struct err *err)
{
	struct err why = ERR_INIT;
	int res = 0;

	forget_asked(r);
	for (size_t i = 0; i < r->n_endpoints; i++) {
		struct endpoint *e = &r->endpoints[i];

		if (atomic_load(&e->gone))
			continue;
		if (cancel_fired(r->options.cancel))
			return fail_cancelled(err);
		remember_asked(r, i);
		res = fetch_from(r, e, f, &why);
		if (res == 0)
			return 0;
		if (f->stopped || why.code == ERR_CANCELLED)
			break;
		if (e->is_mirror && why.number == ERR_NR_UNREACHABLE)
			atomic_store(&e->gone, true);
		log_debug("%s: %s", e->name, why.msg);
	}
	*err = why;
	return res;
}
