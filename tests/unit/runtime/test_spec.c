/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "runtime/spec.h"

#define I "\"image\":\"busybox\""

/* A spec, and a part of the error that it must give; NULL: it is fine. */
static const struct {
	const char *name, *spec, *error;
} cases[] = {
	{ "least", "{" I "}", NULL },
	{ "no json", "{", "spec" },
	{ "no object", "[]", "object" },
	{ "twice", "{" I "," I "}", "image" },
	{ "no image", "{}", "image" },
	{ "empty image", "{\"image\":\"\"}", "image" },
	{ "image number", "{\"image\":1}", "image" },
	{ "image oci", "{\"image\":{\"oci\":\"a\"}}", NULL },
	{ "image bind", "{\"image\":{\"bind\":\"/tmp\"}}", NULL },
	{ "image both", "{\"image\":{\"bind\":\"/tmp\",\"oci\":\"a\"}}", "exactly one" },
	{ "image none", "{\"image\":{}}", "exactly one" },
	{ "image disk", "{\"image\":{\"disk\":\"a.raw\"}}", NULL },
	{ "image disk all",
	  "{\"image\":{\"disk\":\"a\",\"format\":\"raw\",\"partition\":2,\"fstype\":\"ext4\"}}",
	  NULL },
	{ "image disk both", "{\"image\":{\"disk\":\"a\",\"bind\":\"/b\"}}", "exactly one" },
	{ "image disk format", "{\"image\":{\"disk\":\"a\",\"format\":\"vmdk\"}}", "format" },
	{ "image disk partition 0", "{\"image\":{\"disk\":\"a\",\"partition\":0}}", "partition" },
	{ "image disk partition 129", "{\"image\":{\"disk\":\"a\",\"partition\":129}}",
	  "partition" },
	{ "image disk fstype", "{\"image\":{\"disk\":\"a\",\"fstype\":\"xfs\"}}", "ext4 or erofs" },
	{ "image bind partition", "{\"image\":{\"bind\":\"/b\",\"partition\":1}}", "need 'disk'" },
	{ "image oci format", "{\"image\":{\"oci\":\"b\",\"format\":\"raw\"}}", "need 'disk'" },
	{ "image typo", "{\"image\":{\"bnd\":\"/tmp\"}}", "bind" },
	{ "typo cpus", "{" I ",\"cpu\":2}", "cpus" },
	{ "typo memory", "{" I ",\"memory_mb\":512}", "memory_mib" },
	{ "far typo", "{" I ",\"frobnicate\":1}", "frobnicate" },
	{ "later", "{" I ",\"network\":{}}", "network: is not supported yet" },
	{ "later null", "{" I ",\"network\":null}", NULL },
	{ "version", "{" I ",\"spec_version\":1}", NULL },
	{ "version 2", "{" I ",\"spec_version\":2}", "spec_version" },
	{ "name", "{" I ",\"name\":\"my-app_1.0\"}", NULL },
	{ "name dash", "{" I ",\"name\":\"-a\"}", "name" },
	{ "name empty", "{" I ",\"name\":\"\"}", "name" },
	{ "name slash", "{" I ",\"name\":\"a/b\"}", "name" },
	{ "name number", "{" I ",\"name\":5}", "name" },
	{ "engine", "{" I ",\"engine\":\"qemu\"}", NULL },
	{ "engine typo", "{" I ",\"engine\":\"qem\"}", "qemu" },
	{ "cpus 64", "{" I ",\"cpus\":64}", NULL },
	{ "cpus 0", "{" I ",\"cpus\":0}", "cpus" },
	{ "cpus 65", "{" I ",\"cpus\":65}", "cpus" },
	{ "cpus text", "{" I ",\"cpus\":\"2\"}", "cpus" },
	{ "cpus real", "{" I ",\"cpus\":1.5}", "cpus" },
	{ "memory 32", "{" I ",\"memory_mib\":32}", NULL },
	{ "memory 31", "{" I ",\"memory_mib\":31}", "memory_mib" },
	{ "memory negative", "{" I ",\"memory_mib\":-1}", "memory_mib" },
	{ "root size", "{" I ",\"root_disk\":1024}", NULL },
	{ "root small", "{" I ",\"root_disk\":1}", "root_disk" },
	{ "root tmpfs", "{" I ",\"root_disk\":{\"kind\":\"tmpfs\",\"size_mib\":64}}", NULL },
	{ "root none", "{" I ",\"root_disk\":{\"kind\":\"none\"}}", NULL },
	{ "root none size", "{" I ",\"root_disk\":{\"kind\":\"none\",\"size_mib\":64}}", "size" },
	{ "root direct", "{" I ",\"root_disk\":{\"kind\":\"direct\"}}", "folder" },
	{ "root direct bind", "{\"image\":\"/tmp\",\"root_disk\":{\"kind\":\"direct\"}}", NULL },
	{ "root kind typo", "{" I ",\"root_disk\":{\"kind\":\"tmpf\"}}", "tmpfs" },
	{ "root direct disk", "{\"image\":\"./a.raw\",\"root_disk\":{\"kind\":\"direct\"}}", NULL },
	{ "root path", "{" I ",\"root_disk\":{\"path\":\"/x\"}}", "needs kind 'disk'" },
	{ "root disk", "{" I ",\"root_disk\":{\"kind\":\"disk\",\"path\":\"/x\"}}", NULL },
	{ "root disk all",
	  "{" I
	  ",\"root_disk\":{\"kind\":\"disk\",\"path\":\"/x\",\"format\":\"raw\",\"fstype\":\"ext4\"}}",
	  NULL },
	{ "root disk no path", "{" I ",\"root_disk\":{\"kind\":\"disk\"}}", "needs 'path'" },
	{ "root disk size",
	  "{" I ",\"root_disk\":{\"kind\":\"disk\",\"path\":\"/x\",\"size_mib\":64}}", "no size" },
	{ "root disk qcow2",
	  "{" I ",\"root_disk\":{\"kind\":\"disk\",\"path\":\"/x\",\"format\":\"qcow2\"}}", "raw" },
	{ "root disk of a disk",
	  "{\"image\":{\"disk\":\"a\"},\"root_disk\":{\"kind\":\"disk\",\"path\":\"/x\"}}",
	  "does not go" },
	{ "root flat", "{" I ",\"root_disk\":{\"kind\":\"flat\"}}", "kind" },
	{ "env", "{" I ",\"env\":{\"A\":\"1\",\"B\":\"\"}}", NULL },
	{ "env number", "{" I ",\"env\":{\"A\":1}}", "env.A" },
	{ "env null", "{" I ",\"env\":{\"A\":null}}", "env.A" },
	{ "env equals", "{" I ",\"env\":{\"A=B\":\"1\"}}", "env" },
	{ "env reserved", "{" I ",\"env\":{\"MSB_X\":\"1\"}}", "reserved" },
	{ "env nul", "{" I ",\"env\":{\"A\":\"a\\u0000b\"}}", "NUL" },
	{ "env list", "{" I ",\"env\":[\"A=1\"]}", "env" },
	{ "workdir", "{" I ",\"workdir\":\"/w\"}", NULL },
	{ "workdir relative", "{" I ",\"workdir\":\"w\"}", "workdir" },
	{ "hostname", "{" I ",\"hostname\":\"box-1.local\"}", NULL },
	{ "hostname space", "{" I ",\"hostname\":\"a b\"}", "hostname" },
	{ "labels", "{" I ",\"labels\":{\"team\":\"x\"}}", NULL },
	{ "labels reserved", "{" I ",\"labels\":{\"sandbox.a\":\"x\"}}", "reserved" },
	{ "labels value", "{" I ",\"labels\":{\"a\":true}}", "labels.a" },
	{ "entrypoint", "{" I ",\"entrypoint\":[],\"cmd\":[\"a\"]}", NULL },
	{ "entrypoint text", "{" I ",\"entrypoint\":\"a\"}", "entrypoint" },
	{ "cmd item", "{" I ",\"cmd\":[\"a\",1]}", "cmd[1]" },
	{ "mount", "{" I ",\"volumes\":{\"/d\":{\"bind\":\"/tmp\",\"readonly\":true}}}", NULL },
	{ "mount typo", "{" I ",\"volumes\":{\"/d\":{\"bind\":\"/tmp\",\"readonyl\":true}}}",
	  "readonly" },
	{ "mount root", "{" I ",\"volumes\":{\"/\":{\"bind\":\"/tmp\"}}}", "absolute" },
	{ "mount dots", "{" I ",\"volumes\":{\"/a/../b\":{\"bind\":\"/tmp\"}}}", "absolute" },
	{ "mount slash", "{" I ",\"volumes\":{\"/a/\":{\"bind\":\"/tmp\"}}}", "absolute" },
	{ "mount relative", "{" I ",\"volumes\":{\"a\":{\"bind\":\"/tmp\"}}}", "absolute" },
	{ "mount nothing", "{" I ",\"volumes\":{\"/a\":{}}}", "bind" },
	{ "mount null", "{" I ",\"volumes\":{\"/a\":null}}", "object" },
	{ "mount tmpfs", "{" I ",\"volumes\":{\"/a\":{\"tmpfs\":true}}}", "not supported yet" },
	{ "lifecycle", "{" I ",\"lifecycle\":{\"stop_timeout_ms\":0,\"reuse\":true}}", NULL },
	{ "lifecycle typo", "{" I ",\"lifecycle\":{\"stop_timeout\":1}}", "lifecycle" },
	{ "lifecycle zero", "{" I ",\"lifecycle\":{\"start_timeout_ms\":0}}", "start_timeout_ms" },
	{ "lifecycle detached", "{" I ",\"lifecycle\":{\"detached\":true}}", NULL },
	{ "lifecycle limits",
	  "{" I ",\"lifecycle\":{\"max_duration_ms\":5,\"idle_timeout_ms\":0,\"replace\":true,"
	  "\"replace_timeout_ms\":0,\"stop_signal\":\"SIGQUIT\"}}",
	  NULL },
	{ "lifecycle signal", "{" I ",\"lifecycle\":{\"stop_signal\":\"NOPE\"}}",
	  "'NOPE' is no signal" },
};

