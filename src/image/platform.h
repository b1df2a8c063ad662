/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_PLATFORM_H
#define IMAGE_PLATFORM_H

#include "base/err.h"

/* What an image is wanted for, "linux/arm64/v8", and which of several fits best. */
struct platform {
	char os[32], arch[32]; /* "linux", "amd64" as Go has them */
	char variant[16];      /* "": the best one that can run */
};

/**
 * platform_parse() - From OS/ARCH[/VARIANT]; NULL: linux on this host
 * @err:	INVALID
 */
MUST_CHECK int platform_parse(const char *text, struct platform *ret, struct err *err);

/**
 * platform_rank() - How well does an image fit?
 * @os, @arch, @variant: What it says of itself; NULL: nothing, which fits and is the last choice
 * Return: larger is better, negative: it does not.
 */
int platform_rank(const struct platform *want, const char *os, const char *arch,
		  const char *variant);

#endif /* IMAGE_PLATFORM_H */
