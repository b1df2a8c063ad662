/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <sys/stat.h>

#include "runtime/exit_record.h"

#define ID "0123456789abcdef"
#define R  "\"v\":1,\"id\":\"" ID "\",\"reason\":\"main-exited\""

static const struct {
	const char *name, *text, *error;
} cases[] = {
	{ "least", "{" R "}", NULL },
	{ "main", "{" R ",\"main\":{\"code\":3,\"signal\":0},\"flushed\":true}", NULL },
	{ "main null", "{" R ",\"main\":null,\"errno\":0,\"detail\":\"\"}", NULL },
	{ "empty", "", "exit record" },
	{ "no object", "7", "object" },
	{ "unknown key", "{" R ",\"x\":1}", "x" },
	{ "version", "{\"v\":2,\"id\":\"" ID "\",\"reason\":\"killed\"}", "v" },
	{ "other id", "{\"v\":1,\"id\":\"0\",\"reason\":\"killed\"}", "another" },
	{ "reason", "{\"v\":1,\"id\":\"" ID "\",\"reason\":\"bored\"}", "reason" },
	{ "no reason", "{\"v\":1,\"id\":\"" ID "\"}", "reason" },
	{ "code", "{" R ",\"main\":{\"code\":256}}", "code" },
	{ "signal", "{" R ",\"main\":{\"code\":1,\"signal\":65}}", "signal" },
	{ "flushed", "{" R ",\"flushed\":1}", "flushed" },
};

TEST(table)
{
	for_cases(c, cases) {
		struct exit_record rec = { 0 };
		struct err err = ERR_INIT;
		int r = exit_record_parse(c->text, strlen(c->text), ID, &rec, &err);

		if (!c->error && r < 0)
			TAP_FAIL("%s", err.msg);
		if (c->error && (r == 0 || !strstr(err.msg, c->error)))
			TAP_FAIL("'%s' is not in: %s", c->error, r == 0 ? "success" : err.msg);
	}
}

TEST(text_cannot_steer_a_terminal)
{
	static const char text[] =
		"{" R ",\"detail\":\"a\\u001b[31mb\\n\",\"console_tail\":\"\\u0007\"}";
	struct exit_record rec = { 0 };
	struct err err = ERR_INIT;

	ASSERT_EQ(exit_record_parse(text, strlen(text), ID, &rec, &err), 0);
	ASSERT_STR(rec.detail, "a [31mb\n");
	ASSERT_STR(rec.console_tail, " ");
}

TEST(json_of_an_end)
{
	struct exit_record rec = {
		.reason = "main-exited", .code = 137, .signal = 9, .flushed = true
	};
	struct exit_record lost = { .reason = "monitor-killed", .code = -1 };
	char *json = exit_record_json(&rec);

	ASSERT_STR(json, "{\"status\":\"stopped\",\"reason\":\"main-exited\",\"exit_code\":137,"
			 "\"signal\":9,\"flushed\":true}");
	free(json);
	json = exit_record_json(&lost);
	ASSERT_STR(json, "{\"status\":\"crashed\",\"reason\":\"monitor-killed\",\"exit_code\":null,"
			 "\"signal\":null,\"flushed\":false}");
	free(json);
}

TEST(only_a_small_plain_file_is_read)
{
	char dir[] = "/tmp/msb-record-XXXXXX";
	struct exit_record rec = { 0 };
	struct err err = ERR_INIT;
	int fd, file;

	ASSERT(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_EQ(exit_record_read(fd, ID, &rec, &err), 0);
	ASSERT_STR(rec.reason, "monitor-killed");
	ASSERT_EQ(symlinkat("/etc/passwd", fd, "exit.json"), 0);
	ASSERT(exit_record_read(fd, ID, &rec, &err) < 0);
	ASSERT_EQ(unlinkat(fd, "exit.json", 0), 0);
	ASSERT_EQ(mkfifoat(fd, "exit.json", 0600), 0);
	ASSERT(exit_record_read(fd, ID, &rec, &err) < 0);
	ASSERT_EQ(unlinkat(fd, "exit.json", 0), 0);
	file = openat(fd, "exit.json", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_EQ(ftruncate(file, 1 << 20), 0);
	ASSERT(exit_record_read(fd, ID, &rec, &err) < 0);
	ASSERT_EQ(unlinkat(fd, "exit.json", 0), 0);
	ASSERT_EQ(rmdir(dir), 0);
	(void)close(file);
	(void)close(fd);
}

TAP_MAIN()