static void check(const char *text, struct spec *spec)
{
	struct err err = ERR_INIT;

	if (spec_parse(text, strlen(text), NULL, spec, &err) < 0)
		TAP_FAIL("%s", err.msg);
}

TEST(table)
{
	for_cases(c, cases) {
		struct spec spec = { 0 };
		struct err err = ERR_INIT;
		int r = spec_parse(c->spec, strlen(c->spec), NULL, &spec, &err);

		if (!c->error && r < 0)
			TAP_FAIL("%s", err.msg);
		if (c->error && r == 0)
			TAP_FAIL("was taken");
		if (c->error && !strstr(err.msg, c->error))
			TAP_FAIL("'%s' is not in: %s", c->error, err.msg);
		if (c->error)
			ASSERT_EQ(err.code, ERR_INVALID);
		spec_done(&spec);
	}
}

TEST(defaults)
{
	struct spec spec = { 0 };

	check("{" I "}", &spec);
	ASSERT_EQ(spec.cpus, 1);
	ASSERT_EQ(spec.memory_mib, 512);
	ASSERT_EQ(spec.root, SPEC_ROOT_MANAGED);
	ASSERT_EQ(spec.root_size_mib, 8192);
	ASSERT_EQ(spec.ephemeral, true);
	ASSERT_EQ(spec.start_timeout_ms, 120000);
	spec_done(&spec);
	check("{" I ",\"name\":\"a\"}", &spec);
	ASSERT_EQ(spec.ephemeral, false);
	spec_done(&spec);
}

