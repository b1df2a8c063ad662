/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_FILE_H
#define PROTO_FILE_H

#include "proto/agent.h"

/*
 * A file stream carries one operation: FRAME_OPEN_FILE, then its answer, then it ends.
 *
 *	STAT		FRAME_FILE_ENTRY
 *	TAR_OUT		FRAME_FILE_DATA ..., FRAME_DONE
 *	TAR_IN		client: FRAME_FILE_DATA ..., FRAME_FILE_EOF; then FRAME_DONE
 *
 * FRAME_FAILED at any time is the end; its errno is what counts.  FRAME_FILE_WARNING tells what was
 * left out, at most FILE_WARNINGS_MAX times.
 *
 * Conventions are those of agent.h.
 */
enum file_op { FILE_STAT, FILE_TAR_OUT, FILE_TAR_IN, FILE_OP_MAX };

#define FILE_PATH_MAX	  4095 /* bytes: PATH_MAX of Linux without the NUL */
#define FILE_WARNINGS_MAX 32

struct file_request {
	enum file_op op;
	char *path;	  /* absolute; TAR_IN: an existing folder */
	char *user;	  /* whose rights; NULL: root's */
	char *as;	  /* TAR_OUT: name of the top entry */
	char *chown;	  /* TAR_IN: "user:group" of all that is made; NULL: leave it */
	bool follow;	  /* links are what they point to */
	bool archive;	  /* owners and attributes too */
	uint64_t time_ns; /* as in exec_request */
};
void file_request_done(struct file_request *r);

enum file_kind { FILE_REGULAR, FILE_FOLDER, FILE_SYMLINK, FILE_OTHER, FILE_KIND_MAX };

struct file_entry {
	enum file_kind kind;
	uint64_t size; /* bytes */
	uint32_t mode; /* 12 bits */
	uint32_t uid, gid;
	uint64_t nlink;
};

struct file_warning {
	char path[256]; /* cut in front if it is longer */
	char message[128];
};

MUST_CHECK int file_request_encode(struct buf *b, const struct file_request *x);
/* -EPROTO too for a path that is not absolute or too long. */
MUST_CHECK int file_request_decode(const void *payload, size_t len, struct file_request *x);
MUST_CHECK int file_entry_encode(struct buf *b, const struct file_entry *x);
MUST_CHECK int file_entry_decode(const void *payload, size_t len, struct file_entry *x);
MUST_CHECK int file_warning_encode(struct buf *b, const struct file_warning *x);
MUST_CHECK int file_warning_decode(const void *payload, size_t len, struct file_warning *x);

#endif /* PROTO_FILE_H */
