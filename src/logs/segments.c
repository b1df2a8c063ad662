/* SPDX-License-Identifier: Apache-2.0 */
#include "logs/segments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dir.h"
#include "base/num.h"

void log_segment_name(const char *log, uint64_t number, char out[static LOG_FILE_NAME])
{
	(void)snprintf(out, LOG_FILE_NAME, "%s-%llu.log", log, (unsigned long long)number);
}

/* The number of a file of @log, 0: it is none. */
static uint64_t number_of(const char *log, const char *file)
{
	size_t n = strlen(log), digits;
	uint64_t number;

	if (strncmp(file, log, n) != 0 || file[n] != '-')
		return 0;
	file += n + 1;
	digits = strspn(file, "0123456789");
	if (strcmp(file + digits, ".log") != 0 ||
	    parse_u64_n(file, digits, 10, INT64_MAX, &number) < 0)
		return 0;
	return number;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int log_segments(int dir, const char *log, uint64_t *ret)
{
	AUTO(closedir) DIR *d = NULL;
	struct dirent *e;
	int n = 0, r = dir_open(dir, ".", &d);

	if (r < 0)
		return r;
	while (n < LOG_SEGMENTS_MAX && (e = readdir(d))) {
		uint64_t number = number_of(log, e->d_name);

		if (number)
			ret[n++] = number;
	}
	qsort(ret, (size_t)n, sizeof(*ret), by_number);
	return n;
}
