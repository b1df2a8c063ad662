/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <string.h>

#include "json/json.h"

static json_t *parse(const char *text)
{
	json_t *value = NULL;
	struct err err = ERR_INIT;

	ASSERT_EQ(json_parse("spec", text, strlen(text), 65536, &value, &err), 0);
	return value;
}

TEST(parse_refuses)
{
	static const struct {
		const char *name, *text, *msg;
	} cases[] = {
		{ "empty", "", "spec: line 1, column 0: '[' or '{' expected near end of file" },
		{ "torn", "{\"a\":\n 1", "spec: line 2, column 2: '}' expected near end of file" },
		{ "key twice", "{\"a\":1,\"a\":2}",
		  "spec: line 1, column 10: duplicate object key near '\"a\"'" },
		{ "too long", "[1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7]",
		  "spec: 35 bytes of JSON, more than 32" },
	};

	for_cases(c, cases) {
		json_t *value = NULL;
		struct err err = ERR_INIT;

		ASSERT(json_parse("spec", c->text, strlen(c->text), 32, &value, &err) < 0);
		ASSERT_EQ(err.code, ERR_INVALID);
		if (*c->text) /* jansson words the empty text by its version */
			ASSERT_STR(err.msg, c->msg);
		ASSERT(!value);
	}
}

TEST(parse_refuses_depth)
{
	char text[2 * (JSON_MAX_DEPTH + 1) + 1];
	json_t *value = NULL;
	struct err err = ERR_INIT;

	memset(text, '[', JSON_MAX_DEPTH + 1);
	memset(text + JSON_MAX_DEPTH + 1, ']', JSON_MAX_DEPTH + 1);
	ASSERT(json_parse("spec", text, sizeof(text) - 1, 4096, &value, &err) < 0);
	ASSERT_STR(err.msg, "spec: more than 32 levels");
	ASSERT_EQ(json_parse("spec", text + 1, sizeof(text) - 3, 4096, &value, &err), 0);
	json_decref(value);
}

TEST(errors_name_the_way)
{
	AUTO(json_decref)
	json_t *v = parse("{\"mounts\":[{\"target\":\"/a\"},{\"target\":7,\"x\":1.5}]}");
	struct json_at root = json_root(v, NULL), mounts = json_member(&root, "mounts"), item, at;
	struct err err = ERR_INIT;
	const char *text = "untouched";
	uint64_t n = 5;
	size_t n_items = 0;

	ASSERT_EQ(json_get_array(&mounts, 2, &n_items, &err), 0);
	ASSERT_EQ(n_items, 2);
	item = json_item(&mounts, 1);
	at = json_member(&item, "target");
	ASSERT(json_get_str(&at, &text, &err) < 0);
	ASSERT_STR(text, "untouched");
	ASSERT_STR(err.msg, "mounts[1].target: must be a string, is a number");
	ASSERT(json_opt_u64(&item, "x", 0, 9, &n, &err) < 0);
	ASSERT_STR(err.msg, "mounts[1].x: must be a number, is not a whole number");
	ASSERT(json_opt_u64(&item, "target", 8, 9, &n, &err) < 0);
	ASSERT_STR(err.msg, "mounts[1].target: must be from 8 to 9, is 7");
	ASSERT_EQ(json_opt_u64(&item, "none", 0, 9, &n, &err), 0);
	ASSERT_EQ(n, 5);
	at = json_member(&item, "none");
	ASSERT(json_get_bool(&at, &(bool){ false }, &err) < 0);
	ASSERT_STR(err.msg, "mounts[1].none: missing: true or false is needed");
}

TEST(unknown_keys_and_values)
{
	static const char *const keys[] = { "memory", "cpus", NULL };
	static const char *const engines[] = { "auto", "kvm", "qemu", NULL };
	AUTO(json_decref) json_t *v = parse("{\"memroy\":1}");
	AUTO(json_decref) json_t *w = parse("{\"engine\":\"qmeu\",\"e\":\"firecracker\"}");
	struct json_at root = json_root(v, "spec"), other = json_root(w, "spec");
	struct err err = ERR_INIT;
	unsigned kind = 9;

	ASSERT(json_only_keys(&root, keys, &err) < 0);
	ASSERT_STR(err.msg, "spec.memroy: unknown key, did you mean 'memory'?");
	ASSERT(json_opt_enum(&other, "engine", engines, &kind, &err) < 0);
	ASSERT_STR(err.msg, "spec.engine: unknown value 'qmeu', did you mean 'qemu'?");
	ASSERT(json_opt_enum(&other, "e", engines, &kind, &err) < 0);
	ASSERT_STR(err.msg,
		   "spec.e: unknown value 'firecracker', not one of 'auto', 'kvm', 'qemu'");
	ASSERT_EQ(kind, 9);
}

TEST(writer)
{
	AUTO(buf_done) struct buf b = { 0 };
	AUTO(json_decref) json_t *v = parse("[1,{\"a\":null}]");
	struct json_out o;

	buf_init(&b, 4096);
	json_out_init(&o, &b);
	json_put_object(&o, NULL);
	json_put_u64(&o, "v", 1);
	json_put_array(&o, "list");
	json_put_i64(&o, NULL, -1);
	json_put_bool(&o, NULL, true);
	json_put_object(&o, NULL);
	json_put_end(&o);
	json_put_end(&o);
	json_put_str(&o, "text", "a\"\\\n\x01\xff\xc3\xa4\xed\xa0\x80");
	json_put_str(&o, "none", NULL);
	json_put_value(&o, "copy", v);
	json_put_end(&o);
	ASSERT_EQ(json_out_end(&o), 0);
	ASSERT_STR(
		buf_cstr(&b),
		"{\"v\":1,\"list\":[-1,true,{}],\"text\":\"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xa4"
		"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\",\"none\":null,\"copy\":[1,{\"a\":null}]}");
}

TEST(writer_keeps_its_first_failure)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct json_out o;

	buf_init(&b, 4);
	json_out_init(&o, &b);
	json_put_array(&o, NULL);
	json_put_str(&o, NULL, "too long for it");
	json_put_end(&o);
	ASSERT_EQ(json_out_end(&o), -ENOBUFS);
}

TAP_MAIN()
