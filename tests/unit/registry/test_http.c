/* SPDX-License-Identifier: Apache-2.0 */
/* What no server can play: a resolver that hangs. It is this program's getaddrinfo(). */
#include "tap.h"

#include <netdb.h>
#include <pthread.h>

#include "registry/http.h"
#include "registry/retry.h"

static int asked[2] = { -1, -1 }, never[2] = { -1, -1 };

__attribute__((visibility("default"))) int getaddrinfo(const char *restrict node,
						       const char *restrict service,
						       const struct addrinfo *restrict hints,
						       struct addrinfo **restrict res)
{
	char byte = 0;

	if (write(asked[1], "x", 1) == 1)
		(void)!read(never[0], &byte, 1);
	return EAI_AGAIN;
}

struct job {
	struct http *http;
	int r;
	struct err err;
};

static int no_data(void *user, const uint8_t *data, size_t len, struct err *err)
{
	return 0;
}

static void *fetch(void *arg)
{
	struct job *j = arg;
	struct http_sink sink = { .data = no_data };
	struct http_request req = { .url = "http://registry.test/", .sink = &sink };
	AUTO(http_answer_done) struct http_answer a = { 0 };

	j->r = http_fetch(j->http, &req, &a, &j->err);
	return NULL;
}

TEST(cancel_ends_a_resolver_that_hangs)
{
	AUTO(cancel_free) struct cancel *cancel = NULL;
	AUTO(http_free) struct http *http = NULL;
	struct job j = { .err = ERR_INIT };
	pthread_t thread;
	char byte;

	ASSERT(pipe2(asked, O_CLOEXEC) == 0 && pipe2(never, O_CLOEXEC) == 0);
	ASSERT_EQ(cancel_new(&cancel), 0);
	ASSERT_EQ(http_new(cancel, &registry_times, &http, &j.err), 0);
	j.http = http;
	ASSERT_EQ(pthread_create(&thread, NULL, fetch, &j), 0);
	ASSERT_EQ(read(asked[0], &byte, 1), 1);
	cancel_fire(cancel);
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	ASSERT_EQ(j.r, -ERR_CANCELLED);
	ASSERT_EQ(j.err.code, ERR_CANCELLED);
	ASSERT_STR(j.err.reason, "cancelled");
}

TAP_MAIN()
