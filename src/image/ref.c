/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "image/image.h"
#include "image/limits.h"

/*
 * DOC: references
 *
 * [HOST[:PORT]/]PATH[:TAG][@ALG:HEX], as docker's distribution/reference has it.  The text is
 * cut from the right: digest, then tag, then host.
 */
struct ref {
	const char *text;
	const char *host, *path, *tag, *digest; /* into the text; NULL: absent */
	size_t host_len, path_len, tag_len, digest_len;
};

#define HUB "docker.io"

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static int wrong_byte(const struct ref *r, const char *at, const char *what, struct err *err)
{
	if (*at == '\0')
		return err_set(err, ERR_INVALID, "image name \"%.300s\": %s at its end", r->text,
			       what);
	if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x7f)
		return err_set(err, ERR_INVALID, "image name: %s at byte %zu (0x%02x)", what,
			       (size_t)(at - r->text) + 1, (unsigned char)*at);
	return err_set(err, ERR_INVALID, "image name \"%.300s\": %s at byte %zu (\"%c\")", r->text,
		       what, (size_t)(at - r->text) + 1, *at);
}

static bool is_host(const char *s, size_t len)
{
	return memchr(s, '.', len) || memchr(s, ':', len) || s[0] == '[' ||
	       (len == 9 && memcmp(s, "localhost", 9) == 0);
}

/* One part of a path: lower-case letters and digits, with separators only between them. */
static const char *bad_in_part(const char *s, const char *end)
{
	const char *p = s;

	for (;;) {
		const char *word = p, *sep;

		while (p < end && (is_lower(*p) || is_digit(*p)))
			p++;
		if (p == word)
			return p;
		if (p == end)
			return NULL;
		sep = p;
		if (*p == '.')
			p++;
		else if (*p == '_')
			p += p + 1 < end && p[1] == '_' ? 2 : 1;
		else
			while (p < end && *p == '-')
				p++;
		if (p == sep || p == end)
			return sep;
	}
}

static int upper_case(const struct ref *r, struct err *err)
{
	char low[REF_NAME_MAX + 1];
	size_t n = 0;

	for (const char *p = r->text; *p && n < REF_NAME_MAX; p++, n++)
		low[n] = (char)(p >= r->path && p < r->path + r->path_len ? tolower(*p) : *p);
	low[n] = '\0';
	return err_set(err, ERR_INVALID, "image names are lower case; did you mean \"%s\"?", low);
}

static int check_path(const struct ref *r, struct err *err)
{
	const char *p = r->path, *end = r->path + r->path_len;

	for (const char *c = p; c < end; c++) {
		if (is_upper(*c))
			return upper_case(r, err);
	}
	for (;;) {
		const char *slash = memchr(p, '/', (size_t)(end - p));
		const char *stop = slash ? slash : end;
		const char *bad = bad_in_part(p, stop);

		if (bad)
			return wrong_byte(r, bad, "unexpected character", err);
		if (!slash)
			return 0;
		p = slash + 1;
	}
}

static const char *bad_in_label_list(const char *s, const char *end)
{
	const char *label = s;

	for (const char *p = s; p <= end; p++) {
		if (p == end || *p == '.') {
			if (p == label || label[0] == '-' || p[-1] == '-')
				return p;
			label = p + 1;
		} else if (!isalnum((unsigned char)*p) && *p != '-') {
			return p;
		}
	}
	return NULL;
}

static int check_host(const struct ref *r, struct err *err)
{
	const char *end = r->host + r->host_len, *name_end, *bad;

	if (r->host[0] == '[') {
		const char *close = memchr(r->host, ']', r->host_len);

		for (const char *p = r->host + 1; close && p < close; p++) {
			if (!isxdigit((unsigned char)*p) && *p != ':')
				return wrong_byte(r, p, "unexpected character in address", err);
		}
		if (!close || close == r->host + 1)
			return wrong_byte(r, r->host, "broken IPv6 address", err);
		name_end = close + 1;
	} else {
		const char *colon = memchr(r->host, ':', r->host_len);

		name_end = colon ? colon : end;
		bad = bad_in_label_list(r->host, name_end);
		if (bad)
			return wrong_byte(r, bad, "unexpected character in host", err);
	}
	if (name_end == end)
		return 0;
	if (*name_end != ':' || name_end + 1 == end || end - name_end > 6)
		return wrong_byte(r, name_end, "broken port", err);
	for (const char *p = name_end + 1; p < end; p++) {
		if (!is_digit(*p))
			return wrong_byte(r, p, "unexpected character in port", err);
	}
	return 0;
}

