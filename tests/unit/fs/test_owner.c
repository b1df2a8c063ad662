/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <sys/sysmacros.h>

#include "fs/owner.h"

#define ME 1234
static const struct owner_map map = { .host_uid = ME, .host_gid = ME, .uid = 1000, .gid = 100 };
#define U OWNER_UNSET

TEST(what_the_guest_sees)
{
	static const struct {
		const char *name;
		mode_t host;
		uint32_t host_uid, host_gid;
		struct owner_record rec;
		bool has_rec;
		mode_t mode;
		uint32_t uid, gid;
	} cases[] = {
		{ "ours", S_IFREG | 0644, ME, ME, { 0 }, false, S_IFREG | 0644, 1000, 100 },
		{ "other user",
		  S_IFREG | 0600,
		  7,
		  ME,
		  { 0 },
		  false,
		  S_IFREG | 0600,
		  OWNER_OTHER,
		  100 },
		{ "root's",
		  S_IFDIR | 0755,
		  0,
		  0,
		  { 0 },
		  false,
		  S_IFDIR | 0755,
		  OWNER_OTHER,
		  OWNER_OTHER },
		{ "recorded owner",
		  S_IFREG | 0644,
		  ME,
		  ME,
		  { 5, 6, S_IFREG | 0644, 0, 0644 },
		  true,
		  S_IFREG | 0644,
		  5,
		  6 },
		{ "owner only",
		  S_IFREG | 0644,
		  ME,
		  ME,
		  { 5, U, S_IFREG | 0644, 0, 0644 },
		  true,
		  S_IFREG | 0644,
		  5,
		  100 },
		{ "recorded mode",
		  S_IFREG | 0644,
		  ME,
		  ME,
		  { U, U, S_IFREG | 06664, 0, 0644 },
		  true,
		  S_IFREG | 06664,
		  1000,
		  100 },
		{ "host mode wins",
		  S_IFREG | 0600,
		  ME,
		  ME,
		  { 5, U, S_IFREG | 06664, 0, 0644 },
		  true,
		  S_IFREG | 0600,
		  5,
		  100 },
		{ "record of another's file",
		  S_IFREG | 0644,
		  7,
		  7,
		  { 0, 0, S_IFREG | 04755, 0, 0644 },
		  true,
		  S_IFREG | 0644,
		  OWNER_OTHER,
		  OWNER_OTHER },
		{ "device",
		  S_IFREG | 0644,
		  ME,
		  ME,
		  { U, U, S_IFCHR | 0666, 0x103, 0644 },
		  true,
		  S_IFCHR | 0666,
		  1000,
		  100 },
		{ "type of a link stays",
		  S_IFLNK | 0777,
		  ME,
		  ME,
		  { 0, 0, S_IFCHR | 0777, 1, 0777 },
		  true,
		  S_IFLNK | 0777,
		  0,
		  0 },
	};

	for_cases(c, cases) {
		struct stat st = { .st_mode = c->host,
				   .st_uid = c->host_uid,
				   .st_gid = c->host_gid };

		owner_view(&map, c->has_rec ? &c->rec : NULL, &st);
		ASSERT_EQ(st.st_mode, c->mode);
		ASSERT_EQ(st.st_uid, c->uid);
		ASSERT_EQ(st.st_gid, c->gid);
	}
}

TEST(what_is_kept_shows_what_was_asked_for)
{
	static const struct {
		const char *name;
		mode_t mode, host_mode;
		uint32_t uid, gid;
		bool record;
	} cases[] = {
		{ "plain file", S_IFREG | 0644, 0644, 1000, 100, false },
		{ "program", S_IFREG | 0755, 0755, 1000, 100, false },
		{ "private", S_IFREG | 0600, 0600, 1000, 100, false },
		{ "group writes", S_IFREG | 0664, 0644, 1000, 100, true },
		{ "no write", S_IFREG | 0444, 0644, 1000, 100, true },
		{ "nothing", S_IFREG, 0600, 1000, 100, true },
		{ "set-uid", S_IFREG | 04755, 0755, 1000, 100, true },
		{ "sticky folder", S_IFDIR | 01777, 0755, 1000, 100, true },
		{ "closed folder", S_IFDIR | 0500, 0700, 1000, 100, true },
		{ "root's file", S_IFREG | 0644, 0644, 0, 0, true },
		{ "other group", S_IFREG | 0644, 0644, 1000, 5, true },
		{ "to nobody", S_IFREG | 0644, 0644, OWNER_OTHER, OWNER_OTHER, true },
	};

	for_cases(c, cases) {
		struct stat host = { .st_mode = c->mode & S_IFMT, .st_uid = ME, .st_gid = ME },
			    seen;
		struct stat want = { .st_mode = c->mode, .st_uid = c->uid, .st_gid = c->gid };
		uint8_t raw[OWNER_RECORD_SIZE];
		struct owner_record rec, back;

		ASSERT_EQ(owner_host_mode(&map, c->mode), c->host_mode);
		host.st_mode |= c->host_mode;
		ASSERT_EQ(owner_record_for(&map, &host, c->host_mode, &want, &rec), c->record);
		owner_encode(&rec, raw);
		ASSERT_EQ(owner_decode(raw, sizeof(raw), &back), 0);
		seen = host;
		owner_view(&map, c->record ? &back : NULL, &seen);
		ASSERT_EQ(seen.st_mode, c->mode);
		ASSERT_EQ(seen.st_uid, c->uid);
		ASSERT_EQ(seen.st_gid, c->gid);
	}
}

