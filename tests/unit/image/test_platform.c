/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <string.h>

#include "image/platform.h"

TEST(texts)
{
	static const struct {
		const char *name, *os, *arch, *variant; /* os NULL: refused */
	} cases[] = {
		{ "linux/amd64", "linux", "amd64", "" },
		{ "linux/arm64/v8", "linux", "arm64", "v8" },
		{ "Linux/ARM/v7", "linux", "arm", "v7" },
		{ "amd64", NULL, NULL, NULL },
		{ "linux/", NULL, NULL, NULL },
		{ "linux//v8", NULL, NULL, NULL },
		{ "linux/arm/v7/x", NULL, NULL, NULL },
		{ "", NULL, NULL, NULL },
		{ "linux/a b", NULL, NULL, NULL },
		{ "linux/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL, NULL, NULL },
	};

	for_cases(c, cases) {
		struct platform p = { .os = "untouched" };
		struct err err = ERR_INIT;
		int r = platform_parse(c->name, &p, &err);

		if (!c->os) {
			ASSERT(r < 0);
			ASSERT_EQ(err.code, ERR_INVALID);
			ASSERT_STR(p.os, "untouched");
			continue;
		}
		ASSERT_EQ(r, 0);
		ASSERT_STR(p.os, c->os);
		ASSERT_STR(p.arch, c->arch);
		ASSERT_STR(p.variant, c->variant);
	}
}

TEST(the_host)
{
	struct platform p;
	struct err err = ERR_INIT;

	ASSERT_EQ(platform_parse(NULL, &p, &err), 0);
	ASSERT_STR(p.os, "linux");
	ASSERT(platform_rank(&p, "linux", p.arch, NULL) > 0);
	ASSERT(platform_rank(&p, "windows", p.arch, NULL) < 0);
	ASSERT(platform_rank(&p, "linux", "s390x", NULL) < 0);
	ASSERT(platform_rank(&p, NULL, NULL, NULL) == 0);
}

TEST(variants)
{
	static const struct {
		const char *name, *arch, *better, *worse; /* "-": does not fit; NULL: says none */
	} cases[] = {
		{ "linux/arm", "arm", "v7", "v6" },
		{ "linux/arm", "arm", "v6", "v8" },
		{ "linux/arm/v6", "arm", "v6", "v7" },
		{ "linux/arm/v6", "arm", "v6", NULL },
		{ "linux/arm/v7", "arm", NULL, "v6" },
		{ "linux/s390x", "s390x", NULL, "z15" },
		{ "linux/s390x/z15", "s390x", "z15", NULL },
		{ "linux/amd64/v1", "amd64", NULL, "v2" },
		{ "linux/amd64/v4", "amd64", "v4", "v3" },
		{ "linux/arm", "arm", "v5", "what" },
	};

	for_cases(c, cases) {
		struct platform p;
		struct err err = ERR_INIT;

		ASSERT_EQ(platform_parse(c->name, &p, &err), 0);
		ASSERT(platform_rank(&p, "linux", c->arch, c->better) >= 0);
		ASSERT(platform_rank(&p, "linux", c->arch, c->better) >
		       platform_rank(&p, "linux", c->arch, c->worse));
	}
}

TAP_MAIN()
