/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_OWNER_H
#define FS_OWNER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * Owners and modes: what the guest sees of a host entry, and what is kept on the host of
 * what the guest asked for.  Pure functions over `struct stat`, and the two forms of a record.
 *
 * What the host user owns appears as D, the mount's owner; other ids as OWNER_OTHER.  The
 * host mode is the guest's without set-id, sticky and write for others, and with rw for the
 * owner; whatever that loses, and any other owner, is in a record of the entry.
 *
 * A map that passes through changes nothing: the server is root, D is 0:0, and the tree
 * has many owners (a root file system).  Ids are the host's, chown really chowns.  Records
 * hold device nodes only.
 */

#define OWNER_XATTR	  "user.msb.own"
#define OWNER_RECORD_SIZE 28	     /* bytes of the attribute */
#define OWNER_UNSET	  UINT32_MAX /* in a record: the entry's id as without one */
#define OWNER_OTHER	  65534	     /* "nobody" */

struct owner_map {
	bool pass;
	uid_t host_uid;
	gid_t host_gid;
	uint32_t uid, gid; /* D */
};

struct owner_record {
	uint32_t uid, gid;  /* or OWNER_UNSET */
	uint32_t mode;	    /* with type */
	uint64_t rdev;	    /* devices: dev_t of the host */
	uint32_t host_mode; /* permission bits that @mode belongs to */
};

/* The map for a process with these ids. */
struct owner_map owner_map_for(uid_t euid, gid_t egid, uint32_t uid, uint32_t gid);

void owner_encode(const struct owner_record *rec, uint8_t out[OWNER_RECORD_SIZE]);
/* -EINVAL: not a record */
MUST_CHECK int owner_decode(const uint8_t *buf, size_t len, struct owner_record *ret_rec);

/* Turn the host's @st into what the guest sees; @rec may be NULL. */
void owner_view(const struct owner_map *map, const struct owner_record *rec, struct stat *st);

/* Permission bits on the host for those of the guest. */
mode_t owner_host_mode(const struct owner_map *map, mode_t mode);

/**
 * owner_record_for() - What must be recorded so that the guest sees @want
 * @host:	Entry on the host
 * @host_mode:	Permission bits it has, or is about to get
 * Return: false if nothing, as the guest sees that anyway.
 */
bool owner_record_for(const struct owner_map *map, const struct stat *host, mode_t host_mode,
		      const struct stat *want, struct owner_record *ret_rec);

/* What remains of a mode after a write or chown by somebody who may not keep set-id bits. */
mode_t owner_kill_priv(mode_t mode);

/* ---- records of entries that cannot carry the attribute: in memory, lost at the end ---- */

struct owner_key {
	uint64_t dev, ino, btime_ns;
};

struct owner_mem {
	pthread_mutex_t lock;
	struct owner_slot *slots;  /* owned; a power of two of them */
	size_t n_slots, n, n_live; /* n: used ones, dropped or not */
};

MUST_CHECK int owner_mem_init(struct owner_mem *m);
void owner_mem_done(struct owner_mem *m);
bool owner_mem_get(struct owner_mem *m, const struct owner_key *key, struct owner_record *ret_rec);
/* @rec NULL: as if there were none. 0, -ENOMEM, or -ENOSPC beyond OWNER_MEM_MAX records. */
MUST_CHECK int owner_mem_set(struct owner_mem *m, const struct owner_key *key,
			     const struct owner_record *rec);

#define OWNER_MEM_MAX 65536 /* records of one mount; 16 MiB at most */

#endif /* FS_OWNER_H */
