/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "registry/docker_config.h"
#include "registry/helper.h"
#include "registry/host_key.h"
#include "registry/token.h"

TEST(keys)
{
	static const struct {
		const char *name, *key, *host, *repository;
		size_t fits;
	} cases[] = {
		{ "same", "ghcr.io", "ghcr.io", NULL, 1 },
		{ "case", "GHCR.io", "ghcr.IO", NULL, 1 },
		{ "scheme", "https://ghcr.io/", "ghcr.io", NULL, 1 },
		{ "other", "ghcr.io", "ghcr.i", NULL, 0 },
		{ "empty", "", "", NULL, 0 },
		{ "default port", "ghcr.io:443", "ghcr.io", NULL, 1 },
		{ "default port of http", "http://ghcr.io:80", "ghcr.io", NULL, 1 },
		{ "port", "ghcr.io:5000", "ghcr.io", NULL, 0 },
		{ "own port", "localhost:5000", "localhost:5000", NULL, 1 },
		{ "hub", "https://index.docker.io/v1/", "docker.io", NULL, 1 },
		{ "hub again", "registry-1.docker.io", "index.docker.io", NULL, 1 },
		{ "hub with path", "https://index.docker.io/v1/", "docker.io", "library/x", 1 },
		{ "path", "quay.io/team", "quay.io", "team/app", 5 },
		{ "whole path", "quay.io/team/app", "quay.io", "team/app", 9 },
		{ "half a component", "quay.io/te", "quay.io", "team/app", 0 },
		{ "path too long", "quay.io/team/app/x", "quay.io", "team/app", 0 },
		{ "path means nothing", "quay.io/other", "quay.io", NULL, 1 },
		{ "no path", "quay.io", "quay.io", "team/app", 1 },
	};

	for_cases(c, cases)
		ASSERT_EQ(host_key_fits(c->key, c->host, c->repository), c->fits);
}

static int find(const char *text, const char *host, struct docker_config *ret, struct err *err)
{
	AUTO_FREE char *copy = strdup(text);
	size_t len = strlen(text);
	int r = docker_config_find("config.json", copy, len, host, NULL, ret, err);

	for (size_t i = 0; i < len; i++)
		ASSERT_EQ(copy[i], 0);
	return r;
}

TEST(config_has_a_login)
{
	static const struct {
		const char *name, *text, *user, *password, *identity, *bearer, *helper, *store;
	} cases[] = {
		{ "auth", "{\"auths\":{\"r.io\":{\"auth\":\"YW5uOmE6Yg==\"}}}", "ann", "a:b" },
		{ "auth without padding", "{\"auths\":{\"r.io\":{\"auth\":\"YW5uOmE6Yg\"}}}", "ann",
		  "a:b" },
		{ "plain", "{\"auths\":{\"r.io\":{\"username\":\"ann\",\"password\":\"x\"}}}",
		  "ann", "x" },
		{ "identity token",
		  "{\"auths\":{\"r.io\":{\"auth\":\"PHRva2VuPjo=\",\"identitytoken\":\"t\"}}}",
		  NULL, NULL, "t" },
		{ "registry token", "{\"auths\":{\"r.io\":{\"registrytoken\":\"t\"}}}", NULL, NULL,
		  NULL, "t" },
		{ "helpers",
		  "{\"credsStore\":\"all\",\"credHelpers\":{\"r.io\":\"one\",\"q.io\":\"other\"}}",
		  NULL, NULL, NULL, NULL, "one", "all" },
		{ "empty entry", "{\"auths\":{\"r.io\":{}}}" },
		{ "another", "{\"auths\":{\"q.io\":{\"auth\":\"YW5uOmE6Yg==\"}},\"x\":1}" },
		{ "broken entry of another", "{\"auths\":{\"q.io\":7}}" },
		{ "nothing", "{}" },
		{ "null", "{\"auths\":null,\"credsStore\":null}" },
	};

	for_cases(c, cases) {
		AUTO(docker_config_done) struct docker_config got = { 0 };
		struct err err = ERR_INIT;

#define SAME(got, want) ASSERT_STR((got) ? (got) : "(none)", (want) ? (want) : "(none)")
		ASSERT_EQ(find(c->text, "r.io", &got, &err), 0);
		SAME(got.login.user, c->user);
		SAME(got.login.password, c->password);
		SAME(got.login.identity_token, c->identity);
		SAME(got.login.bearer_token, c->bearer);
		SAME(got.helper, c->helper);
		SAME(got.store, c->store);
	}
}

