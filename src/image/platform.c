/* SPDX-License-Identifier: Apache-2.0 */
#include "image/platform.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"

/*
 * DOC: variants
 *
 * A variant is a level: a processor of one level runs all lower ones.  amd64 has v1 to v4, arm v5
 * to v8, arm64 v8 and v9.  An image that names none is of the lowest that people use.
 */
#if defined(__x86_64__)
#define HOST_ARCH "amd64"
#elif defined(__aarch64__)
#define HOST_ARCH "arm64"
#else
#error "unknown architecture"
#endif

static const struct level {
	const char *arch;
	int unsaid; /* of an image without a variant */
	int usual;  /* that any processor of today runs */
} levels[] = {
	{ "amd64", 1, 1 },
	{ "arm64", 8, 8 },
	{ "arm", 7, 7 },
};

static const struct level *level_of(const char *arch)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(levels[i].arch, arch) == 0)
			return &levels[i];
	}
	return NULL;
}

/* "v8" is 8; -1: not of that form. */
static int number_of(const char *variant)
{
	uint64_t n;

	if (variant[0] != 'v' || parse_u64_n(variant + 1, strlen(variant + 1), 10, 99, &n) < 0)
		return -1;
	return (int)n;
}

/* What the guest can run.  v4 is AVX-512, which neither TCG nor every host of a pool has. */
static int host_level(const struct level *l)
{
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
	    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma"))
		return 3;
	if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3") &&
	    __builtin_cpu_supports("popcnt"))
		return 2;
#endif
	return l->usual;
}

static int best_level(const struct platform *want, const struct level *l)
{
	return strcmp(want->arch, HOST_ARCH) == 0 ? host_level(l) : l->usual;
}

/* One part, up to a slash; the rest; NULL if it is no such word. */
static const char *take_part(const char *p, char *out, size_t size)
{
	size_t n = strcspn(p, "/");

	if (n == 0 || n >= size)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)p[i]) && !strchr("._-", p[i]))
			return NULL;
		out[i] = (char)tolower((unsigned char)p[i]);
	}
	out[n] = '\0';
	return p + n + (p[n] == '/');
}

int platform_parse(const char *text, struct platform *ret, struct err *err)
{
	struct platform p = { .os = "linux", .arch = HOST_ARCH };
	const char *at = text;

	if (text) {
		at = take_part(at, p.os, sizeof(p.os));
		at = at ? take_part(at, p.arch, sizeof(p.arch)) : NULL;
		if (at && *at)
			at = take_part(at, p.variant, sizeof(p.variant));
		if (!at || *at)
			return err_set(err, ERR_INVALID,
				       "'%.100s' is no platform; expected OS/ARCH[/VARIANT], such "
				       "as linux/" HOST_ARCH,
				       text);
	}
	*ret = p;
	return 0;
}

int platform_rank(const struct platform *want, const char *os, const char *arch,
		  const char *variant)
{
	const struct level *l = level_of(want->arch);
	int has;

	if (!arch)
		return !os || strcmp(os, want->os) == 0 ? 0 : -1;
	if ((os && strcmp(os, want->os) != 0) || strcmp(arch, want->arch) != 0)
		return -1;
	if (!l) {
		if (!want->variant[0])
			return variant ? 1 : 2;
		return variant && strcmp(variant, want->variant) == 0 ? 1 : -1;
	}
	has = variant ? number_of(variant) : l->unsaid;
	if (want->variant[0])
		return has >= 0 && has == number_of(want->variant) ? 1 : -1;
	return has >= 0 && has <= best_level(want, l) ? 1 + has : -1;
}
