/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "runtime/spec.h"

static char *entry_items[] = { (char[]){ "/entry" }, NULL };
static char *cmd_items[] = { (char[]){ "serve" }, (char[]){ "-v" }, NULL };
static const struct str_list entry = { .items = entry_items, .n = 1 };
static const struct str_list cmd = { .items = cmd_items, .n = 2 };
static const struct str_list nothing = { 0 };
static const struct exec_defaults defaults = { .entrypoint = &entry,
					       .cmd = &cmd,
					       .shell = "/bin/sh" };
static const struct exec_defaults none = { .entrypoint = &nothing,
					   .cmd = &nothing,
					   .shell = "/bin/sh" };

static const struct {
	const char *name, *request;
	const char *argv;  /* joined by '|' */
	const char *error; /* part of it */
} cases[] = {
	{ "command", "{\"command\":[\"a\",\"b\"]}", "a|b", NULL },
	{ "command args", "{\"command\":[\"a\"],\"args\":[\"c\"]}", "a|c", NULL },
	{ "script", "{\"script\":\"echo\"}", "/bin/sh|-c|echo", NULL },
	{ "script args", "{\"script\":\"echo\",\"args\":[\"x\"]}", "/bin/sh|-c|echo|/bin/sh|x",
	  NULL },
	{ "default", "{\"default\":true}", "/entry|serve|-v", NULL },
	{ "default args", "{\"default\":true,\"args\":[\"x\"]}", "/entry|x", NULL },
	{ "nothing", "{}", NULL, "exactly one" },
	{ "two", "{\"command\":[\"a\"],\"script\":\"b\"}", NULL, "exactly one" },
	{ "empty command", "{\"command\":[]}", NULL, "empty" },
	{ "empty program", "{\"command\":[\"\"]}", NULL, "empty" },
	{ "no list", "{\"command\":\"ls\"}", NULL, "command" },
	{ "typo", "{\"comand\":[\"a\"]}", NULL, "command" },
	{ "later", "{\"command\":[\"a\"],\"start\":true}", NULL, "not supported yet" },
	{ "cwd", "{\"command\":[\"a\"],\"cwd\":\"x\"}", NULL, "absolute" },
	{ "stdin", "{\"command\":[\"a\"],\"stdin\":\"pip\"}", NULL, "pipe" },
	{ "timeout", "{\"command\":[\"a\"],\"timeout_ms\":0}", NULL, "timeout_ms" },
	{ "keep", "{\"command\":[\"a\"],\"on_disconnect\":\"keep\"}", "a", NULL },
	{ "no such policy", "{\"command\":[\"a\"],\"on_disconnect\":\"kep\"}", NULL, "keep" },
	{ "no such rlimit", "{\"command\":[\"a\"],\"rlimits\":[{\"resource\":\"x\",\"soft\":1}]}",
	  NULL, "resource" },
	{ "rlimit without a value", "{\"command\":[\"a\"],\"rlimits\":[{\"resource\":\"as\"}]}",
	  NULL, "soft" },
	{ "rlimit without a name", "{\"command\":[\"a\"],\"rlimits\":[{\"soft\":1}]}", NULL,
	  "resource" },
	{ "soft above hard",
	  "{\"command\":[\"a\"],\"rlimits\":[{\"resource\":\"as\",\"soft\":2,\"hard\":1}]}", NULL,
	  "above" },
	{ "rlimit twice",
	  "{\"command\":[\"a\"],\"rlimits\":[{\"resource\":\"as\",\"soft\":2},{\"resource\":\"as\","
	  "\"soft\":2}]}",
	  NULL, "already" },
	{ "no CPU", "{\"command\":[\"a\"],\"limits\":{\"cpus\":0}}", NULL, "cpus" },
	{ "limit typo", "{\"command\":[\"a\"],\"limits\":{\"pid\":1}}", NULL, "pids" },
	{ "output limit of a stream", "{\"command\":[\"a\"],\"max_output_bytes\":1}", NULL,
	  "msb_exec_run" },
	{ "tty rows", "{\"command\":[\"a\"],\"tty\":{\"rows\":0}}", NULL, "rows" },
};