TEST(config_is_broken)
{
	static const struct {
		const char *name, *text, *msg;
	} cases[] = {
		{ "no JSON", "{\"auths\": s3cret}", "config.json: line 1, column 11: no JSON" },
		{ "no object", "[]", "config.json: must be an object, is an array" },
		{ "no base64", "{\"auths\":{\"r.io\":{\"auth\":\"!\"}}}",
		  "config.json.auths.r.io.auth: is no base64" },
		{ "no colon", "{\"auths\":{\"r.io\":{\"auth\":\"YW5u\"}}}",
		  "config.json.auths.r.io.auth: has no colon behind the user" },
		{ "odd user", "{\"auths\":{\"r.io\":{\"auth\":\"YQpiOmM=\"}}}",
		  "config.json.auths.r.io.auth: has an odd user or password" },
		{ "way out", "{\"credHelpers\":{\"r.io\":\"../../bin/sh\"}}",
		  "config.json.credHelpers.r.io: is no name of a helper" },
		{ "two words", "{\"credsStore\":\"a b\"}",
		  "config.json.credsStore: is no name of a helper" },
	};

	for_cases(c, cases) {
		struct docker_config got = { 0 };
		struct err err = ERR_INIT;

		ASSERT(find(c->text, "r.io", &got, &err) < 0);
		ASSERT_STR(err.msg, c->msg);
		ASSERT(!got.helper && !got.store && !login_present(&got.login));
	}
}

TEST(answer_of_a_helper)
{
	static const struct {
		const char *name, *text;
		int r;
		const char *password, *identity;
	} cases[] = {
		{ "login", "{\"ServerURL\":\"x\",\"Username\":\"ann\",\"Secret\":\"s\"}", 1, "s",
		  NULL },
		{ "token", "{\"Username\":\"<token>\",\"Secret\":\"s\"}\n", 1, NULL, "s" },
		{ "none", "{\"Username\":\"\",\"Secret\":\"\"}", 0, NULL, NULL },
		{ "junk", "s3cret", -ERR_INVALID, NULL, NULL },
		{ "number", "{\"Username\":1}", -ERR_INVALID, NULL, NULL },
		{ "line end", "{\"Username\":\"a\\nb\",\"Secret\":\"s\"}", -ERR_PROTOCOL, NULL,
		  NULL },
	};

	for_cases(c, cases) {
		AUTO(login_done) struct login l = { 0 };
		AUTO_FREE char *copy = strdup(c->text);
		struct err err = ERR_INIT;

		ASSERT_EQ(helper_parse("docker-credential-x", copy, strlen(c->text), &l, &err),
			  c->r);
		ASSERT(!strstr(err.msg, "s3cret"));
		SAME(l.password, c->password);
		SAME(l.identity_token, c->identity);
	}
}

TEST(helper_names)
{
	ASSERT(helper_name_valid("osxkeychain") && helper_name_valid("ecr-login.2_x"));
	ASSERT(!helper_name_valid("") && !helper_name_valid("a/b") && !helper_name_valid("a b"));
}

TEST(answer_of_a_token_server)
{
	static const struct {
		const char *name, *text, *token;
		uint64_t life_s;
	} cases[] = {
		{ "token", "{\"token\":\"a.b-c\",\"expires_in\":300}", "a.b-c", 300 },
		{ "access token", "{\"access_token\":\"x\"}", "x", 60 },
		{ "both", "{\"access_token\":\"x\",\"token\":\"y\"}", "y", 60 },
		{ "empty first", "{\"access_token\":\"x\",\"token\":\"\"}", "x", 60 },
		{ "for ever", "{\"token\":\"x\",\"expires_in\":9223372036854775807}", "x", 86400 },
		{ "none", "{}", NULL, 0 },
		{ "blank", "{\"token\":\"a b\"}", NULL, 0 },
		{ "line end", "{\"token\":\"a\\r\\nX: y\"}", NULL, 0 },
		{ "negative life", "{\"token\":\"x\",\"expires_in\":-1}", NULL, 0 },
		{ "no JSON", "x", NULL, 0 },
	};

	for_cases(c, cases) {
		AUTO_FREE char *copy = strdup(c->text);
		struct token t = { 0 };
		struct err err = ERR_INIT;

		ASSERT_EQ(token_parse("r.io", copy, strlen(c->text), &t, &err) == 0,
			  c->token != NULL);
		SAME(t.text, c->token);
		ASSERT_EQ(t.life_s, c->life_s);
		secret_free(t.text);
	}
}

TAP_MAIN()