TEST(a_root_file_system_passes_through)
{
	struct owner_map pass = owner_map_for(0, 0, 0, 0);
	struct owner_record rec = { 9, 9, S_IFREG | 04755, 0, 0644 };
	struct stat st = { .st_mode = S_IFREG | 0644, .st_uid = 33, .st_gid = 7 };

	ASSERT(pass.pass);
	ASSERT(!owner_map_for(0, 0, 1000, 100).pass);
	ASSERT(!owner_map_for(ME, ME, 0, 0).pass);
	owner_view(&pass, &rec, &st);
	ASSERT_EQ(st.st_uid, 33);
	ASSERT_EQ(st.st_mode, S_IFREG | 0644);
	ASSERT_EQ(owner_host_mode(&pass, S_IFREG | 06777), 06777);
	ASSERT(!owner_record_for(&pass, &st, 0644, &st, &rec));
}

TEST(bad_records)
{
	uint8_t raw[OWNER_RECORD_SIZE];
	struct owner_record rec = { .uid = 1 };

	owner_encode(&rec, raw);
	ASSERT_EQ(owner_decode(raw, sizeof(raw) - 1, &rec), -EINVAL);
	raw[0]++;
	ASSERT_EQ(owner_decode(raw, sizeof(raw), &rec), -EINVAL);
}

TEST(set_id_bits_that_a_write_takes)
{
	ASSERT_EQ(owner_kill_priv(S_IFREG | 06755), S_IFREG | 0755);
	ASSERT_EQ(owner_kill_priv(S_IFREG | 02745), S_IFREG | 02745);
	ASSERT_EQ(owner_kill_priv(S_IFDIR | 02755), S_IFDIR | 02755);
}

TEST(records_in_memory)
{
	struct owner_record rec = { .gid = 1 };
	struct owner_mem m;
	int r = 0;

	ASSERT_EQ(owner_mem_init(&m), 0);
	ASSERT(!owner_mem_get(&m, &(struct owner_key){ 1, 1, 1 }, &rec));
	for (uint64_t i = 0; i < OWNER_MEM_MAX; i++) {
		rec.uid = (uint32_t)i;
		ASSERT_EQ(owner_mem_set(&m, &(struct owner_key){ 1, i, 1 }, &rec), 0);
	}
	ASSERT(owner_mem_get(&m, &(struct owner_key){ 1, 4321, 1 }, &rec));
	ASSERT_EQ(rec.uid, 4321);
	ASSERT(!owner_mem_get(&m, &(struct owner_key){ 2, 4321, 1 }, &rec));
	/* Full: an old record changes, a new one needs the room of another. */
	ASSERT_EQ(owner_mem_set(&m, &(struct owner_key){ 1, 0, 1 }, &rec), 0);
	ASSERT_EQ(owner_mem_set(&m, &(struct owner_key){ 3, 1, 1 }, &rec), -ENOSPC);
	ASSERT_EQ(owner_mem_set(&m, &(struct owner_key){ 1, 4321, 1 }, NULL), 0);
	ASSERT(!owner_mem_get(&m, &(struct owner_key){ 1, 4321, 1 }, &rec));
	for (uint64_t i = 0; r == 0 && i < 2 * OWNER_MEM_MAX; i++) {
		r = owner_mem_set(&m, &(struct owner_key){ 3, i, 1 }, &rec);
		if (r == 0)
			r = owner_mem_set(&m, &(struct owner_key){ 3, i, 1 }, NULL);
	}
	ASSERT_EQ(r, 0);
	ASSERT_EQ(owner_mem_set(&m, &(struct owner_key){ 3, 1, 1 }, &rec), 0);
	ASSERT_EQ(owner_mem_set(&m, &(struct owner_key){ 3, 2, 1 }, &rec), -ENOSPC);
	owner_mem_done(&m);
}

TAP_MAIN()
