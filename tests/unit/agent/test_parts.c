/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "env.h"
#include "settings.h"
#include "users.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "broken line\n"
			     "bob:x:1000:100::/home/bob:/bin/sh\n"
			     "1000:x:7:7::/seven:\n"
			     "bare:x:8:8::";
static const char group[] = "root:x:0:\nwheel:x:10:alice,bob\nbobs:x:11:bobby\nusers:x:100:bob\n";

TEST(users)
{
	static const struct {
		const char *name;
		int r;
		uid_t uid;
		gid_t gid;
		size_t n_groups;
		const char *home;
	} cases[] = {
		{ "root", 0, 0, 0, 0, "/root" },
		{ "bob", 0, 1000, 100, 2, "/home/bob" },
		{ "1000", 0, 7, 7, 0, "/seven" }, /* a name before a number */
		{ "8", 0, 8, 8, 0, "/" },
		{ "4000", 0, 4000, 0, 0, "/" },
		{ "bob:wheel", 0, 1000, 10, 0, "/home/bob" },
		{ "bob:77", 0, 1000, 77, 0, "/home/bob" },
		{ "5:6", 0, 5, 6, 0, "/" },
		{ "zed", -ENOENT, 0, 0, 0, NULL },
		{ "bob:zed", -ENOENT, 0, 0, 0, NULL },
		{ "", -ENOENT, 0, 0, 0, NULL },
		{ "-1", -ENOENT, 0, 0, 0, NULL },
		{ "4294967295", -ENOENT, 0, 0, 0, NULL }, /* means "no user" to the kernel */
	};

	for_cases(c, cases) {
		struct user u;

		ASSERT_EQ(user_find(c->name, passwd, strlen(passwd), group, strlen(group), &u),
			  c->r);
		if (c->r < 0)
			continue;
		ASSERT_EQ(u.uid, c->uid);
		ASSERT_EQ(u.gid, c->gid);
		ASSERT_EQ(u.n_groups, c->n_groups);
		ASSERT_STR(u.home, c->home);
	}
}

TEST(root_without_files)
{
	struct user u;

	ASSERT_EQ(user_find("root", NULL, 0, NULL, 0, &u), 0);
	ASSERT_EQ(u.uid, 0);
	ASSERT_STR(u.home, "/root");
	ASSERT_EQ(user_find("bob", NULL, 0, NULL, 0, &u), -ENOENT);
}

TEST(environment)
{
	struct str_list env = { 0 }, more = { 0 };

	ASSERT_EQ(env_set(&env, "A=1"), 0);
	ASSERT_EQ(env_set(&env, "AB=2"), 0);
	ASSERT_EQ(str_list_add(&more, "A="), 0);
	ASSERT_EQ(str_list_add(&more, "no pair"), 0);
	ASSERT_EQ(str_list_add(&more, "=x"), 0);
	ASSERT_EQ(env_set_all(&env, &more), 0);
	ASSERT_EQ(env.n, 2);
	ASSERT_STR(env_get(&env, "A"), "");
	ASSERT_STR(env_get(&env, "AB"), "2");
	ASSERT(!env_get(&env, "B"));
	str_list_done(&env);
	str_list_done(&more);
}

TEST(programs)
{
	static const struct {
		const char *name, *path, *want;
		int r;
	} cases[] = {
		{ "sh", "/nonexistent:/bin", "/bin/sh", 0 },
		{ "./x", "/bin", "./x", 0 },
		{ "passwd", "/etc", NULL, -EACCES },
		{ "nope", "/bin:", NULL, -ENOENT },
		{ "", "/bin", NULL, -ENOENT },
		{ "bin", "/usr", NULL, -ENOENT }, /* a folder is no program */
	};

	for_cases(c, cases) {
		char *got = NULL;

		ASSERT_EQ(env_find_program(c->name, c->path, &got), c->r);
		if (c->want)
			ASSERT_STR(got, c->want);
		else
			ASSERT(!got);
		free(got);
	}
}

TEST(hosts_block_is_replaced_and_the_rest_stays)
{
	AUTO(buf_done) struct buf a = { .max = 4096 };
	AUTO(buf_done) struct buf b = { .max = 4096 };
	static const char mine[] = "10.0.0.1 mine"; /* no newline at the end */

	ASSERT_EQ(hosts_merge(mine, strlen(mine), "one", &a), 0);
	ASSERT(strncmp(buf_cstr(&a), "10.0.0.1 mine\n# microsandbox begin\n", 35) == 0);
	ASSERT(strstr(buf_cstr(&a), "127.0.1.1\tone\n"));
	ASSERT_EQ(hosts_merge((const char *)a.data, a.len, "two", &b), 0);
	ASSERT_EQ(b.len, a.len);
	ASSERT(!strstr(buf_cstr(&b), "one"));
	ASSERT(strstr(buf_cstr(&b), "127.0.1.1\ttwo\n"));
}

TAP_MAIN()
