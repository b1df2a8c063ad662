/* SPDX-License-Identifier: Apache-2.0 */
#include <sqlite3.h>

#include "../remove_tree.h"
#include "../tap.h"
#include "state/state.h"

static char dir[64];

static void make_dir(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/msb-state-XXXXXX");
	ASSERT(mkdtemp(dir));
}

static struct state *open_state(void)
{
	struct err err = ERR_INIT;
	struct state *state = NULL;

	if (state_open(dir, &state, &err) < 0)
		TAP_FAIL("%s", err.msg);
	return state;
}

static struct state *fresh(void)
{
	make_dir();
	return open_state();
}

static void drop(struct state *state)
{
	state_close(state);
	remove_tree(AT_FDCWD, dir);
}

#define OK(call)                                                                                   \
	do {                                                                                       \
		if ((call) < 0)                                                                    \
			TAP_FAIL("%s", err.msg);                                                   \
	} while (0)

#define A	 "sha256:aaaaaaaaaaaa1111111111111111111111111111111111111111111111111111"
#define B	 "sha256:aaaaaaaaaaaa2222222222222222222222222222222222222222222222222222"
#define C	 "sha256:cccccccccccc3333333333333333333333333333333333333333333333333333"
#define CONFIG_A "sha256:dddddddddddd4444444444444444444444444444444444444444444444444444"
#define CONFIG_B "sha256:eeeeeeeeeeee5555555555555555555555555555555555555555555555555555"

/* A needs one, two; B needs two, three. */
static const struct state_file files_a[] = {
	{ "manifest", "blobs/sha256/aa", A, 3, 512, 11, 1000 },
	{ "layer", "layers/one.tar", "sha256:one", 100, 512, 12, -5 },
	{ "layer", "layers/two.tar", "sha256:two", 200, 1024, 13, 7 },
};
static const struct state_file files_b[] = {
	{ "layer", "layers/two.tar", "sha256:two", 200, 1024, 13, 7 },
	{ "blob", "blobs/sha256/bb", "sha256:bb", 50, 512, 14, 7 },
	{ "layer", "layers/three.tar", "sha256:three", 300, 4096, 15, 7 },
};

static void put(struct state *state, const char *digest, const char *config, uint64_t at,
		const char *const *names, const struct state_file *files, size_t n)
{
	char when[] = "2024-01-01T00:00:00Z", platform[] = "linux/amd64";
	char d[80], c[80];
	struct state_image image = {
		.manifest_digest = d,
		.config_digest = c,
		.created = when,
		.platform = platform,
		.size = 300,
		.loaded_at = at,
	};
	struct err err = ERR_INIT;

	(void)snprintf(d, sizeof(d), "%s", digest);
	(void)snprintf(c, sizeof(c), "%s", config);
	OK(state_image_put(state, &image, names, files, n, &err));
}

static const char *const names_a[] = { "x/one:1", "x/uno:1", NULL };
static const char *const names_b[] = { "x/two:1", NULL };

static struct state *two_images(void)
{
	struct state *state = fresh();

	put(state, A, CONFIG_A, 20, names_a, files_a, 3);
	put(state, B, CONFIG_B, 10, names_b, files_b, 3);
	return state;
}

static void add_sandbox(struct state *state, const char *id, const char *name, const char *image,
			struct err *err)
{
	char spec[] = "{}", status[] = "stopped";
	char i[32], n[32], d[80];
	struct state_sandbox sb = {
		.id = i, .name = n, .spec = spec, .status = status, .image_digest = image ? d : NULL
	};

	(void)snprintf(i, sizeof(i), "%s", id);
	(void)snprintf(n, sizeof(n), "%s", name);
	(void)snprintf(d, sizeof(d), "%s", image ? image : "");
	IGNORE_RESULT(state_sandbox_add(state, &sb, err)); /* told by *err */
}

/* "a b " of what a list gives. */
static int join_text(void *user, const char *text)
{
	char *out = user;

	(void)snprintf(out + strlen(out), 1000 - strlen(out), "%s ", text);
	return 0;
}

