/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/curl.h"

#include <dlfcn.h>

#define LIBCURL	      "libcurl.so.4"
/*
 * 7.88: options that an older one would ignore (QUICK_EXIT, PROTOCOLS_STR), and no SIGPIPE from
 * a TLS connection that was closed.
 */
#define LIBCURL_LEAST 0x075800

int curl_load(struct curl *ret_curl, struct err *err)
{
	static const char *const names[] = {
#define CURL_NAME(name) #name,
		CURL_CALLS(CURL_NAME)
#undef CURL_NAME
	};
	void **slots = (void **)ret_curl;
	const curl_version_info_data *version;
	void *lib;

	/* Never unloaded: it and the libraries behind it leave handlers for the end of the process. */
	lib = dlopen(LIBCURL, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!lib)
		return err_set(err, ERR_UNAVAILABLE,
			       "no registry can be asked: " LIBCURL " is not "
			       "installed\ninstall it: apt install libcurl4");
	_Static_assert(sizeof(*ret_curl) == sizeof(names) / sizeof(names[0]) * sizeof(void *),
		       "one slot a name");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		slots[i] = dlsym(lib, names[i]);
		if (!slots[i])
			return err_set(err, ERR_UNAVAILABLE, LIBCURL " is too old: it has no %s()",
				       names[i]);
	}
	version = ret_curl->curl_version_info(CURLVERSION_NOW);
	if (version->version_num < LIBCURL_LEAST)
		return err_set(err, ERR_UNAVAILABLE, LIBCURL " is too old: version %s",
			       version->version);
	if (ret_curl->curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return err_set(err, ERR_UNAVAILABLE, LIBCURL " does not start");
	return 0;
}
