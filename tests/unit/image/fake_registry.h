/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_IMAGE_FAKE_REGISTRY_H
#define UNIT_IMAGE_FAKE_REGISTRY_H

#include "tap.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "image/digest.h"
#include "registry/registry.h"

/* A registry in memory, linked in place of the real one: src/registry/registry.h is its manual. */
struct fake_item {
	char name[160]; /* digest or tag */
	const char *type;
	struct buf data; /* owned */
	/* faults */
	size_t cut;	  /* the connection breaks after that many bytes, once; 0: never */
	bool mirror_lies; /* a mirror is asked first, and changes a byte */
	bool hangs;	  /* until it is cancelled */
	/* what was asked for */
	unsigned n_asked;
	uint64_t from; /* of the last time */
	uint64_t sent;
};

static struct fake {
	pthread_mutex_t lock;
	struct fake_item items[40];
	size_t n;
	char host[64], repository[64]; /* last opened */
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct registry {
	const struct registry_options *options;
	bool mirror_is_out; /* under fake.lock */
};

static _Thread_local bool from_mirror;

static inline void fake_clear(void)
{
	for (size_t i = 0; i < fake.n; i++)
		buf_done(&fake.items[i].data);
	fake.n = 0;
}

/* Copies; @name NULL: its digest. */
static inline struct fake_item *fake_add(const char *name, const char *type, const void *data,
					 size_t len)
{
	struct fake_item *i = &fake.items[fake.n++];
	uint8_t sha[SHA256_BYTES];

	ASSERT(fake.n <= sizeof(fake.items) / sizeof(fake.items[0]));
	*i = (struct fake_item){ .type = type };
	digest_of(data, len, sha);
	if (name)
		(void)snprintf(i->name, sizeof(i->name), "%s", name);
	else
		digest_text(sha, i->name);
	buf_init(&i->data, len + 1);
	ASSERT_EQ(buf_add(&i->data, data, len), 0);
	return i;
}

static inline struct fake_item *fake_find(const char *name)
{
	for (size_t i = 0; i < fake.n; i++) {
		if (strcmp(fake.items[i].name, name) == 0)
			return &fake.items[i];
	}
	return NULL;
}

/* It is there. */
static inline struct fake_item *fake_get(const char *name)
{
	struct fake_item *i = fake_find(name);

	if (!i)
		TAP_FAIL("the fake registry lacks %s", name);
	return i;
}

static inline int fake_fail(struct err *err, enum err_code code, const char *reason)
{
	(void)err_set(err, code, "the fake says %s", reason);
	return err_reason(err, reason);
}

int registry_open(const struct registry_options *options, const char *host, const char *repository,
		  struct registry **ret_registry, struct err *err)
{
	struct registry *r = calloc(1, sizeof(*r));

	ASSERT(r != NULL);
	r->options = options;
	(void)snprintf(fake.host, sizeof(fake.host), "%s", host);
	(void)snprintf(fake.repository, sizeof(fake.repository), "%s", repository);
	*ret_registry = r;
	return 0;
}

void registry_close(struct registry *r)
{
	free(r);
}

/* What is asked for; the fault of it that applies now. */
static inline struct fake_item *fake_ask(struct registry *r, const char *name, uint64_t from,
					 bool *ret_lie)
{
	struct fake_item *i;

	(void)pthread_mutex_lock(&fake.lock);
	i = fake_find(name);
	if (i) {
		i->n_asked++;
		i->from = from;
		*ret_lie = from_mirror = i->mirror_lies && !r->mirror_is_out;
	}
	(void)pthread_mutex_unlock(&fake.lock);
	return i;
}

int registry_manifest(struct registry *r, const char *reference, size_t max, struct buf *ret_body,
		      char **ret_type, struct err *err)
{
	bool lie = false;
	struct fake_item *i = fake_ask(r, reference, 0, &lie);

	if (!i)
		return fake_fail(err, ERR_NOT_FOUND, "image-not-found");
	if (i->data.len > max)
		return fake_fail(err, ERR_INVALID, "limit-exceeded");
	buf_init(ret_body, max);
	ASSERT_EQ(buf_add(ret_body, i->data.data, i->data.len), 0);
	if (lie)
		ret_body->data[0] ^= 1;
	*ret_type = strdup(i->type);
	return 0;
}

int registry_blob(struct registry *r, const char *digest, uint64_t from, uint64_t size,
		  const struct registry_sink *sink, struct err *err)
{
	bool lie = false;
	struct fake_item *i = fake_ask(r, digest, from, &lie);
	size_t cut;

	if (!i)
		return fake_fail(err, ERR_NOT_FOUND, "image-not-found");
	ASSERT_EQ(size, i->data.len);
	while (i->hangs) {
		struct pollfd p = { .fd = cancel_fd(r->options->cancel), .events = POLLIN };

		ASSERT_EQ(poll(&p, 1, 30000), 1);
		return cancel_check(r->options->cancel, err);
	}
	cut = i->cut;
	for (size_t at = from; at < size;) {
		size_t n = size - at < 65536 ? (size_t)(size - at) : 65536;
		uint8_t piece[65536];
		int rc;

		if (cut && at + n > cut) {
			i->cut = 0;
			if (sink->retry)
				sink->retry(sink->user, "connection reset", 500);
			return fake_fail(err, ERR_UNAVAILABLE, "registry-unreachable");
		}
		memcpy(piece, i->data.data + at, n);
		if (lie && at == from)
			piece[0] ^= 1;
		rc = sink->data(sink->user, piece, n, err);
		if (rc < 0)
			return rc;
		i->sent += n;
		at += n;
	}
	return 0;
}

bool registry_distrust(struct registry *r)
{
	bool was = from_mirror;

	(void)pthread_mutex_lock(&fake.lock);
	if (was)
		r->mirror_is_out = true;
	(void)pthread_mutex_unlock(&fake.lock);
	from_mirror = false;
	return was;
}

const char *registry_source(struct registry *r)
{
	return from_mirror ? "mirror.example" : "registry.example";
}

#endif /* UNIT_IMAGE_FAKE_REGISTRY_H */