static int check_tag(const struct ref *r, struct err *err)
{
	for (size_t i = 0; i < r->tag_len; i++) {
		char c = r->tag[i];

		if (!isalnum((unsigned char)c) && c != '_' && (i == 0 || (c != '.' && c != '-')))
			return wrong_byte(r, r->tag + i, "unexpected character in tag", err);
	}
	if (r->tag_len == 0)
		return wrong_byte(r, r->tag, "empty tag", err);
	if (r->tag_len > REF_TAG_MAX)
		return err_set(err, ERR_INVALID, "image name: a tag has at most %d bytes",
			       REF_TAG_MAX);
	return 0;
}

static int check_digest(const struct ref *r, struct err *err)
{
	size_t want;

	if (strncmp(r->digest, "sha256:", 7) == 0)
		want = 64;
	else if (strncmp(r->digest, "sha512:", 7) == 0)
		want = 128;
	else
		return wrong_byte(r, r->digest, "expected sha256: or sha512:", err);
	for (const char *p = r->digest + 7; *p; p++) {
		if (!is_digit(*p) && !(*p >= 'a' && *p <= 'f'))
			return wrong_byte(r, p, "a digest has lower-case hex digits", err);
	}
	if (r->digest_len != 7 + want)
		return err_set(err, ERR_INVALID,
			       "image name \"%.300s\": the digest has %zu digits, not %zu", r->text,
			       r->digest_len - 7, want);
	return 0;
}

static void cut(const char *text, struct ref *r)
{
	const char *end = text + strlen(text), *at = strchr(text, '@'), *slash, *colon = NULL;

	*r = (struct ref){ .text = text };
	if (at) {
		r->digest = at + 1;
		r->digest_len = (size_t)(end - at - 1);
		end = at;
	}
	slash = memrchr(text, '/', (size_t)(end - text));
	for (const char *p = slash ? slash : text; p < end; p++) {
		if (*p == ':') {
			colon = p;
			break;
		}
	}
	if (colon) {
		r->tag = colon + 1;
		r->tag_len = (size_t)(end - colon - 1);
		end = colon;
	}
	r->path = text;
	slash = memchr(text, '/', (size_t)(end - text));
	if (slash && slash > text && is_host(text, (size_t)(slash - text))) {
		r->host = text;
		r->host_len = (size_t)(slash - text);
		r->path = slash + 1;
	}
	r->path_len = (size_t)(end - r->path);
}

static bool host_is(const struct ref *r, const char *name)
{
	return r->host_len == strlen(name) && memcmp(r->host, name, r->host_len) == 0;
}

int image_ref_parse(const char *text, char **ret_full, struct err *err)
{
	struct ref r;
	const char *host = HUB, *library = "";
	size_t host_len = strlen(HUB);
	AUTO_FREE char *full = NULL;
	int n;

	if (text[0] == '\0')
		return err_set(err, ERR_INVALID, "an empty image name");
	if (strlen(text) > REF_NAME_MAX + REF_TAG_MAX + REF_DIGEST_MAX + 2)
		return err_set(err, ERR_INVALID, "image name is too long (%zu bytes)",
			       strlen(text));
	cut(text, &r);
	if ((r.host && check_host(&r, err) < 0) || check_path(&r, err) < 0 ||
	    (r.tag && check_tag(&r, err) < 0) || (r.digest && check_digest(&r, err) < 0))
		return -ERR_INVALID;
	if (r.host && !host_is(&r, "index.docker.io") && !host_is(&r, "registry-1.docker.io")) {
		host = r.host;
		host_len = r.host_len;
	}
	if (host_len == strlen(HUB) && memcmp(host, HUB, host_len) == 0 &&
	    !memchr(r.path, '/', r.path_len))
		library = "library/";
	if (host_len + 1 + strlen(library) + r.path_len > REF_NAME_MAX)
		return err_set(err, ERR_INVALID, "image name has more than %d bytes", REF_NAME_MAX);
	if (!r.tag && !r.digest) {
		r.tag = "latest";
		r.tag_len = 6;
	}
	n = asprintf(&full, "%.*s/%s%.*s%s%.*s%s%s", (int)host_len, host, library, (int)r.path_len,
		     r.path, r.tag ? ":" : "", (int)r.tag_len, r.tag ? r.tag : "",
		     r.digest ? "@" : "", r.digest ? r.digest : "");
	if (n < 0) {
		full = NULL;
		return err_no_memory(err);
	}
	*ret_full = TAKE_PTR(full);
	return 0;
}

char *image_ref_short(const char *full)
{
	static const char hub[] = HUB "/", library[] = "library/";
	const char *rest = full + sizeof(hub) - 1, *slash;

	if (strncmp(full, hub, sizeof(hub) - 1) != 0)
		return strdup(full);
	if (strncmp(rest, library, sizeof(library) - 1) == 0 &&
	    !strchr(rest + sizeof(library) - 1, '/'))
		return strdup(rest + sizeof(library) - 1);
	/* What would read as a host stays behind the hub's name. */
	slash = strchr(rest, '/');
	return strdup(slash && is_host(rest, (size_t)(slash - rest)) ? full : rest);
}
