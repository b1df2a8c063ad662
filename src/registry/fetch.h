/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_FETCH_H
#define REGISTRY_FETCH_H

#include <pthread.h>

#include "registry/endpoint.h"
#include "registry/retry.h"

struct registry {
	struct registry_options options; /* borrows */
	struct registry_times times;
	struct http *http;
	char *host;		    /* as references have it */
	struct endpoint *endpoints; /* mirrors in order, then the registry itself */
	size_t n_endpoints;
	/* For each thread: the endpoints that its call asked, see fetch.c. */
	pthread_key_t asked;
	bool has_asked;
};

/* One document or blob. */
struct fetch {
	const char *what;   /* for messages: "manifest 1.2", "blob sha256:..."; borrowed */
	const char *path;   /* below the repository: "manifests/1.2"; borrowed */
	const char *accept; /* borrowed */
	struct http_sink sink;
	const struct registry_sink *watcher; /* told of pauses; NULL: nobody */
	/* Kept by the sink: */
	uint64_t done; /* bytes that are safe: the next try begins behind them */
	uint64_t size; /* of all; UINT64_MAX: as many as come */
	bool stopped;  /* the caller wants no more, whoever else has it */
};

/* Ask one place after the other, each as often as makes sense. */
MUST_CHECK int fetch(struct registry *r, struct fetch *f, struct err *err);

/* Ask one of them. */
MUST_CHECK int fetch_from(struct registry *r, struct endpoint *e, struct fetch *f, struct err *err);

#endif /* REGISTRY_FETCH_H */
