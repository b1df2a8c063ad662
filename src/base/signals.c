/* SPDX-License-Identifier: Apache-2.0 */
#include "base/signals.h"

#include <stdint.h>
#include <string.h>

#include "base/num.h"

#define SIGNAL_MAX 64 /* of Linux */
#define RT_MIN	   34 /* as C libraries number it: the two before are their own */

/* The numbers of the guest, which are those of Linux on all machines that we run. */
static const char *const names[] = {
	NULL,	"HUP",	"INT",	"QUIT", "ILL",	  "TRAP",   "ABRT",  "BUS",  "FPE",  "KILL", "USR1",
	"SEGV", "USR2", "PIPE", "ALRM", "TERM",	  "STKFLT", "CHLD",  "CONT", "STOP", "TSTP", "TTIN",
	"TTOU", "URG",	"XCPU", "XFSZ", "VTALRM", "PROF",   "WINCH", "IO",   "PWR",  "SYS",
};

static int real_time(const char *text)
{
	uint64_t n = 0;
	int sign = 0, base = 0;

	if (strncasecmp(text, "RTMIN", 5) == 0)
		base = RT_MIN;
	else if (strncasecmp(text, "RTMAX", 5) == 0)
		base = SIGNAL_MAX;
	else
		return 0;
	text += 5;
	if (!*text)
		return base;
	sign = *text == '+' && base == RT_MIN ? 1 : *text == '-' && base == SIGNAL_MAX ? -1 : 0;
	if (!sign || parse_u64_n(text + 1, strlen(text + 1), 10, SIGNAL_MAX - RT_MIN, &n) < 0)
		return 0;
	return base + sign * (int)n;
}

int signal_number(const char *text)
{
	uint64_t n;

	if (parse_u64_n(text, strlen(text), 10, SIGNAL_MAX, &n) >= 0)
		return (int)n;
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (int i = 1; i < (int)(sizeof(names) / sizeof(names[0])); i++)
		if (strcasecmp(text, names[i]) == 0)
			return i;
	if (strcasecmp(text, "IOT") == 0)
		return 6;
	if (strcasecmp(text, "POLL") == 0)
		return 29;
	return real_time(text);
}
