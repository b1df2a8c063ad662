/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/owner.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_VERSION 1
#define PERM	       07777

struct owner_map owner_map_for(uid_t euid, gid_t egid, uint32_t uid, uint32_t gid)
{
	return (struct owner_map){
		.pass = euid == 0 && uid == 0 && gid == 0,
		.host_uid = euid,
		.host_gid = egid,
		.uid = uid,
		.gid = gid,
	};
}

static void put32(uint8_t *to, uint32_t v)
{
	v = htole32(v);
	memcpy(to, &v, sizeof(v));
}

static uint32_t get32(const uint8_t *from)
{
	uint32_t v;

	memcpy(&v, from, sizeof(v));
	return le32toh(v);
}

/* Six fields, little-endian: version, uid, gid, mode, device (64 bits), host mode. */
void owner_encode(const struct owner_record *rec, uint8_t out[OWNER_RECORD_SIZE])
{
	put32(out, RECORD_VERSION);
	put32(out + 4, rec->uid);
	put32(out + 8, rec->gid);
	put32(out + 12, rec->mode);
	put32(out + 16, (uint32_t)rec->rdev);
	put32(out + 20, (uint32_t)(rec->rdev >> 32));
	put32(out + 24, rec->host_mode);
}

int owner_decode(const uint8_t *buf, size_t len, struct owner_record *ret_rec)
{
	if (len != OWNER_RECORD_SIZE || get32(buf) != RECORD_VERSION)
		return -EINVAL;
	*ret_rec = (struct owner_record){
		.uid = get32(buf + 4),
		.gid = get32(buf + 8),
		.mode = get32(buf + 12),
		.rdev = get32(buf + 16) | (uint64_t)get32(buf + 20) << 32,
		.host_mode = get32(buf + 24),
	};
	return 0;
}

static bool is_device(mode_t mode)
{
	return S_ISCHR(mode) || S_ISBLK(mode);
}

static uint32_t default_uid(const struct owner_map *map, uid_t host)
{
	return host == map->host_uid ? map->uid : OWNER_OTHER;
}

static uint32_t default_gid(const struct owner_map *map, gid_t host)
{
	return host == map->host_gid ? map->gid : OWNER_OTHER;
}

void owner_view(const struct owner_map *map, const struct owner_record *rec, struct stat *st)
{
	bool ours = map->pass || st->st_uid == map->host_uid;

	/* Only the host user's own entries: anybody could write a record to his. */
	if (rec && !ours)
		rec = NULL;
	if (rec && is_device(rec->mode) && S_ISREG(st->st_mode) && st->st_size == 0) {
		st->st_mode = (rec->mode & S_IFMT) | (st->st_mode & PERM);
		st->st_rdev = rec->rdev;
	}
	if (map->pass)
		return;
	st->st_uid = default_uid(map, st->st_uid);
	st->st_gid = default_gid(map, st->st_gid);
	if (!rec)
		return;
	if (rec->uid != OWNER_UNSET)
		st->st_uid = rec->uid;
	if (rec->gid != OWNER_UNSET)
		st->st_gid = rec->gid;
	/* Changed on the host since: the host wins. */
	if ((st->st_mode & PERM) == rec->host_mode)
		st->st_mode = (st->st_mode & S_IFMT) | (rec->mode & PERM);
}

mode_t owner_host_mode(const struct owner_map *map, mode_t mode)
{
	if (map->pass)
		return mode & PERM;
	return (mode & 0755) | (S_ISDIR(mode) ? 0700 : 0600);
}