static int join_image(void *user, const struct state_image *image)
{
	char text[200];

	(void)snprintf(text, sizeof(text), "%.8s=%s/%u", image->manifest_digest + 7 + 5,
		       image->reference ? image->reference : "-", image->used_by);
	return join_text(user, text);
}

static int join_file(void *user, const struct state_file *f)
{
	char text[200];

	(void)snprintf(text, sizeof(text), "%s:%s:%s:%d:%d:%d:%d", f->kind, f->name, f->digest,
		       (int)f->size, (int)f->disk, (int)f->inode, (int)f->mtime);
	return join_text(user, text);
}

static int join_layer(void *user, const struct state_layer *l)
{
	char text[200];

	(void)snprintf(text, sizeof(text), "%.1s:%s:%d:%d", l->manifest_digest + 7 + 12, l->digest,
		       (int)l->size, l->shared);
	return join_text(user, text);
}

TEST(an_image_goes_in_and_comes_out)
{
	struct state *state = two_images();
	struct state_image got = { 0 };
	struct err err = ERR_INIT;
	char text[1000] = "";

	OK(state_ref_get(state, "x/uno:1", &got, &err));
	ASSERT_STR(got.manifest_digest, A);
	ASSERT_STR(got.config_digest, CONFIG_A);
	ASSERT_STR(got.platform, "linux/amd64");
	ASSERT_EQ(got.used_at, 0);
	state_image_done(&got);
	OK(state_image_used(state, A, 99, &err));
	OK(state_image_get(state, A, &got, &err));
	ASSERT_STR(got.reference, "x/one:1");
	ASSERT_EQ(got.used_at, 99);
	state_image_done(&got);
	OK(state_image_files(state, A, join_file, text, &err));
	ASSERT_STR(text, "manifest:blobs/sha256/aa:" A ":3:512:11:1000 "
			 "layer:layers/one.tar:sha256:one:100:512:12:-5 "
			 "layer:layers/two.tar:sha256:two:200:1024:13:7 ");
	text[0] = '\0';
	OK(state_image_list(state, join_image, text, &err));
	ASSERT_STR(text, "aaaaaaa1=x/one:1/0 aaaaaaa2=x/two:1/0 aaaaaaa1=x/uno:1/0 ");
	ASSERT_EQ(state_ref_get(state, "x/no:1", &got, &err), -ERR_NOT_FOUND);
	ASSERT_EQ(state_ref_put(state, "b", C, &err), -ERR_NOT_FOUND);
	drop(state);
}

/* The old record goes with its files; the name follows the new image. */
TEST(recording_again_replaces)
{
	static const char *const taken[] = { "x/one:1", NULL };
	struct state *state = two_images();
	struct err err = ERR_INIT;
	char text[1000] = "";

	put(state, B, CONFIG_B, 30, taken, files_b, 1);
	OK(state_image_files(state, B, join_file, text, &err));
	ASSERT_STR(text, "layer:layers/two.tar:sha256:two:200:1024:13:7 ");
	text[0] = '\0';
	OK(state_image_refs(state, B, join_text, text, &err));
	ASSERT_STR(text, "x/one:1 x/two:1 ");
	text[0] = '\0';
	OK(state_file_list(state, join_text, text, &err));
	ASSERT_STR(text, "blobs/sha256/aa layers/one.tar layers/two.tar ");
	drop(state);
}

TEST(digests_may_be_short)
{
	static const struct {
		const char *name, *want;
	} cases[] = {
		{ "sha256:aaaaaaaaaaaa", "aaaaaaa1=x/one:1/0 aaaaaaa2=x/two:1/0 " },
		{ "sha256:aaaaaaaaaaaa2", "aaaaaaa2=x/two:1/0 " },
		{ A, "aaaaaaa1=x/one:1/0 " },
		{ "sha256:dddddddddddd", "aaaaaaa1=x/one:1/0 " },
		{ CONFIG_B, "aaaaaaa2=x/two:1/0 " },
		{ "sha256:aaaaaaaaaaab", "" },
		{ "sha256:ffffffffffff", "" },
	};
	struct state *state = two_images();
	struct err err = ERR_INIT;

	for_cases(c, cases) {
		char text[1000] = "";

		OK(state_image_find(state, c->name, join_image, text, &err));
		ASSERT_STR(text, c->want);
	}
	drop(state);
}

