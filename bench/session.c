/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session IMAGE N: boots one sandbox and runs `true` in it N times through the library; prints
 * one JSON object with the boot's phases and the time of each exec, in nanoseconds.
 */
#include <microsandbox.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/num.h"

static int fail(const char *what, const struct msb_error *err)
{
	(void)fprintf(stderr, "session: %s: %s\n", what, err->message);
	return 1;
}

static int exec_true(struct msb_sandbox *sb, struct msb_error *err)
{
	struct msb_stream *s;
	struct msb_event ev = { .struct_size = sizeof(ev) };
	int r = msb_exec_open(sb, "{\"command\":[\"true\"]}", &s, err);

	while (r >= 0 && ev.type != MSB_EV_END)
		r = msb_stream_wait(s, 30000, NULL, &ev, err) == 1 ? 0 : -1;
	msb_stream_close(s);
	return r;
}

int main(int argc, char **argv)
{
	struct msb *m;
	struct msb_sandbox *sb;
	struct msb_error err = { 0 };
	char spec[512], *boot = NULL;
	uint64_t n, start, created;

	if (argc != 3 || parse_u64(argv[2], 100000, &n) < 0) {
		(void)fprintf(stderr, "usage: session IMAGE N\n");
		return 2;
	}
	(void)snprintf(spec, sizeof(spec), "{\"image\":\"%s\"}", argv[1]);
	if (msb_open(NULL, &m, &err) < 0)
		return fail("open", &err);
	start = clock_now_ns();
	if (msb_sandbox_create(m, spec, 0, NULL, &sb, &err) < 0)
		return fail("create", &err);
	created = clock_now_ns();
	if (msb_sandbox_boot_times(sb, &boot, &err) < 0)
		return fail("boot times", &err);
	printf("{\"create_ns\":%ju,\"boot\":%s,\"exec_ns\":[", (uintmax_t)(created - start), boot);
	msb_free(boot);
	for (uint64_t i = 0; i < n; i++) {
		start = clock_now_ns();
		if (exec_true(sb, &err) < 0)
			return fail("exec", &err);
		printf("%s%ju", i ? "," : "", (uintmax_t)(clock_now_ns() - start));
	}
	start = clock_now_ns();
	if (msb_sandbox_stop(sb, MSB_GRACEFUL, -1, NULL, NULL, &err) < 0)
		return fail("stop", &err);
	printf("],\"stop_ns\":%ju}\n", (uintmax_t)(clock_now_ns() - start));
	msb_sandbox_close(sb);
	msb_close(m);
	return 0;
}
