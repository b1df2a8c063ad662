/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_REGISTRY_H
#define REGISTRY_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "base/defer.h"
#include "base/err.h"

/*
 * Client of the OCI distribution API (pull side), over HTTPS with libcurl.  It fetches documents
 * and blobs; what they mean is the caller's business, and so are their digests: nothing here is
 * verified but sizes.  Credentials never leave this module.
 */

/* `registries.HOST` of config.json. Strings owned by whoever made it. */
struct registry_host {
	char *host;	/* as image references have it: "ghcr.io", "localhost:5000" */
	char **mirrors; /* base URLs, tried in order before the host; NULL-terminated, or NULL */
	char *ca_file, *client_cert, *client_key; /* PEM; NULL: none */
	bool insecure; /* TLS errors are accepted, then plain HTTP is tried; implied for loopback */
	char *user, *password_file; /* NULL: none */
};

/* How long things may take. */
struct registry_times {
	uint64_t connect_ms;		 /* DNS, TCP and TLS of one connection */
	uint64_t stall_ms, stall_bytes;	 /* a transfer must bring stall_bytes in stall_ms */
	uint64_t retry_ms, retry_max_ms; /* pause before the second try; doubles up to the other */
	uint64_t retry_after_max_ms;	 /* what a server may ask for */
	uint64_t helper_ms;		 /* one call of docker-credential-NAME */
};

/* All borrowed; must outlive what is opened with it. */
struct registry_options {
	int home_fd; /* MSB_HOME, for auth.json */
	const struct registry_host *hosts;
	size_t n_hosts;
	/* where others keep credentials; NULL: nowhere */
	const char *user_dir;	   /* the user's home directory */
	const char *docker_config; /* $DOCKER_CONFIG */
	const char *runtime_dir;   /* $XDG_RUNTIME_DIR */
	const char *path;	   /* $PATH, to find docker-credential-NAME */
	/* of this call */
	const char *user, *secret; /* NULL: look them up */
	const char *ca_file;
	bool insecure;
	struct cancel *cancel;
	const struct registry_times *times; /* NULL: the usual ones */
};

/* One repository. Any thread, several calls at once. */
struct registry;

/**
 * registry_open() - Prepare to fetch from HOST/REPOSITORY; no network yet
 * @host:	"docker.io", "localhost:5000"
 * @repository:	"library/debian"
 */
MUST_CHECK int registry_open(const struct registry_options *options, const char *host,
			     const char *repository, struct registry **ret_registry,
			     struct err *err);
void registry_close(struct registry *r);
DEFINE_AUTO(struct registry *, registry_close);

/*
 * Errors of the fetching calls, by err->reason (spec: image.md, 11): "image-not-found" (number
 * 302), "registry-auth" (501), "registry-unreachable" (808), "registry-protocol" (900),
 * "limit-exceeded" (901), "cancelled" (1100).  Connection trouble and busy servers are retried
 * first, see internal documentation.
 */

/**
 * registry_manifest() - Fetch a manifest or index, raw
 * @reference:	Tag or digest
 * @max:	Bytes; more is "limit-exceeded"
 * @ret_type:	Its Content-Type without parameters, "" if there is none; owned by the caller
 */
MUST_CHECK int registry_manifest(struct registry *r, const char *reference, size_t max,
				 struct buf *ret_body, char **ret_type, struct err *err);

/* Who gets the bytes of a blob, in order, on the calling thread. Negative: stop with *err. */
struct registry_sink {
	void *user;
	int (*data)(void *user, const uint8_t *data, size_t len, struct err *err);
	/* A pause before the next try; @why is one phrase. May be NULL. */
	void (*retry)(void *user, const char *why, uint64_t wait_ms);
};

/**
 * registry_blob() - Fetch a blob from byte @from to its end at @size
 * @digest:	"sha256:..."
 *
 * A broken transfer goes on where it broke.  A byte more or less than @size is an error.
 */
MUST_CHECK int registry_blob(struct registry *r, const char *digest, uint64_t from, uint64_t size,
			     const struct registry_sink *sink, struct err *err);

/*
 * What this thread's last call brought had the wrong digest: do not ask that mirror again.
 * true: it came from a mirror, and there is another place to ask; false: it came from the
 * registry itself.
 */
bool registry_distrust(struct registry *r);
/* "ghcr.io", or the mirror that this thread's call asks, or its last one; borrowed. */
const char *registry_source(struct registry *r);

/* ---- credentials ---- */

/* Try @user and @secret with the registry. @err: "registry-auth" and as above. */
MUST_CHECK int registry_login_check(const struct registry_options *options, const char *host,
				    const char *user, const char *secret, struct err *err);
/* Into and out of MSB_HOME/auth.json (0600). NOT_FOUND: there was none. */
MUST_CHECK int registry_login_store(int home_fd, const char *host, const char *user,
				    const char *secret, struct err *err);
MUST_CHECK int registry_login_forget(int home_fd, const char *host, struct err *err);
/*
 * All that are known: @source is the file or helper they come from, @name may be "". Never a
 * secret.  A negative value of @fn ends the list and is returned, with *err as it was.
 */
typedef int (*registry_login_fn)(void *user, const char *host, const char *name,
				 const char *source);
MUST_CHECK int registry_login_list(const struct registry_options *options, registry_login_fn fn,
				   void *user, struct err *err);

#endif /* REGISTRY_REGISTRY_H */
