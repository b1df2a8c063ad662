/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "registry/challenge.h"

TEST(kinds_and_parameters)
{
	static const struct {
		const char *name, *text;
		enum challenge_kind kind;
		const char *scheme, *realm, *service;
	} cases[] = {
		{ "hub",
		  "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\","
		  "scope=\"repository:library/debian:pull\"",
		  CHALLENGE_BEARER, "Bearer", "https://auth.docker.io/token",
		  "registry.docker.io" },
		{ "spaces and case", "  bearer  Realm = \"https://a/t\" , SERVICE= x ,",
		  CHALLENGE_BEARER, "bearer", "https://a/t", "x" },
		{ "escaped quote", "Bearer realm=\"https://a/\\\"t\\\\\",service=\"a, b=c\"",
		  CHALLENGE_BEARER, "Bearer", "https://a/\"t\\", "a, b=c" },
		{ "basic", "Basic realm=\"x\"", CHALLENGE_BASIC, "Basic", "x", "" },
		{ "basic alone", "BASIC", CHALLENGE_BASIC, "BASIC", "", "" },
		{ "the better of two", "Basic realm=\"b\", Bearer realm=\"https://a/t\"",
		  CHALLENGE_BEARER, "Bearer", "https://a/t", "" },
		{ "the better comes first", "Bearer realm=\"https://a/t\", Basic realm=\"b\"",
		  CHALLENGE_BEARER, "Bearer", "https://a/t", "" },
		{ "behind what we cannot do", "Negotiate abc==, Basic realm=\"b\"", CHALLENGE_BASIC,
		  "Basic", "b", "" },
		{ "what we cannot do", "Negotiate", CHALLENGE_OTHER, "Negotiate", "", "" },
		{ "bearer without a realm", "Bearer service=\"x\"", CHALLENGE_OTHER, "Bearer", "",
		  "x" },
		{ "open quote", "Bearer realm=\"https://a/t", CHALLENGE_OTHER, "Bearer", NULL, "" },
		{ "line end in a value", "Bearer realm=\"https://a/\nt\"", CHALLENGE_OTHER,
		  "Bearer", NULL, "" },
		{ "no grammar", "\"Bearer\" realm=\"https://a/t\"", CHALLENGE_OTHER, "", "", "" },
		{ "empty", "", CHALLENGE_NONE, "", "", "" },
		{ "commas", " ,, ", CHALLENGE_NONE, "", "", "" },
	};

	for_cases(c, cases) {
		struct challenge got = { 0 };

		challenge_parse(&got, c->text, strlen(c->text));
		ASSERT_EQ(got.kind, c->kind);
		ASSERT_STR(got.scheme, c->scheme);
		if (c->realm)
			ASSERT_STR(got.realm, c->realm);
		ASSERT_STR(got.service, c->service);
	}
}

TEST(what_does_not_fit)
{
	char text[CHALLENGE_REALM_MAX + 64];
	struct challenge c = { 0 };
	int n = snprintf(text, sizeof(text), "Bearer realm=\"");

	memset(text + n, 'x', CHALLENGE_REALM_MAX);
	text[n + CHALLENGE_REALM_MAX] = '"';
	challenge_parse(&c, text, (size_t)n + CHALLENGE_REALM_MAX + 1);
	ASSERT_EQ(c.kind, CHALLENGE_OTHER);
	text[n + CHALLENGE_REALM_MAX - 1] = '"';
	c = (struct challenge){ 0 };
	challenge_parse(&c, text, (size_t)n + CHALLENGE_REALM_MAX);
	ASSERT_EQ(c.kind, CHALLENGE_BEARER);
	ASSERT_EQ(strlen(c.realm), CHALLENGE_REALM_MAX - 1);
}

TEST(several_headers)
{
	struct challenge c = { 0 };

	challenge_parse(&c, "Bearer realm=\"https://a/t\"", 26);
	challenge_parse(&c, "Basic realm=\"b\"", 15);
	ASSERT_EQ(c.kind, CHALLENGE_BEARER);
	ASSERT_STR(c.realm, "https://a/t");
}

TAP_MAIN()
