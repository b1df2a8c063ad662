/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_FETCH_H
#define CLI_FETCH_H

#include <stdbool.h>

#include "base/options.h"
#include "json/json.h"

/* How an image is fetched: options that several commands share. */
struct fetch_opts {
	const char *pull, *platform;
	struct opt_list ca_certs;
	bool insecure;
};

/* Rows of an option table; @member of @type is a struct fetch_opts. */
#define FETCH_OPTIONS(type, member)                                                                \
	{ OPT_STRING,                                                                              \
	  0,                                                                                       \
	  "platform",                                                                              \
	  "OS/ARCH",                                                                               \
	  "of an image with several, such as linux/arm64 (this machine's)",                        \
	  offsetof(type, member.platform) },                                                       \
		{ OPT_LIST,                                                                        \
		  0,                                                                               \
		  "ca-cert",                                                                       \
		  "FILE",                                                                          \
		  "PEM file of an authority that the registry's certificate is from (repeatable)", \
		  offsetof(type, member.ca_certs) },                                               \
	{                                                                                          \
		OPT_FLAG, 0, "insecure", NULL, "accept any certificate, then try plain HTTP",      \
			offsetof(type, member.insecure)                                            \
	}

/* Its members into the object that is open. */
void fetch_put(struct json_out *o, const struct fetch_opts *f);

#endif /* CLI_FETCH_H */
