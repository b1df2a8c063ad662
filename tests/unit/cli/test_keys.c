/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <errno.h>
#include <string.h>

#include "cli/keys.h"

TEST(keys_are_parsed)
{
	struct keys k;

	ASSERT(keys_parse("ctrl-]", &k) == 0 && k.n == 1 && k.bytes[0] == 0x1d);
	ASSERT(keys_parse("ctrl-p,ctrl-Q,x", &k) == 0 && k.n == 3 && k.bytes[0] == 16 &&
	       k.bytes[1] == 17 && k.bytes[2] == 'x');
	ASSERT(keys_parse("", &k) == 0 && k.n == 0);
	ASSERT(keys_parse("ctrl-", &k) == -EINVAL);
	ASSERT(keys_parse("ctrl-1", &k) == -EINVAL);
	ASSERT(keys_parse("ab", &k) == -EINVAL);
	ASSERT(keys_parse("a,", &k) == -EINVAL);
	ASSERT(keys_parse("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", &k) == -EINVAL);
}

/* What comes through if the text is typed at once, and byte by byte. */
static void typed(const char *keys, const char *in, const char *out, bool complete)
{
	uint8_t got[64];
	struct keys k;
	bool done = false;
	size_t n = 0;

	ASSERT(keys_parse(keys, &k) == 0);
	n = keys_filter(&k, (const uint8_t *)in, strlen(in), got, &done);
	ASSERT(done == complete && n == strlen(out) && memcmp(got, out, n) == 0);
	ASSERT(keys_parse(keys, &k) == 0);
	n = 0;
	done = false;
	for (size_t i = 0; i < strlen(in) && !done; i++)
		n += keys_filter(&k, (const uint8_t *)in + i, 1, got + n, &done);
	ASSERT(done == complete && n == strlen(out) && memcmp(got, out, n) == 0);
}

TEST(input_passes_until_the_keys_are_in_it)
{
	typed("x", "abc", "abc", false);
	typed("x", "abxc", "ab", true);
	typed("x,y", "axbxyc", "axb", true);
	typed("x,y", "ax", "a", false);
	typed("a,a,b", "aaab", "a", true);
	typed("a,b,a,c", "ababac", "ab", true);
	typed("a,b,a,c", "abab", "ab", false);
	typed("", "abc", "abc", false);
}

TAP_MAIN()