bool owner_record_for(const struct owner_map *map, const struct stat *host, mode_t host_mode,
		      const struct stat *want, struct owner_record *ret_rec)
{
	uint32_t uid = default_uid(map, host->st_uid), gid = default_gid(map, host->st_gid);
	bool device = is_device(want->st_mode) && S_ISREG(host->st_mode);
	mode_t host_perm = host_mode & PERM;

	if (map->pass)
		uid = want->st_uid, gid = want->st_gid, host_perm = want->st_mode & PERM;
	*ret_rec = (struct owner_record){
		.uid = want->st_uid == uid ? OWNER_UNSET : want->st_uid,
		.gid = want->st_gid == gid ? OWNER_UNSET : want->st_gid,
		.mode = want->st_mode,
		.rdev = device ? want->st_rdev : 0,
		.host_mode = host_mode & PERM,
	};
	return device || want->st_uid != uid || want->st_gid != gid ||
	       (want->st_mode & PERM) != host_perm;
}

mode_t owner_kill_priv(mode_t mode)
{
	if (!S_ISREG(mode))
		return mode;
	if (mode & S_IXGRP)
		mode &= ~(mode_t)S_ISGID;
	return mode & ~(mode_t)S_ISUID;
}

/* Open addressing; an entry that was dropped stays as an empty record, to be used again. */
struct owner_slot {
	struct owner_key key;
	struct owner_record rec;
	bool used, dropped;
};

#define MEM_FIRST_SLOTS 64

int owner_mem_init(struct owner_mem *m)
{
	*m = (struct owner_mem){ .slots = NULL };
	return -pthread_mutex_init(&m->lock, NULL);
}

void owner_mem_done(struct owner_mem *m)
{
	free(m->slots);
	m->slots = NULL;
	(void)pthread_mutex_destroy(&m->lock);
}

/* The slot of @key, or the free one where it would be; there is always one. */
static struct owner_slot *mem_slot(struct owner_slot *slots, size_t n_slots,
				   const struct owner_key *key)
{
	uint64_t hash = (key->ino ^ key->dev << 40 ^ key->btime_ns) * 0x9e3779b97f4a7c15ull;
	size_t i = (size_t)(hash >> 32) & (n_slots - 1);

	while (slots[i].used && memcmp(&slots[i].key, key, sizeof(*key)) != 0)
		i = (i + 1) & (n_slots - 1);
	return &slots[i];
}

/* Make the table at most half full, without what was dropped. */
static int mem_reserve(struct owner_mem *m)
{
	size_t n_slots = MEM_FIRST_SLOTS;
	struct owner_slot *slots;

	if (m->n_slots && m->n + 1 <= m->n_slots / 2)
		return 0;
	while (n_slots < 4 * (m->n_live + 1))
		n_slots *= 2;
	slots = calloc(n_slots, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	m->n = 0;
	for (size_t i = 0; i < m->n_slots; i++) {
		if (!m->slots[i].used || m->slots[i].dropped)
			continue;
		*mem_slot(slots, n_slots, &m->slots[i].key) = m->slots[i];
		m->n++;
	}
	free(m->slots);
	m->slots = slots;
	m->n_slots = n_slots;
	return 0;
}

bool owner_mem_get(struct owner_mem *m, const struct owner_key *key, struct owner_record *ret_rec)
{
	const struct owner_slot *slot;
	bool found = false;

	pthread_mutex_lock(&m->lock);
	if (m->n > 0) {
		slot = mem_slot(m->slots, m->n_slots, key);
		found = slot->used && !slot->dropped;
		if (found)
			*ret_rec = slot->rec;
	}
	pthread_mutex_unlock(&m->lock);
	return found;
}

int owner_mem_set(struct owner_mem *m, const struct owner_key *key, const struct owner_record *rec)
{
	struct owner_slot *slot;
	int r = 0;

	pthread_mutex_lock(&m->lock);
	if (rec)
		r = mem_reserve(m);
	if (r == 0 && m->n_slots) {
		bool live;

		slot = mem_slot(m->slots, m->n_slots, key);
		live = slot->used && !slot->dropped;
		if (rec && !live && m->n_live == OWNER_MEM_MAX) {
			r = -ENOSPC;
		} else if (rec) {
			m->n += !slot->used;
			m->n_live += !live;
			*slot = (struct owner_slot){ .key = *key, .rec = *rec, .used = true };
		} else if (live) {
			m->n_live--;
			slot->dropped = true;
		}
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}