TEST(images_by_their_looks)
{
	static const struct {
		const char *name;
		enum spec_image kind;
	} looks[] = {
		{ "busybox", SPEC_IMAGE_OCI },
		{ "debian:12", SPEC_IMAGE_OCI },
		{ "./disk.img", SPEC_IMAGE_PATH },
		{ "/srv/root", SPEC_IMAGE_PATH },
		{ "~/x", SPEC_IMAGE_PATH },
		{ "..", SPEC_IMAGE_PATH },
		{ "debian.qcow2", SPEC_IMAGE_PATH },
		{ "debian.raw", SPEC_IMAGE_PATH },
		{ "repo/debian.raw", SPEC_IMAGE_OCI },
		{ ".raw", SPEC_IMAGE_OCI },
		{ "~user/x", SPEC_IMAGE_OCI },
	};

	for_cases(c, looks) {
		struct spec spec = { 0 };
		char text[128];

		(void)snprintf(text, sizeof(text), "{\"image\":\"%s\"}", c->name);
		check(text, &spec);
		ASSERT_EQ(spec.image_kind, c->kind);
		spec_done(&spec);
	}
}

/* What was found in a disk image is part of the record. */
TEST(a_disk_image_in_normal_form)
{
	struct spec spec = { 0 }, again = { 0 };
	struct err err = ERR_INIT;
	char *text = NULL, *second = NULL;

	check("{\"image\":{\"disk\":\"/a\",\"partition\":3,\"fstype\":\"ext4\"},"
	      "\"root_disk\":{\"kind\":\"direct\"}}",
	      &spec);
	ASSERT_EQ(spec.root_size_mib, 0);
	spec.image_format = DISK_RAW;
	ASSERT_EQ(spec_normal(&spec, &text, &err), 0);
	ASSERT(strstr(text,
		      "{\"disk\":\"/a\",\"format\":\"raw\",\"partition\":3,\"fstype\":\"ext4\"}"));
	check(text, &again);
	ASSERT_EQ(again.image_format, DISK_RAW);
	ASSERT_EQ(spec_normal(&again, &second, &err), 0);
	ASSERT_STR(text, second);
	free(text);
	free(second);
	spec_done(&spec);
	spec_done(&again);
}

