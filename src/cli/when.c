/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/when.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/options.h"

/* Seconds east of UTC from "Z", "+01:00", "-0530". */
static int parse_zone(const char *text, int64_t *ret_s)
{
	int hours, minutes, end = 0;

	*ret_s = 0;
	if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
		return 0;
	if ((*text != '+' && *text != '-') ||
	    (sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &end) < 2 &&
	     sscanf(text + 1, "%2d%2d%n", &hours, &minutes, &end) < 2) ||
	    text[1 + end] != '\0' || hours < 0 || hours > 14 || minutes < 0 || minutes > 59)
		return -EINVAL;
	*ret_s = (int64_t)(hours * 60 + minutes) * 60 * (*text == '-' ? -1 : 1);
	return 0;
}

static int parse_date(const char *text, uint64_t *ret_ms)
{
	struct tm tm = { 0 };
	const char *p = strptime(text, "%Y-%m-%d", &tm);
	unsigned ms = 0, unit = 100;
	int64_t zone = 0, s;

	if (!p)
		return -EINVAL;
	if (*p == 'T' || *p == 't' || *p == ' ') {
		p = strptime(p + 1, "%H:%M:%S", &tm);
		if (!p)
			return -EINVAL;
		if (*p == '.')
			for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
				ms += (unsigned)(*p - '0') * unit;
		if (parse_zone(p, &zone) < 0)
			return -EINVAL;
	} else if (*p) {
		return -EINVAL;
	}
	s = (int64_t)timegm(&tm) - zone;
	if (s < 0)
		return -EINVAL;
	*ret_ms = (uint64_t)s * 1000 + ms;
	return 0;
}

int when_parse(const char *text, uint64_t now_ns, uint64_t *ret_ms)
{
	uint64_t ago_ms, now_ms = now_ns / NS_PER_MS;

	if (parse_duration_ms(text, &ago_ms) < 0)
		return parse_date(text, ret_ms);
	*ret_ms = ago_ms < now_ms ? now_ms - ago_ms : 0;
	return 0;
}

void when_print(uint64_t ns, char out[static WHEN_TEXT_MAX])
{
	time_t s = (time_t)(ns / NS_PER_S);
	size_t n = 0;
	struct tm tm;

	if (gmtime_r(&s, &tm))
		n = strftime(out, WHEN_TEXT_MAX - 8, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(out + n, WHEN_TEXT_MAX - n, ".%03uZ", (unsigned)(ns % NS_PER_S / NS_PER_MS));
}
