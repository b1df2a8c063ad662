/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "json/json.h"

void json_out_init(struct json_out *o, struct buf *b)
{
	*o = (struct json_out){ .b = b };
}

static void add(struct json_out *o, const void *data, size_t len)
{
	if (o->error == 0)
		o->error = buf_add(o->b, data, len);
}

/* Length of the UTF-8 character at @p, 0 if there is none (RFC 3629, table of section 4). */
static size_t utf8_len(const uint8_t *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (n == 0 || n > left || p[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

bool json_text_is_valid(const void *text, size_t len)
{
	const uint8_t *p = text;

	while (len > 0) {
		size_t n = utf8_len(p, len);

		if (n == 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

/* Bytes in front that stand for themselves. */
static size_t plain_len(const uint8_t *p, size_t len)
{
	size_t n = 0;

	while (n < len && p[n] >= 0x20 && p[n] < 0x7f && p[n] != '"' && p[n] != '\\')
		n++;
	return n;
}

static void add_quoted(struct json_out *o, const uint8_t *p, size_t len)
{
	char esc[8];

	add(o, "\"", 1);
	while (len > 0) {
		size_t plain = plain_len(p, len);
		size_t n = plain ? plain : utf8_len(p, len);

		if (plain || n > 1) {
			add(o, p, n);
		} else if (n == 0) {
			add(o, "\xef\xbf\xbd", 3); /* U+FFFD */
			n = 1;
		} else if (*p == '"' || *p == '\\') {
			esc[0] = '\\';
			esc[1] = (char)*p;
			add(o, esc, 2);
		} else if (*p == '\n') {
			add(o, "\\n", 2);
		} else {
			(void)snprintf(esc, sizeof(esc), "\\u%04x", *p);
			add(o, esc, 6);
		}
		p += n;
		len -= n;
	}
	add(o, "\"", 1);
}

/* What stands in front of a value: the comma and, in an object, the key. */
static void begin_item(struct json_out *o, const char *key)
{
	bool in_object = o->depth > 0 && !(o->arrays >> (o->depth - 1) & 1);

	assert(in_object == (key != NULL));
	if (o->comma)
		add(o, ",", 1);
	o->comma = true;
	if (key) {
		add_quoted(o, (const uint8_t *)key, strlen(key));
		add(o, ":", 1);
	}
}

static void open_level(struct json_out *o, const char *key, bool array)
{
	begin_item(o, key);
	assert(o->depth < 64);
	o->arrays = (o->arrays & ~(1ull << o->depth)) | (uint64_t)array << o->depth;
	o->depth++;
	o->comma = false;
	add(o, array ? "[" : "{", 1);
}

void json_put_object(struct json_out *o, const char *key)
{
	open_level(o, key, false);
}

void json_put_array(struct json_out *o, const char *key)
{
	open_level(o, key, true);
}

void json_put_end(struct json_out *o)
{
	assert(o->depth > 0);
	o->depth--;
	add(o, o->arrays >> o->depth & 1 ? "]" : "}", 1);
	o->comma = true;
}

void json_put_strn(struct json_out *o, const char *key, const void *text, size_t len)
{
	begin_item(o, key);
	add_quoted(o, text, len);
}

void json_put_str(struct json_out *o, const char *key, const char *text)
{
	if (text)
		json_put_strn(o, key, text, strlen(text));
	else
		json_put_null(o, key);
}

void json_put_u64(struct json_out *o, const char *key, uint64_t v)
{
	begin_item(o, key);
	if (o->error == 0)
		o->error = buf_addf(o->b, "%" PRIu64, v);
}

void json_put_i64(struct json_out *o, const char *key, int64_t v)
{
	begin_item(o, key);
	if (o->error == 0)
		o->error = buf_addf(o->b, "%" PRId64, v);
}

void json_put_bool(struct json_out *o, const char *key, bool v)
{
	begin_item(o, key);
	add(o, v ? "true" : "false", v ? 4 : 5);
}

void json_put_null(struct json_out *o, const char *key)
{
	begin_item(o, key);
	add(o, "null", 4);
}

static int dump_to(const char *data, size_t len, void *user)
{
	struct json_out *o = user;

	add(o, data, len);
	return o->error ? -1 : 0;
}

void json_put_value(struct json_out *o, const char *key, const json_t *value)
{
	begin_item(o, key);
	if (json_dump_callback(value, dump_to, o, JSON_COMPACT | JSON_ENCODE_ANY) != 0 && !o->error)
		o->error = -ENOMEM;
}

int json_out_end(struct json_out *o)
{
	assert(o->depth == 0);
	return o->error;
}
