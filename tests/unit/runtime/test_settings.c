/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <sys/stat.h>

#include "remove_tree.h"
#include "runtime/internal.h"

static int parse(const char *text, struct settings *s, struct err *err)
{
	return settings_parse("config.json", text, strlen(text), "/home/ann", s, err);
}

TEST(nothing_is_set_by_nothing)
{
	AUTO(settings_done) struct settings s = { 0 };
	struct err err = ERR_INIT;

	ASSERT_EQ(parse("{}", &s, &err), 0);
	ASSERT(!s.engine && !s.cpus && !s.memory_mib && !s.n_hosts && !s.max_size_set && !s.keep);
	ASSERT_EQ(memcmp(&s.limits, &image_limits_default, sizeof(s.limits)), 0);
}

TEST(all_keys)
{
	static const char text[] =
		"{\"engine\":\"qemu\",\"cpus\":4,\"memory_mib\":1024,"
		"\"registries\":{\"docker.io\":{\"mirrors\":[\"https://m.example/docker\"]},"
		"\"localhost:5000\":{\"insecure\":true,\"user\":\"u\",\"password_file\":\"~/pw\"},"
		"\"ghcr.io\":{\"ca_file\":\"/ca\",\"client_cert\":\"/c\",\"client_key\":\"/k\"}},"
		"\"images\":{\"max_size\":\"20G\",\"keep\":[\"debian\",\"a.b/c:1\"],"
		"\"keep_blobs\":true,\"limits\":{\"layers\":7}}}";
	AUTO(settings_done) struct settings s = { 0 };
	const struct registry_host *by_name[3] = { NULL };
	struct err err = ERR_INIT;

	if (parse(text, &s, &err) < 0)
		TAP_FAIL("%s", err.msg);
	ASSERT_STR(s.engine, "qemu");
	ASSERT_EQ(s.cpus, 4);
	ASSERT_EQ(s.memory_mib, 1024);
	ASSERT_EQ(s.n_hosts, 3);
	for (size_t i = 0; i < 3; i++)
		by_name[s.hosts[i].host[0] == 'd'   ? 0
			: s.hosts[i].host[0] == 'l' ? 1
						    : 2] = &s.hosts[i];
	ASSERT(by_name[0] && by_name[1] && by_name[2]);
	ASSERT_STR(by_name[0]->mirrors[0], "https://m.example/docker");
	ASSERT(!by_name[0]->mirrors[1] && !by_name[0]->insecure && by_name[1]->insecure);
	ASSERT_STR(by_name[1]->password_file, "/home/ann/pw");
	ASSERT_STR(by_name[2]->client_key, "/k");
	ASSERT(s.max_size_set && s.keep_blobs);
	ASSERT_EQ(s.max_size, 20ull << 30);
	ASSERT_EQ(s.n_keep, 2);
	ASSERT_STR(s.keep[0], "docker.io/library/debian:latest");
	ASSERT_EQ(s.limits.layers, 7);
	ASSERT_EQ(s.limits.entries, image_limits_default.entries);
}