TEST(shared_layers_and_sizes)
{
	struct state *state = two_images();
	struct err err = ERR_INIT;
	char text[1000] = "";
	uint64_t bytes = 0;

	OK(state_layer_list(state, "layer", join_layer, text, &err));
	ASSERT_STR(text, "1:sha256:one:100:0 1:sha256:two:200:1 "
			 "2:sha256:two:200:1 2:sha256:three:300:0 ");
	OK(state_file_total(state, &bytes, &err));
	ASSERT_EQ(bytes, 512 + 512 + 1024 + 512 + 4096);
	text[0] = '\0';
	OK(state_image_having(state, "blob", join_image, text, &err));
	ASSERT_STR(text, "aaaaaaa2=x/two:1/0 ");
	OK(state_image_spare(state, B, "blob", &err));
	text[0] = '\0';
	OK(state_image_having(state, "blob", join_image, text, &err));
	ASSERT_STR(text, "");
	OK(state_file_total(state, &bytes, &err));
	ASSERT_EQ(bytes, 512 + 512 + 1024 + 4096);
	drop(state);
}

TEST(a_sandbox_keeps_its_image)
{
	struct state *state = two_images();
	struct state_sandbox sb = { 0 };
	struct err err = ERR_INIT;
	char text[1000] = "";
	bool gone = true;

	add_sandbox(state, "1", "web", A, &err);
	add_sandbox(state, "2", "db", A, &err);
	add_sandbox(state, "3", "old", NULL, &err);
	ASSERT_EQ(err.code, ERR_NONE);
	add_sandbox(state, "4", "late", C, &err);
	ASSERT_EQ(err.code, ERR_NOT_FOUND);
	OK(state_image_users(state, A, join_text, text, &err));
	ASSERT_STR(text, "db web ");
	text[0] = '\0';
	OK(state_image_unused(state, join_image, text, &err));
	ASSERT_STR(text, "aaaaaaa2=x/two:1/0 ");
	ASSERT_EQ(state_image_remove(state, A, NULL, false, &gone, &err), -ERR_BUSY);
	ASSERT_EQ(err.number, ERR_NR_IMAGE_IN_USE);
	text[0] = '\0';
	OK(state_image_refs(state, A, join_text, text, &err)); /* nothing was changed */
	ASSERT_STR(text, "x/one:1 x/uno:1 ");
	OK(state_image_remove(state, A, "x/one:1", false, &gone, &err)); /* not the last name */
	ASSERT(!gone);
	ASSERT_EQ(state_image_remove(state, A, "x/uno:1", false, &gone, &err), -ERR_BUSY);
	OK(state_image_remove(state, A, NULL, true, &gone, &err));
	ASSERT(!gone);
	text[0] = '\0';
	OK(state_image_list(state, join_image, text, &err));
	ASSERT_STR(text, "aaaaaaa2=x/two:1/0 aaaaaaa1=-/2 ");
	OK(state_sandbox_set_image(state, "3", B, &err));
	OK(state_sandbox_set_image(state, "1", B, &err)); /* it has one */
	OK(state_sandbox_by_id(state, "3", &sb, &err));
	ASSERT_STR(sb.image_digest, B);
	state_sandbox_done(&sb);
	OK(state_sandbox_remove(state, "1", &err));
	OK(state_sandbox_remove(state, "2", &err));
	OK(state_image_remove(state, A, NULL, false, &gone, &err));
	ASSERT(gone);
	OK(state_image_remove(state, A, NULL, false, &gone, &err));
	ASSERT(!gone);
	drop(state);
}

