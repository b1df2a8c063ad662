/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_ROOM_H
#define IMAGE_ROOM_H

#include "image/store.h"

/*
 * The store never fills its file system: it stops growing when less than the reserve is free.
 * Errors: UNAVAILABLE, "disk-full", 803, with what is needed and what is free.
 */

/* Is there room for @need bytes more? */
MUST_CHECK int store_check_room(struct store *s, uint64_t need, struct err *err);
/* A write of @what has failed with @sys: "disk-full" if that is why. Return: negative. */
int store_write_failed(struct store *s, int sys, const char *what, struct err *err);

#endif /* IMAGE_ROOM_H */
