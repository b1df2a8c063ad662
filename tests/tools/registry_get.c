/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_get [OPTION...] HOST REPOSITORY manifest REFERENCE | blob DIGEST SIZE [FROM]
 *
 * Writes a manifest or blob to standard output, for tests.  Its type and each pause go to
 * standard error, and a failure as "REASON NUMBER STAGE MESSAGE".
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/num.h"
#include "registry/registry.h"

static int on_data(void *user, const uint8_t *data, size_t len, struct err *err)
{
	int r = io_write_full(1, data, len);

	return r < 0 ? err_sys(err, -r, "standard output") : 0;
}

static void on_retry(void *user, const char *why, uint64_t wait_ms)
{
	fprintf(stderr, "retry %llu %s\n", (unsigned long long)wait_ms, why);
}

static int manifest(struct registry *r, const char *reference, struct err *err)
{
	AUTO(buf_done) struct buf body = { 0 };
	AUTO_FREE char *type = NULL;

	if (registry_manifest(r, reference, 4096, &body, &type, err) < 0)
		return -1;
	fprintf(stderr, "type %s\nsource %s\n", type, registry_source(r));
	return on_data(NULL, body.data, body.len, err);
}

static int blob(struct registry *r, char **args, int n, struct err *err)
{
	struct registry_sink sink = { .data = on_data, .retry = on_retry };
	uint64_t size, from = 0;

	if (parse_u64(args[1], INT64_MAX, &size) < 0 ||
	    (n > 2 && parse_u64(args[2], INT64_MAX, &from) < 0))
		return err_set(err, ERR_INVALID, "size, from");
	return registry_blob(r, args[0], from, size, &sink, err);
}

int main(int argc, char **argv)
{
	AUTO(registry_close) struct registry *r = NULL;
	struct registry_options options = { .home_fd = -1 };
	struct err err = ERR_INIT;
	int res;

	if (argc < 5)
		return 2;
	res = registry_open(&options, argv[1], argv[2], &r, &err);
	if (res == 0 && strcmp(argv[3], "manifest") == 0)
		res = manifest(r, argv[4], &err);
	else if (res == 0)
		res = blob(r, argv + 4, argc - 4, &err);
	if (res < 0)
		fprintf(stderr, "error %s %d %s %s\n", err.reason, (int)err.number, err.stage,
			err.msg);
	return res < 0;
}