TEST(files_go_when_nobody_needs_them)
{
	struct state *state = two_images();
	struct err err = ERR_INIT;
	char text[1000] = "";
	bool gone = false, needed = false;

	OK(state_file_forget(state, "layers/one.tar", &needed, &err));
	ASSERT(needed);
	OK(state_image_remove(state, A, NULL, false, &gone, &err));
	ASSERT(gone);
	OK(state_file_forget(state, "layers/one.tar", &needed, &err));
	ASSERT(!needed);
	OK(state_file_forget(state, "layers/two.tar", &needed, &err));
	ASSERT(needed);
	OK(state_file_forget(state, "layers/never.tar", &needed, &err));
	ASSERT(!needed);
	OK(state_file_list(state, join_text, text, &err));
	ASSERT_STR(text, "blobs/sha256/bb layers/three.tar layers/two.tar ");
	drop(state);
}

TEST(the_least_recently_used_comes_first)
{
	struct state *state = two_images();
	struct err err = ERR_INIT;
	char text[1000] = "";

	OK(state_image_unused(state, join_image, text, &err));
	ASSERT_STR(text, "aaaaaaa2=x/two:1/0 aaaaaaa1=x/one:1/0 ");
	OK(state_image_used(state, B, 21, &err));
	text[0] = '\0';
	OK(state_image_unused(state, join_image, text, &err));
	ASSERT_STR(text, "aaaaaaa1=x/one:1/0 aaaaaaa2=x/two:1/0 ");
	drop(state);
}

/* A home of the first version: nothing is lost, and what its images need is not known. */
TEST(the_first_version_is_brought_up_to_date)
{
	static const char old[] =
		"CREATE TABLE images (manifest_digest TEXT PRIMARY KEY, config_digest TEXT NOT NULL,"
		" created TEXT, size INTEGER NOT NULL, loaded_at INTEGER NOT NULL) STRICT;"
		"CREATE TABLE refs (reference TEXT PRIMARY KEY, manifest_digest TEXT NOT NULL"
		" REFERENCES images (manifest_digest)) STRICT;"
		"CREATE TABLE sandboxes (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
		" spec TEXT NOT NULL, status TEXT NOT NULL, reason TEXT,"
		" ephemeral INTEGER NOT NULL, flushed INTEGER NOT NULL, exit_code INTEGER NOT NULL,"
		" exit_signal INTEGER NOT NULL, created_at INTEGER NOT NULL,"
		" started_at INTEGER NOT NULL, ended_at INTEGER NOT NULL) STRICT;"
		"INSERT INTO images VALUES ('" A "', '" CONFIG_A "', NULL, 5, 6);"
		"INSERT INTO refs VALUES ('x/one:1', '" A "');"
		"INSERT INTO sandboxes VALUES ('1', 'web', '{}', 'stopped', NULL, 0, 1, -1, 0, 1, 2, 3);"
		"PRAGMA user_version = 1;";
	struct state_sandbox sb = { 0 };
	struct err err = ERR_INIT;
	struct state *state;
	char path[96], text[1000] = "";
	sqlite3 *db = NULL;

	make_dir();
	(void)snprintf(path, sizeof(path), "%s/db", dir);
	ASSERT_EQ(sqlite3_open(path, &db), SQLITE_OK);
	ASSERT_EQ(sqlite3_exec(db, old, NULL, NULL, NULL), SQLITE_OK);
	ASSERT_EQ(sqlite3_close(db), SQLITE_OK);
	state = open_state();
	OK(state_image_unknown(state, join_image, text, &err));
	ASSERT_STR(text, "aaaaaaa1=-/0 ");
	OK(state_sandbox_by_id(state, "1", &sb, &err));
	ASSERT(sb.image_digest == NULL);
	state_sandbox_done(&sb);
	put(state, A, CONFIG_A, 7, NULL, files_a, 3);
	text[0] = '\0';
	OK(state_image_unknown(state, join_image, text, &err));
	ASSERT_STR(text, "");
	state_close(state);
	state = open_state(); /* it is up to date now */
	text[0] = '\0';
	OK(state_image_list(state, join_image, text, &err));
	ASSERT_STR(text, "aaaaaaa1=x/one:1/0 ");
	drop(state);
}

TAP_MAIN()
