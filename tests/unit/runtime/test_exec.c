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
	{ "later", "{\"command\":[\"a\"],\"capture\":false}", NULL, "not supported yet" },
	{ "cwd", "{\"command\":[\"a\"],\"cwd\":\"x\"}", NULL, "absolute" },
	{ "stdin", "{\"command\":[\"a\"],\"stdin\":\"pip\"}", NULL, "pipe" },
	{ "timeout", "{\"command\":[\"a\"],\"timeout_ms\":0}", NULL, "timeout_ms" },
	{ "tty rows", "{\"command\":[\"a\"],\"tty\":{\"rows\":0}}", NULL, "rows" },
};

TEST(table)
{
	for_cases(c, cases) {
		struct exec_request req = { 0 };
		struct err err = ERR_INIT;
		char joined[256] = "";
		int r = exec_parse(c->request, &defaults, &req, &err);

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

	ASSERT(exec_parse("{\"default\":true}", &none, &req, &err) < 0);
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
			&none, &req, &err),
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

TAP_MAIN()
