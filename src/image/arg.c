/* SPDX-License-Identifier: Apache-2.0 */
#include "image/arg.h"

#include <string.h>

#include "image/image.h"

#define DIGEST_DIGITS	  64
#define DIGEST_DIGITS_MIN 12 /* tells images apart, as in listings */

void image_arg_done(struct image_arg *a)
{
	free(a->path);
	free(a->pick);
	free(a->full);
	*a = (struct image_arg){ 0 };
}

bool path_is_local(const char *text)
{
	return text[0] == '/' || strncmp(text, "./", 2) == 0 || strncmp(text, "../", 3) == 0 ||
	       strncmp(text, "~/", 2) == 0 || strcmp(text, ".") == 0 || strcmp(text, "..") == 0;
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len > n && strcmp(text + len - n, end) == 0;
}

bool image_arg_is_local(const char *text)
{
	return path_is_local(text) ||
	       (!strpbrk(text, "/:@") && (ends_with(text, ".qcow2") || ends_with(text, ".raw")));
}

/* "PATH[:TAG]" behind @prefix: the first colon ends the path, as in skopeo and podman. */
static int parse_file(const char *prefix, const char *rest, struct image_arg *a, struct err *err)
{
	const char *colon = strchr(rest, ':');

	if (rest[0] == '\0' || rest[0] == ':')
		return err_set(err, ERR_INVALID, "\"%.20s%.300s\" names no %s; write %s%s[:TAG]",
			       prefix, rest, a->kind == IMAGE_ARG_LAYOUT ? "folder" : "file",
			       prefix, a->kind == IMAGE_ARG_LAYOUT ? "DIR" : "FILE");
	if (colon && colon[1] == '\0')
		return err_set(err, ERR_INVALID, "image \"%.20s%.300s\": empty tag at its end",
			       prefix, rest);
	a->path = strndup(rest, colon ? (size_t)(colon - rest) : strlen(rest));
	a->pick = colon ? strdup(colon + 1) : NULL;
	return a->path && (a->pick || !colon) ? 0 : err_no_memory(err);
}

static int parse_digest(const char *text, struct image_arg *a, struct err *err)
{
	const char *hex = strchr(text, ':') + 1;
	size_t n = strspn(hex, "0123456789abcdef");

	if (hex[n] != '\0')
		return err_set(err, ERR_INVALID,
			       "image digest \"%.100s\": byte %zu is no lower-case hex digit", text,
			       (size_t)(hex - text) + n + 1);
	if (n < DIGEST_DIGITS_MIN || n > DIGEST_DIGITS)
		return err_set(err, ERR_INVALID,
			       "image digest \"%.100s\" has %zu digits; write all %d, or the first "
			       "%d at least",
			       text, n, DIGEST_DIGITS, DIGEST_DIGITS_MIN);
	a->full = strdup(text);
	return a->full ? 0 : err_no_memory(err);
}

static int parse(const char *text, struct image_arg *a, struct err *err)
{
	static const struct {
		const char *prefix;
		enum image_arg_kind kind;
	} files[] = {
		{ "oci:", IMAGE_ARG_LAYOUT },
		{ "docker-archive:", IMAGE_ARG_ARCHIVE },
		{ "oci-archive:", IMAGE_ARG_ARCHIVE },
	};
	const char *scheme;

	if (image_arg_is_local(text)) {
		a->kind = IMAGE_ARG_LOCAL;
		a->path = strdup(text);
		return a->path ? 0 : err_no_memory(err);
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		size_t len = strlen(files[i].prefix);

		if (strncmp(text, files[i].prefix, len) != 0)
			continue;
		a->kind = files[i].kind;
		return parse_file(files[i].prefix, text + len, a, err);
	}
	if (strncmp(text, "sha256:", strlen("sha256:")) == 0) {
		a->kind = IMAGE_ARG_DIGEST;
		return parse_digest(text, a, err);
	}
	a->kind = IMAGE_ARG_REFERENCE;
	scheme = strstr(text, "://");
	if (scheme)
		return err_set(err, ERR_INVALID,
			       "image \"%.300s\": names have no scheme; did you mean \"%.300s\"?",
			       text, scheme + strlen("://"));
	return image_ref_parse(text, &a->full, err);
}

int image_arg_parse(const char *text, struct image_arg *ret, struct err *err)
{
	AUTO(image_arg_done) struct image_arg a = { 0 };

	if (parse(text, &a, err) < 0) {
		if (err->code == ERR_INVALID)
			err_reason(err, "image-ref-invalid");
		return -(int)err->code;
	}
	*ret = a;
	a = (struct image_arg){ 0 };
	return 0;
}
