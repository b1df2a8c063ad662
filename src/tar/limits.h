/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TAR_LIMITS_H
#define TAR_LIMITS_H

/* Bounds of what a hostile archive may hold. */
#define PAX_BYTES_MAX                                                                              \
	(1u << 20) /* body of a pax header or GNU long name; global headers together */
#define SPARSE_CHUNKS_MAX 1000000u /* pieces of one sparse file */

/* Attributes of one file, all of them together; XATTR_SIZE_MAX of Linux. */
#define XATTR_BYTES_MAX (64u << 10)
#define XATTRS_MAX	1024 /* of one file */

#endif /* TAR_LIMITS_H */
