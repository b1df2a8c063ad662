/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_TROUBLE_H
#define REGISTRY_TROUBLE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Why there is no whole answer. All borrowed. */
struct trouble {
	const char *host;
	bool tls;	 /* an https address */
	CURLcode code;	 /* what libcurl says */
	const char *why; /* its words; may be "" */
	long sys;	 /* errno of connect(); 0: none */
	bool stalled;	 /* too slow; @code says nothing then */
	bool handshake;	 /* of TLS was done */
	bool answered;	 /* the connection broke in mid-answer */
	uint64_t body;	 /* bytes that came of it */
};

/* It may be that the server speaks plain HTTP: nothing shows that it knows TLS. */
bool trouble_no_tls(const struct trouble *t);
/* Whether it makes sense to try again. */
bool trouble_may_pass(const struct trouble *t);
/* One sentence: the host, the cause; what to look at. registry-unreachable. */
int trouble_tell(const struct trouble *t, struct err *err);

#endif /* REGISTRY_TROUBLE_H */