TEST(what_is_wrong_is_named)
{
	static const struct {
		const char *name, *text, *says;
	} cases[] = {
		{ "no JSON", "{", "config.json: line 1" },
		{ "no object", "[]", "must be an object" },
		{ "key", "{\"cpu\":1}", "config.json: cpu: unknown key, did you mean 'cpus'?" },
		{ "engine", "{\"engine\":\"kmv\"}", "engine: unknown value 'kmv', did you mean" },
		{ "cpus", "{\"cpus\":65}", "cpus: must be from 1 to 64, is 65" },
		{ "memory", "{\"memory_mib\":\"1G\"}", "memory_mib: must be a number" },
		{ "host key", "{\"registries\":{\"ghcr.io\":{\"insecuer\":true}}}",
		  "registries.ghcr.io.insecuer: unknown key, did you mean 'insecure'?" },
		{ "no host", "{\"registries\":{\"ghcr\":{}}}",
		  "registries.ghcr: 'ghcr' is no registry" },
		{ "host with scheme", "{\"registries\":{\"https://ghcr.io\":{}}}",
		  "'https://ghcr.io' is no registry" },
		{ "alias", "{\"registries\":{\"index.docker.io\":{}}}", "write 'docker.io'" },
		{ "null host", "{\"registries\":{\"ghcr.io\":null}}",
		  "registries.ghcr.io: missing: an object is needed" },
		{ "mirror", "{\"registries\":{\"ghcr.io\":{\"mirrors\":[\"ftp://x\"]}}}",
		  "registries.ghcr.io.mirrors[0]: 'ftp://x' is no base URL" },
		{ "mirror with a secret",
		  "{\"registries\":{\"ghcr.io\":{\"mirrors\":[\"https://u:p@x\"]}}}",
		  "is no base URL" },
		{ "relative file", "{\"registries\":{\"ghcr.io\":{\"ca_file\":\"ca\"}}}",
		  "'ca' is not an absolute path" },
		{ "half a key", "{\"registries\":{\"ghcr.io\":{\"client_key\":\"/k\"}}}",
		  "needs both or none of 'client_cert' and 'client_key'" },
		{ "half a login", "{\"registries\":{\"ghcr.io\":{\"user\":\"u\"}}}",
		  "needs both or none of 'user' and 'password_file'" },
		{ "size", "{\"images\":{\"max_size\":\"lots\"}}", "'lots' is not a size" },
		{ "negative", "{\"images\":{\"max_size\":-1}}", "images.max_size: must be from 0" },
		{ "keep", "{\"images\":{\"keep\":[\"A\"]}}", "images.keep[0]: " },
		{ "limit", "{\"images\":{\"limits\":{\"layer\":1}}}", "did you mean 'layers'?" },
		{ "zero", "{\"images\":{\"limits\":{\"layers\":0}}}",
		  "images.limits.layers: must be from 1" },
	};

	for_cases(c, cases) {
		AUTO(settings_done) struct settings s = { 0 };
		struct err err = ERR_INIT;

		ASSERT(parse(c->text, &s, &err) < 0);
		ASSERT_EQ(err.code, ERR_INVALID);
		if (!strstr(err.msg, c->says))
			TAP_FAIL("'%s' does not say '%s'", err.msg, c->says);
		ASSERT(!s.hosts);
	}
}

static void write_config(const char *dir, const char *text)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/config.json", dir);
	f = fopen(path, "we");
	ASSERT(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

TEST(a_home_has_defaults_and_lives_with_a_broken_file)
{
	char dir[] = "/tmp/msb-settings-XXXXXX";
	struct home_options o = { .home = dir };
	AUTO_FREE char *normal = NULL;
	AUTO_FREE char *list = NULL;
	char *none = NULL;
	struct home *home = NULL;
	struct err err = ERR_INIT;

	ASSERT(mkdtemp(dir));
	write_config(dir, "{\"cpus\":3,\"memory_mib\":300}");
	ASSERT_EQ(home_open(&o, &home, &err), 0);
	ASSERT_EQ(home_spec_check(home, "{\"image\":\"x\",\"memory_mib\":301}", &normal, &err), 0);
	ASSERT(strstr(normal, "\"cpus\":3,\"memory_mib\":301"));
	home_close(home);
	write_config(dir, "{\"cups\":3}");
	ASSERT_EQ(home_open(&o, &home, &err), 0);
	ASSERT_EQ(home_image_list(home, false, &list, &err), 0);
	ASSERT_EQ(home_sandbox_list(home, &none, &err), 0);
	free(none);
	none = NULL;
	ASSERT(home_spec_check(home, "{\"image\":\"x\"}", &none, &err) < 0);
	ASSERT(!none && err.code == ERR_INVALID);
	ASSERT(strstr(err.msg, dir) && strstr(err.msg, "did you mean 'cpus'?"));
	home_close(home);
	remove_tree(AT_FDCWD, dir);
}

TAP_MAIN()
