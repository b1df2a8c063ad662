/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "base/base64.h"

/* RFC 4648, section 10, and all digits. */
static const struct {
	const char *name, *plain, *text;
} cases[] = {
	{ "0", "", "" },
	{ "1", "f", "Zg==" },
	{ "2", "fo", "Zm8=" },
	{ "3", "foo", "Zm9v" },
	{ "4", "foob", "Zm9vYg==" },
	{ "5", "fooba", "Zm9vYmE=" },
	{ "6", "foobar", "Zm9vYmFy" },
	{ "high", "\xff\xef\xbe", "/+++" },
};

TEST(encodes)
{
	for_cases(c, cases) {
		char out[64] = { 0 };

		base64_encode(c->plain, strlen(c->plain), out);
		ASSERT_STR(out, c->text);
		ASSERT_EQ(BASE64_ENCODED(strlen(c->plain)), strlen(c->text));
	}
}

TEST(decodes)
{
	for_cases(c, cases) {
		uint8_t out[64] = { 0 };
		size_t n = 99, bare = strcspn(c->text, "=");

		ASSERT_EQ(base64_decode(c->text, strlen(c->text), out, &n), 0);
		ASSERT_STR((char *)out, c->plain);
		ASSERT_EQ(n, strlen(c->plain));
		ASSERT(n <= BASE64_DECODED(strlen(c->text)));
		ASSERT_EQ(base64_decode(c->text, bare, out, &n), 0); /* without padding */
		ASSERT_EQ(n, strlen(c->plain));
	}
}

TEST(refuses)
{
	static const char *const bad[] = { "Z",	      "Zg=",  "Z===", "Zg=a",
					   "Zm9v Zg", "Zm-_", "=",    "Zm9vZ" };
	uint8_t out[64];
	size_t n = 99;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ASSERT_EQ(base64_decode(bad[i], strlen(bad[i]), out, &n), -EINVAL);
		ASSERT_EQ(n, 99);
	}
}

TAP_MAIN()