TEST(table)
{
	for_cases(c, cases) {
		struct exec_request req = { 0 };
		struct err err = ERR_INIT;
		char joined[256] = "";
		int r = exec_parse(c->request, &defaults, &req, NULL, &err);

		if (c->error) {
			if (r == 0 || !strstr(err.msg, c->error))
				TAP_FAIL("'%s' is not in: %s", c->error, err.msg);
			continue;
		}
		if (r < 0)
			TAP_FAIL("%s", err.msg);
		for (size_t i = 0; i < req.argv.n; i++) {
			size_t len = strlen(joined);

			(void)snprintf(joined + len, sizeof(joined) - len, "%s%s", i ? "|" : "",
				       req.argv.items[i]);
		}
		ASSERT_STR(joined, c->argv);
		exec_request_done(&req);
	}
}

TEST(no_default_command)
{
	struct exec_request req = { 0 };
	struct err err = ERR_INIT;

	ASSERT(exec_parse("{\"default\":true}", &none, &req, NULL, &err) < 0);
	ASSERT_EQ(err.number, ERR_NR_NO_DEFAULT_COMMAND);
}

TEST(all_fields)
{
	struct exec_request req = { 0 };
	struct err err = ERR_INIT;

	ASSERT_EQ(
		exec_parse(
			"{\"command\":[\"a\"],\"cwd\":\"/w\",\"user\":\"1:2\",\"env\":{\"K\":\"v\"},"
			"\"stdin\":\"pipe\",\"tty\":{\"rows\":5,\"cols\":6,\"term\":\"vt100\"},"
			"\"timeout_ms\":7,\"kill_after_ms\":8,\"main\":true}",
			&none, &req, NULL, &err),
		0);
	ASSERT_STR(req.cwd, "/w");
	ASSERT_STR(req.user, "1:2");
	ASSERT_STR(req.env.items[0], "K=v");
	ASSERT(req.stdin_open && req.tty && req.main);
	ASSERT_EQ(req.size.rows, 5);
	ASSERT_EQ(req.size.cols, 6);
	ASSERT_STR(req.term, "vt100");
	ASSERT_EQ(req.timeout_ms, 7);
	ASSERT_EQ(req.kill_after_ms, 8);
	exec_request_done(&req);
}

TEST(limits_and_what_is_collected)
{
	struct exec_request req = { 0 };
	struct exec_collect collect = { 0 };
	struct err err = ERR_INIT;

	ASSERT_EQ(exec_parse(
			  "{\"command\":[\"a\"],\"rlimits\":[{\"resource\":\"nofile\",\"soft\":10},"
			  "{\"resource\":\"core\",\"soft\":0,\"hard\":\"unlimited\"}],"
			  "\"limits\":{\"memory_mib\":16,\"pids\":5,\"cpus\":0.5},"
			  "\"wait_for\":\"pipes\",\"on_disconnect\":\"hangup\","
			  "\"max_output_bytes\":99,\"overflow\":\"error\"}",
			  &none, &req, &collect, &err),
		  0);
	ASSERT_EQ(req.n_rlimits, 2);
	ASSERT(req.rlimits[0].resource == 7 && req.rlimits[0].soft == 10 &&
	       req.rlimits[0].hard == 10);
	ASSERT(req.rlimits[1].resource == 4 && req.rlimits[1].hard == RLIMIT_NONE);
	ASSERT_EQ(req.memory_max, 16 << 20);
	ASSERT_EQ(req.pids_max, 5);
	ASSERT_EQ(req.cpu_milli, 500);
	ASSERT(req.wait_pipes && req.on_disconnect == ON_DISCONNECT_HANGUP);
	ASSERT(collect.max == 99 && collect.overflow_ends);
	exec_request_done(&req);
	ASSERT_EQ(exec_parse("{\"command\":[\"a\"]}", &none, &req, &collect, &err), 0);
	ASSERT(collect.max == COLLECT_DEFAULT && !collect.overflow_ends);
	exec_request_done(&req);
}

TEST(attach)
{
	struct attach_request req = { 0 };
	struct err err = ERR_INIT;

	ASSERT_EQ(attach_parse("{\"session\":7,\"stdout_from\":8,\"stderr_from\":9,\"steal\":true}",
			       &req, &err),
		  0);
	ASSERT(req.session == 7 && req.out_from == 8 && req.err_from == 9 && req.steal &&
	       !req.watch);
	ASSERT(attach_parse("{}", &req, &err) < 0 && strstr(err.msg, "session"));
	ASSERT(attach_parse("{\"session\":1,\"watch\":true,\"steal\":true}", &req, &err) < 0);
	ASSERT(attach_parse("{\"session\":1,\"wach\":true}", &req, &err) < 0 &&
	       strstr(err.msg, "watch"));
}

TAP_MAIN()