TEST(parents_come_first)
{
	struct spec spec = { 0 };

	check("{" I ",\"volumes\":{\"/a/b\":{\"bind\":\"/tmp\"},\"/a\":{\"bind\":\"/tmp\"}}}",
	      &spec);
	ASSERT_STR(spec.mounts[0].target, "/a");
	ASSERT_STR(spec.mounts[1].target, "/a/b");
	spec_done(&spec);
}

TEST(normal_form_is_stable)
{
	static const char text[] = "{" I ",\"env\":{\"B\":\"2\",\"A\":\"1\"},\"name\":\"x\","
				   "\"lifecycle\":{\"reuse\":true}}";
	static const char other[] =
		"{\"name\":\"x\",\"cpus\":1," I ",\"env\":{\"A\":\"1\",\"B\":\"2\"}}";
	struct spec a = { 0 }, b = { 0 }, c = { 0 };
	char *first = NULL, *second = NULL, *third = NULL;
	struct err err = ERR_INIT;

	check(text, &a);
	check(other, &b);
	ASSERT_EQ(spec_normal(&a, &first, &err), 0);
	ASSERT_EQ(spec_normal(&b, &second, &err), 0);
	ASSERT_STR(first, second);
	check(first, &c);
	ASSERT_EQ(spec_normal(&c, &third, &err), 0);
	ASSERT_STR(third, first);
	free(first);
	free(second);
	free(third);
	spec_done(&a);
	spec_done(&b);
	spec_done(&c);
}

TEST(local_paths_must_be_there)
{
	static const struct {
		const char *name, *spec;
		enum err_number number;
	} paths[] = {
		{ "missing", "{\"image\":\"/nonexistent/x\"}", ERR_NR_PATH_NOT_FOUND },
		{ "file", "{\"image\":{\"bind\":\"/dev/null\"}}", ERR_NR_NONE },
		{ "folder", "{\"image\":{\"disk\":\"/tmp\"}}", ERR_NR_NONE },
		{ "root disk",
		  "{" I ",\"root_disk\":{\"kind\":\"disk\",\"path\":\"/nonexistent\"}}",
		  ERR_NR_PATH_NOT_FOUND },
		{ "mount", "{" I ",\"volumes\":{\"/a\":{\"bind\":\"/nonexistent\"}}}",
		  ERR_NR_PATH_NOT_FOUND },
	};

	for_cases(c, paths) {
		struct spec spec = { 0 };
		struct err err = ERR_INIT;

		check(c->spec, &spec);
		ASSERT(spec_resolve(&spec, NULL, &err) < 0);
		ASSERT_EQ(err.number, c->number);
		spec_done(&spec);
	}
}

TEST(a_file_as_image_proposes_load)
{
	char path[] = "/tmp/msb-spec-XXXXXX", text[128], want[128];
	struct spec spec = { 0 };
	struct err err = ERR_INIT;
	int fd = mkstemp(path);

	ASSERT(fd >= 0);
	(void)snprintf(text, sizeof(text), "{\"image\":{\"bind\":\"~/%s\"}}", path + 5);
	(void)snprintf(want, sizeof(want),
		       "'~/%s' is not a folder; an archive is loaded first: msb load -i ~/%s",
		       path + 5, path + 5);
	check(text, &spec);
	ASSERT(spec_resolve(&spec, "/tmp", &err) < 0);
	ASSERT_STR(err.msg, want);
	spec_done(&spec);
	ASSERT_EQ(unlink(path), 0);
	ASSERT_EQ(close(fd), 0);
}

TEST(rlimits_are_kept)
{
	static const char text[] =
		"{\"image\":\"x\",\"rlimits\":[{\"resource\":\"nofile\",\"soft\":10,"
		"\"hard\":\"unlimited\"}]}";
	AUTO(spec_done) struct spec spec = { 0 };
	AUTO_FREE char *normal = NULL;
	struct err err = ERR_INIT;

	ASSERT_EQ(spec_parse(text, strlen(text), NULL, &spec, &err), 0);
	ASSERT_EQ(spec.n_rlimits, 1);
	ASSERT(spec.rlimits[0].soft == 10 && spec.rlimits[0].hard == RLIMIT_NONE);
	ASSERT_EQ(spec_normal(&spec, &normal, &err), 0);
	ASSERT(strstr(normal, "{\"resource\":\"nofile\",\"soft\":10,\"hard\":\"unlimited\"}"));
}

TAP_MAIN()
