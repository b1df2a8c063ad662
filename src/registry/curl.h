/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_CURL_H
#define REGISTRY_CURL_H

#include <curl/curl.h>

#include "base/err.h"

/*
 * The calls of libcurl that we use.  It is loaded at the first need: with the 30 libraries behind
 * it, it would more than double the start-up time of every program that links libmicrosandbox.
 */
#define CURL_CALLS(X)                                                                              \
	X(curl_version_info)                                                                       \
	X(curl_global_init)                                                                        \
	X(curl_easy_init)                                                                          \
	X(curl_easy_cleanup)                                                                       \
	X(curl_easy_reset)                                                                         \
	X(curl_easy_setopt)                                                                        \
	X(curl_easy_getinfo)                                                                       \
	X(curl_easy_strerror)                                                                      \
	X(curl_slist_append)                                                                       \
	X(curl_slist_free_all)                                                                     \
	X(curl_multi_init)                                                                         \
	X(curl_multi_cleanup)                                                                      \
	X(curl_multi_add_handle)                                                                   \
	X(curl_multi_remove_handle)                                                                \
	X(curl_multi_perform)                                                                      \
	X(curl_multi_poll)                                                                         \
	X(curl_multi_info_read)                                                                    \
	X(curl_url)                                                                                \
	X(curl_url_cleanup)                                                                        \
	X(curl_url_set)                                                                            \
	X(curl_url_get)                                                                            \
	X(curl_free)

/* Its checking macros stand in the way of the pointers below. */
#undef curl_easy_setopt
#undef curl_easy_getinfo

#define CURL_POINTER(name) __typeof__(name) *name;
struct curl {
	CURL_CALLS(CURL_POINTER)
};
#undef CURL_POINTER

/**
 * curl_load() - Load libcurl, which then stays
 * @err:	UNAVAILABLE: not installed, or too old
 *
 * Any thread.
 */
MUST_CHECK int curl_load(struct curl *ret_curl, struct err *err);

#endif /* REGISTRY_CURL_H */
