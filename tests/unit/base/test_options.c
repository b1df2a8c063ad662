/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "base/options.h"

struct opts {
	bool flag, other;
	const char *text;
	struct opt_list list;
	uint64_t n, mib, ms;
};

static const struct opt table[] = {
	{ OPT_FLAG, 'f', "flag", NULL, "", offsetof(struct opts, flag) },
	{ OPT_FLAG, 'o', "other", NULL, "", offsetof(struct opts, other) },
	{ OPT_STRING, 't', "text", "T", "", offsetof(struct opts, text) },
	{ OPT_LIST, 'l', "list", "L", "", offsetof(struct opts, list) },
	{ OPT_NUMBER, 'n', "number", "N", "", offsetof(struct opts, n) },
	{ OPT_SIZE_MIB, 'm', "memory", "SIZE", "", offsetof(struct opts, mib) },
	{ OPT_DURATION, 'd', "duration", "D", "", offsetof(struct opts, ms) },
	{ .kind = OPT_END },
};

TEST(all_spellings)
{
	char *argv[] = { "img",	   "-fo",     "--text=a=b", "-lx", "-l",       "y",
			 "--list", "z",	      "-n",	    "7",   "--memory", "1.5G",
			 "arg",	   "-d1m30s", "--",	    "-f",  "--",       NULL };
	struct opts o = { 0 };
	struct opt_rest rest;
	struct err err = ERR_INIT;

	ASSERT_EQ(options_parse(table, "run", &o, 17, argv, &rest, &err), 0);
	ASSERT(o.flag && o.other);
	ASSERT_STR(o.text, "a=b");
	ASSERT_EQ(o.list.n, 3);
	ASSERT_STR(o.list.items[0], "x");
	ASSERT_STR(o.list.items[2], "z");
	ASSERT_EQ(o.n, 7);
	ASSERT_EQ(o.mib, 1536);
	ASSERT_EQ(o.ms, 90000);
	ASSERT_EQ(rest.n_args, 2);
	ASSERT_STR(rest.args[1], "arg");
	ASSERT_EQ(rest.n_guest, 2);
	ASSERT_STR(rest.guest[0], "-f");
	options_done(table, &o);
}

TEST(errors_name_the_option_and_suggest)
{
	static const struct {
		const char *name, *arg, *message;
	} cases[] = {
		{ "misspelt", "--memroy",
		  "unknown option '--memroy' for 'run'; did you mean '--memory'?" },
		{ "far off", "--xyzzy", "unknown option '--xyzzy' for 'run'" },
		{ "short", "-x", "unknown option '-x' for 'run'" },
		{ "no value", "--text", "--text needs T" },
		{ "value for a flag", "--flag=1", "--flag takes no value" },
		{ "bad size", "--memory=12x",
		  "--memory: '12x' is not a size; write 512M, 1.5GiB or 2048 (MiB)" },
		{ "bad duration", "--duration=90 min",
		  "--duration: '90 min' is not a duration; write 90m, 1h30m or 5400 (seconds)" },
		{ "bad number", "-n-1", "--number: '-1' is not a number" },
	};

	for_cases(c, cases) {
		char *argv[] = { (char *)(uintptr_t)c->arg, NULL };
		struct opts o = { 0 };
		struct opt_rest rest = { .n_args = 99 };
		struct err err = ERR_INIT;

		ASSERT_EQ(options_parse(table, "run", &o, 1, argv, &rest, &err), -ERR_INVALID);
		ASSERT_STR(err.msg, c->message);
		ASSERT_EQ(rest.n_args, 99);
	}
}

TEST(sizes)
{
	static const struct {
		const char *name;
		int result;
		uint64_t mib;
	} cases[] = {
		{ "512", 0, 512 },
		{ "512M", 0, 512 },
		{ "512MiB", 0, 512 },
		{ "512mb", 0, 512 },
		{ "1.5g", 0, 1536 },
		{ "1T", 0, 1 << 20 },
		{ "2048K", 0, 2 },
		{ "1K", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "M", -EINVAL, 0 },
		{ "1.", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "1MM", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "0", 0, 0 },
		{ "1e3", -EINVAL, 0 },
		{ "99999999999999999999", -ERANGE, 0 },
	};

	for_cases(c, cases) {
		uint64_t mib = 0;
		int r = parse_size_mib(c->name, &mib);

		ASSERT_EQ(r, c->result);
		if (r == 0)
			ASSERT_EQ(mib, c->mib);
	}
}

TEST(durations)
{
	static const struct {
		const char *name;
		int result;
		uint64_t ms;
	} cases[] = {
		{ "90", 0, 90000 },	 { "1.5s", 0, 1500 },	    { "250ms", 0, 250 },
		{ "1h30m", 0, 5400000 }, { "1d12h", 0, 129600000 }, { "0", 0, 0 },
		{ "30m1h", -EINVAL, 0 }, { "1h30", -EINVAL, 0 },    { "", -EINVAL, 0 },
		{ "5x", -EINVAL, 0 },	 { "s", -EINVAL, 0 },	    { "1m1m", -EINVAL, 0 },
	};

	for_cases(c, cases) {
		uint64_t ms = 0;

		ASSERT_EQ(parse_duration_ms(c->name, &ms), c->result);
		ASSERT_EQ(ms, c->ms);
	}
}

TAP_MAIN()
