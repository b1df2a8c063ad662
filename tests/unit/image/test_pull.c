/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/num.h"
#include "fake_registry.h"
#include "image/docs.h"
#include "image/pull.h"
#include "image/store.h"
#include "make_archive.h"
#include "remove_tree.h"

#define OCI    "application/vnd.oci.image."
#define DOCKER "application/vnd.docker."
#define REF    "registry.example/some/box:1"

#if defined(__x86_64__)
#define ARCH "amd64"
#else
#define ARCH "arm64"
#endif

struct fixture {
	char dir[32];
	int home;
	struct store *store;
	struct store_run *run;
	struct cancel *cancel;
	struct registry_options how;
	struct pull_options options;
	struct loaded_image got;
	struct err err;
	/* events */
	char events[4000]; /* names, each with a space behind; progress once for each layer */
	uint64_t total;
	char digest[DIGEST_TEXT_MAX];
	enum pull_event_type on; /* when this one comes, do @act */
	void (*act)(struct fixture *f);
	struct store_run *other;
	struct sha *object;
};

static void on_event(void *user, const struct pull_event *e)
{
	struct fixture *f = user;
	const char *name = pull_event_name(e->type);
	size_t len = strlen(f->events);

	ASSERT_STR(e->reference, REF);
	if (e->type == PULL_RESOLVED) {
		f->total = e->total;
		(void)snprintf(f->digest, sizeof(f->digest), "%s", e->digest);
	}
	if (e->type != PULL_LAYER_DOWNLOAD_PROGRESS || !strstr(f->events, name))
		(void)snprintf(f->events + len, sizeof(f->events) - len, "%s ", name);
	if (f->act && e->type == f->on)
		f->act(f);
}

static void set_up(struct fixture *f, const struct image_limits *limits)
{
	*f = (struct fixture){ .dir = "/tmp/test_pull_XXXXXX", .err = ERR_INIT };
	ASSERT(mkdtemp(f->dir) != NULL);
	f->home = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT(f->home >= 0);
	ASSERT_EQ(store_open(f->home, limits, &f->store, &f->err), 0);
	ASSERT_EQ(cancel_new(&f->cancel), 0);
	ASSERT_EQ(store_run_open(f->store, f->cancel, &f->run, &f->err), 0);
	f->how.cancel = f->cancel;
	f->options = (struct pull_options){
		.registry = &f->how, .on_event = on_event, .user = f, .cancel = f->cancel
	};
}

static void drop_result(struct fixture *f)
{
	struct load_result r = { .images = malloc(sizeof(f->got)), .n_images = 1 };

	ASSERT(r.images != NULL);
	*r.images = f->got;
	load_result_done(&r);
	f->got = (struct loaded_image){ 0 };
	f->events[0] = '\0';
}

static void tear_down(struct fixture *f)
{
	if (f->got.manifest_digest)
		drop_result(f);
	store_run_close(f->run);
	store_close(f->store);
	cancel_free(f->cancel);
	remove_tree(AT_FDCWD, f->dir);
	(void)close(f->home);
	fake_clear();
}

static int pull(struct fixture *f)
{
	f->err = ERR_INIT;
	return image_pull(f->run, REF, &f->options, &f->got, &f->err);
}

static unsigned count_files(struct fixture *f, const char *folder)
{
	char path[100];
	unsigned n = 0;
	struct dirent *e;
	DIR *d;

	(void)snprintf(path, sizeof(path), "%s/images/%s", f->dir, folder);
	d = opendir(path);
	ASSERT(d != NULL);
	while ((e = readdir(d)) != NULL)
		n += e->d_type == DT_REG;
	(void)closedir(d);
	return n;
}

/* ---- an image ---------------------------------------------------------------------------- */

#define LAYERS_MAX 6

/* Layers of an image; raw is what the registry has, plain its unpacked form. */
struct box {
	struct buf plain[LAYERS_MAX], raw[LAYERS_MAX];
	size_t n;
	char config_hex[65], manifest_hex[65];
};

static void add_layer(struct box *b, const char *name, size_t size, bool packed)
{
	struct buf *plain = &b->plain[b->n], *raw = &b->raw[b->n];

	buf_init(plain, 100 << 20);
	buf_init(raw, 100 << 20);
	add_big(plain, name, size);
	finish(plain);
	if (packed)
		gzip(plain, raw);
	else
		ASSERT_EQ(buf_add(raw, plain->data, plain->len), 0);
	b->n++;
}

/* Where the text of a document is bent. */
struct twist {
	const char *arch;	 /* of the config; NULL: ours */
	const char *config_type; /* NULL: the usual one */
	bool no_size;		 /* of the layers */
	bool short_config;	 /* without the last diff_id */
	bool other_diff_id;
};

static void put_config(struct box *b, const struct twist *t)
{
	struct buf doc;
	char hex[65];
	int r;

	buf_init(&doc, 1 << 16);
	r = buf_addf(&doc,
		     "{\"os\":\"linux\",\"architecture\":\"%s\",\"created\":"
		     "\"2026-01-02T03:04:05Z\",\"rootfs\":{\"diff_ids\":[",
		     t->arch ? t->arch : ARCH);
	for (size_t i = 0; r == 0 && i + t->short_config < b->n; i++) {
		hex_of(&b->plain[i], hex);
		if (t->other_diff_id)
			hex[0] = hex[0] == '0' ? '1' : '0';
		r = buf_addf(&doc, "%s\"sha256:%s\"", i ? "," : "", hex);
	}
	ASSERT(r == 0 && buf_addf(&doc, "]}}") == 0);
	hex_of(&doc, b->config_hex);
	(void)fake_add(NULL, "", doc.data, doc.len);
	buf_done(&doc);
}

static void put_manifest(struct box *b, const struct twist *t, const char *tag)
{
	struct buf doc;
	char hex[65];
	int r;

	put_config(b, t);
	buf_init(&doc, 1 << 16);
	r = buf_addf(&doc,
		     "{ \"schemaVersion\":2,\"config\":{\"mediaType\":\"%s\",\"digest\":"
		     "\"sha256:%s\",\"size\":%zu},\"layers\":[",
		     t->config_type ? t->config_type : OCI "config.v1+json", b->config_hex,
		     fake.items[fake.n - 1].data.len);
	for (size_t i = 0; r == 0 && i < b->n; i++) {
		hex_of(&b->raw[i], hex);
		r = buf_addf(&doc, "%s{\"digest\":\"sha256:%s\"", i ? "," : "", hex);
		if (r == 0 && !t->no_size)
			r = buf_addf(&doc, ",\"size\":%zu", b->raw[i].len);
		if (r == 0)
			r = buf_addf(&doc, "}");
	}
	ASSERT(r == 0 && buf_addf(&doc, "]}") == 0);
	hex_of(&doc, b->manifest_hex);
	(void)fake_add(tag, OCI "manifest.v1+json", doc.data, doc.len);
	if (tag)
		(void)fake_add(NULL, OCI "manifest.v1+json", doc.data, doc.len);
	for (size_t i = 0; i < b->n; i++)
		(void)fake_add(NULL, "", b->raw[i].data, b->raw[i].len);
	buf_done(&doc);
}

static void free_box(struct box *b)
{
	for (size_t i = 0; i < b->n; i++) {
		buf_done(&b->plain[i]);
		buf_done(&b->raw[i]);
	}
	*b = (struct box){ 0 };
}

static void put_index(const char *tag, const char *entries, char hex[65])
{
	struct buf doc;

	buf_init(&doc, 1 << 16);
	ASSERT_EQ(buf_addf(&doc, "{\"schemaVersion\":2,\"manifests\":[%s]}", entries), 0);
	hex_of(&doc, hex);
	(void)fake_add(tag, OCI "index.v1+json", doc.data, doc.len);
	buf_done(&doc);
}

#define ENTRY(kind, hex, more)                                                                     \
	"{\"mediaType\":\"" OCI kind ".v1+json\",\"digest\":\"sha256:" hex "\"" more "}"
#define FOR(arch) ",\"platform\":{\"os\":\"linux\",\"architecture\":\"" arch "\"}"
#define NOBODY	  "0000000000000000000000000000000000000000000000000000000000000000"

/* A box behind two indexes, with entries for others around. */
static void put_nested(struct box *b)
{
	const struct twist straight = { 0 };
	char text[2000], inner[65], outer[65];

	put_manifest(b, &straight, NULL);
	(void)snprintf(
		text, sizeof(text),
		ENTRY("manifest", NOBODY, FOR("s390x")) "," ENTRY("manifest", "%s", FOR(ARCH)),
		b->manifest_hex);
	put_index(NULL, text, inner);
	(void)snprintf(text, sizeof(text),
		       ENTRY("manifest", NOBODY, FOR("unknown")) "," ENTRY("index", "%s", ""),
		       inner);
	put_index("1", text, outer);
}

static struct fake_item *layer_item(const struct box *b, size_t i)
{
	char hex[65], name[80];

	hex_of(&b->raw[i], hex);
	(void)snprintf(name, sizeof(name), "sha256:%s", hex);
	return fake_get(name);
}

/* ---- what works ---------------------------------------------------------------------------- */

TEST(an_image_behind_indexes_and_again)
{
	struct fixture f;
	struct box b = { 0 };
	struct image *img = NULL;
	char path[200];

	set_up(&f, NULL);
	add_layer(&b, "a", 5000, true);
	add_layer(&b, "b", 3 << 20, false);
	add_layer(&b, "c", 6 << 20, true);
	put_nested(&b);
	ASSERT_EQ(pull(&f), 0);
	ASSERT_STR(fake.host, "registry.example");
	ASSERT_STR(fake.repository, "some/box");
	ASSERT(strncmp(f.events, "resolving resolved layer_download_progress ", 42) == 0);
	ASSERT(strstr(f.events, " stitch_writing stitch_complete complete ") != NULL);
	ASSERT_EQ(f.total, b.raw[0].len + b.raw[1].len + b.raw[2].len);
	ASSERT_STR(f.got.manifest_digest + 7, b.manifest_hex);
	ASSERT_STR(f.got.manifest_digest, f.digest);
	ASSERT_STR(f.got.config_digest + 7, b.config_hex);
	ASSERT_STR(f.got.created, "2026-01-02T03:04:05Z");
	ASSERT_STR(f.got.names[0], REF);
	ASSERT(f.got.documents[0] && f.got.documents[1] && !f.got.documents[2]);
	ASSERT_EQ(f.got.size, b.plain[0].len + b.plain[1].len + b.plain[2].len);
	/* Raw documents: two indexes, manifest, config. */
	ASSERT_EQ(count_files(&f, "blobs/sha256"), 4);
	(void)snprintf(path, sizeof(path), "%s/images/blobs/sha256/%s", f.dir, b.manifest_hex);
	ASSERT_EQ(access(path, R_OK), 0);
	ASSERT_EQ(image_open(f.run, f.got.manifest_digest, NULL, &img, &f.err), 0);
	ASSERT_EQ(img->n_extents, 4);
	ASSERT_EQ(img->extents[2].len, b.plain[1].len);
	image_free(img);

	/* Again: the manifest only. */
	drop_result(&f);
	ASSERT_EQ(pull(&f), 0);
	ASSERT_STR(f.events, "resolving resolved complete ");
	ASSERT_EQ(f.total, 0);
	for (size_t i = 0; i < b.n; i++)
		ASSERT_EQ(layer_item(&b, i)->n_asked, 1);
	ASSERT_EQ(fake_get("1")->n_asked, 2);

	/* By force: all layers. */
	drop_result(&f);
	f.options.force = true;
	ASSERT_EQ(pull(&f), 0);
	for (size_t i = 0; i < b.n; i++)
		ASSERT_EQ(layer_item(&b, i)->n_asked, 2);
	free_box(&b);
	tear_down(&f);
}

TEST(a_layer_that_is_listed_twice)
{
	struct fixture f;
	struct box b = { 0 };
	const struct twist straight = { 0 };

	set_up(&f, NULL);
	add_layer(&b, "same", 9000, true);
	add_layer(&b, "same", 9000, true);
	put_manifest(&b, &straight, "1");
	ASSERT_EQ(pull(&f), 0);
	ASSERT_EQ(layer_item(&b, 0)->n_asked, 1);
	ASSERT_EQ(f.got.size, b.plain[0].len);
	free_box(&b);
	tear_down(&f);
}

TEST(compressed_layers_are_kept_if_asked)
{
	struct fixture f;
	struct box b = { 0 };
	char path[200], hex[65];

	set_up(&f, NULL);
	add_layer(&b, "a", 30000, true);
	add_layer(&b, "b", 30000, false);
	put_nested(&b);
	ASSERT_EQ(pull(&f), 0);
	ASSERT_EQ(count_files(&f, "blobs/sha256"), 4);
	/* Again, and keep them: what was there is fetched for that. */
	drop_result(&f);
	f.options.keep_blobs = true;
	ASSERT_EQ(pull(&f), 0);
	ASSERT_EQ(count_files(&f, "blobs/sha256"), 5);
	ASSERT_EQ(count_files(&f, "partial"), 0);
	hex_of(&b.raw[0], hex);
	(void)snprintf(path, sizeof(path), "%s/images/blobs/sha256/%s", f.dir, hex);
	ASSERT_EQ(access(path, R_OK), 0);
	ASSERT_EQ(layer_item(&b, 0)->n_asked, 2);
	ASSERT_EQ(layer_item(&b, 1)->n_asked, 1);
	drop_result(&f);
	ASSERT_EQ(pull(&f), 0);
	ASSERT_EQ(layer_item(&b, 0)->n_asked, 2);
	free_box(&b);
	tear_down(&f);
}

/* ---- what is refused ----------------------------------------------------------------------- */

static void no_archive(struct box *b)
{
	memset(b->raw[0].data, 'x', b->raw[0].len);
	memset(b->plain[0].data, 'x', b->plain[0].len);
}

static void cut_gzip(struct box *b)
{
	b->raw[0].len -= 20;
}

static void no_manifest(struct box *b)
{
	buf_clear(&fake_get("1")->data);
	ASSERT_EQ(buf_addf(&fake_get("1")->data, "[]"), 0);
}

static void schema_1(struct box *b)
{
	buf_clear(&fake_get("1")->data);
	ASSERT_EQ(buf_addf(&fake_get("1")->data, "{\"schemaVersion\":1}"), 0);
}

static void both_at_once(struct box *b)
{
	buf_clear(&fake_get("1")->data);
	ASSERT_EQ(buf_addf(&fake_get("1")->data, "{\"layers\":[],\"manifests\":[]}"), 0);
}

static void wrong_config(struct box *b)
{
	fake.items[0].data.data[0] ^= 1;
}

static void wrong_layer(struct box *b)
{
	layer_item(b, 0)->data.data[700] ^= 1;
}

static void only_for_others(struct box *b)
{
	char hex[65];

	fake_get("1")->name[0] = 'x';
	put_index("1",
		  ENTRY("manifest", NOBODY, FOR("s390x")) "," ENTRY("manifest", NOBODY,
								    FOR("ppc64le")),
		  hex);
}

static void index_of_itself(struct box *b)
{
	char inner[65] = NOBODY, text[300];

	fake_get("1")->name[0] = 'x';
	for (unsigned i = 0; i < 5; i++) {
		(void)snprintf(text, sizeof(text), ENTRY("index", "%s", ""), inner);
		put_index(i < 4 ? NULL : "1", text, inner);
	}
}

static void nothing(struct box *b)
{
	fake_get("1")->name[0] = 'x';
}

TEST(refused_and_nothing_is_left)
{
	static const struct {
		const char *name, *reason, *stage, *message;
		struct twist twist;
		void (*before)(struct box *b), (*after)(struct box *b);
	} cases[] = {
		{ "no archive", "layer-invalid", "convert", "checksum", { 0 }, no_archive, NULL },
		{ "gzip that ends",
		  "layer-invalid",
		  "convert",
		  "too early",
		  { 0 },
		  cut_gzip,
		  NULL },
		{ "wrong layer",
		  "digest-mismatch",
		  "verify",
		  "registry.example",
		  { 0 },
		  NULL,
		  wrong_layer },
		{ "wrong config",
		  "digest-mismatch",
		  "verify",
		  "expected sha256",
		  { 0 },
		  NULL,
		  wrong_config },
		{ "wrong diff_id",
		  "digest-mismatch",
		  "verify",
		  "unpacked",
		  { .other_diff_id = true },
		  NULL,
		  NULL },
		{ "another config",
		  "platform-unavailable",
		  "resolve",
		  "linux/mips",
		  { .arch = "mips" },
		  NULL,
		  NULL },
		{ "for others",
		  "platform-unavailable",
		  "resolve",
		  "linux/s390x, linux/ppc64le",
		  { 0 },
		  NULL,
		  only_for_others },
		{ "helm",
		  "media-type-unsupported",
		  "manifest",
		  "Helm",
		  { .config_type = "application/vnd.cncf.helm.config.v1+json" },
		  NULL,
		  NULL },
		{ "schema 1",
		  "media-type-unsupported",
		  "manifest",
		  "schema 1",
		  { 0 },
		  NULL,
		  schema_1 },
		{ "no object", "", "manifest", "manifest", { 0 }, NULL, no_manifest },
		{ "both at once", "", "manifest", "at once", { 0 }, NULL, both_at_once },
		{ "no size",
		  "",
		  "resolve",
		  "manifest.layers[0].size",
		  { .no_size = true },
		  NULL,
		  NULL },
		{ "short config",
		  "",
		  "resolve",
		  "its config says 0",
		  { .short_config = true },
		  NULL,
		  NULL },
		{ "deep indexes",
		  "limit-exceeded",
		  "manifest",
		  "inside each other",
		  { 0 },
		  NULL,
		  index_of_itself },
		{ "not there", "image-not-found", "manifest", "", { 0 }, NULL, nothing },
	};

	for_cases(c, cases) {
		struct fixture f;
		struct box b = { 0 };

		set_up(&f, NULL);
		add_layer(&b, "file", 30000, strstr(c->name, "gzip") != NULL);
		if (c->before)
			c->before(&b);
		put_manifest(&b, &c->twist, "1");
		if (c->after)
			c->after(&b);
		ASSERT(pull(&f) < 0);
		printf("# %s: %s\n", f.err.stage, f.err.msg);
		ASSERT_STR(f.err.reason, c->reason);
		ASSERT_STR(f.err.stage, c->stage);
		ASSERT(strstr(f.err.msg, c->message) != NULL);
		ASSERT(f.got.manifest_digest == NULL);
		ASSERT_EQ(count_files(&f, "layers"), 0);
		ASSERT_EQ(count_files(&f, "blobs/sha256"), 0);
		ASSERT_EQ(count_files(&f, "tmp"), 0);
		free_box(&b);
		tear_down(&f);
	}
}

TEST(limits)
{
	static const struct {
		const char *name, *subject;
		size_t offset; /* of the limit */
		uint64_t value;
	} cases[] = {
		{ "manifest", "images.limits.manifest_bytes",
		  offsetof(struct image_limits, manifest_bytes), 100 },
		{ "config", "images.limits.config_bytes",
		  offsetof(struct image_limits, config_bytes), 100 },
		{ "layers", "images.limits.layers", offsetof(struct image_limits, layers), 1 },
		{ "layer", "images.limits.layer_bytes", offsetof(struct image_limits, layer_bytes),
		  10000 },
		{ "file", "images.limits.file_bytes", offsetof(struct image_limits, file_bytes),
		  10000 },
	};

	for_cases(c, cases) {
		struct image_limits limits = image_limits_default;
		const struct twist straight = { 0 };
		struct fixture f;
		struct box b = { 0 };

		memcpy((char *)&limits + c->offset, &c->value, sizeof(c->value));
		set_up(&f, &limits);
		add_layer(&b, "a", 20000, true);
		add_layer(&b, "b", 20000, true);
		put_manifest(&b, &straight, "1");
		ASSERT(pull(&f) < 0);
		printf("# %s: %s\n", f.err.stage, f.err.msg);
		ASSERT_STR(f.err.reason, "limit-exceeded");
		ASSERT_STR(f.err.subject, c->subject);
		ASSERT_EQ(f.err.number, ERR_NR_IMAGE);
		free_box(&b);
		tear_down(&f);
	}
}

TEST(a_layer_that_has_no_room)
{
	static const char config[] = "{\"os\":\"linux\",\"architecture\":\"" ARCH
				     "\",\"rootfs\":{\"diff_ids\":[\"sha256:" NOBODY "\"]}}";
	struct fake_item *item;
	struct fixture f;
	char doc[600];

	/* Three times 2 TiB are more than what is free here. */
	set_up(&f, &image_limits_max);
	item = fake_add(NULL, "", config, strlen(config));
	(void)snprintf(doc, sizeof(doc),
		       "{\"config\":{\"digest\":\"%s\",\"size\":%zu},\"layers\":[{"
		       "\"digest\":\"sha256:" NOBODY "\",\"size\":2199023255552}]}",
		       item->name, strlen(config));
	(void)fake_add("1", "", doc, strlen(doc));
	ASSERT(pull(&f) < 0);
	printf("# %s\n", f.err.msg);
	ASSERT_STR(f.err.reason, "disk-full");
	ASSERT_STR(f.err.stage, "store");
	ASSERT_EQ(f.err.number, ERR_NR_NO_SPACE);
	tear_down(&f);
}

/* ---- mirrors, breaks, others ---------------------------------------------------------------- */

TEST(a_mirror_that_lies)
{
	struct fixture f;
	struct box b = { 0 };

	set_up(&f, NULL);
	add_layer(&b, "a", 20000, false);
	add_layer(&b, "b", 20000, true);
	put_nested(&b);
	for (size_t i = 0; i < fake.n; i++)
		fake.items[i].mirror_lies = strcmp(fake.items[i].name, "1") != 0;
	ASSERT_EQ(pull(&f), 0);
	ASSERT_STR(f.got.manifest_digest + 7, b.manifest_hex);
	free_box(&b);
	tear_down(&f);
}

#define BIG (70u << 20) /* above what is kept in partial/ */

TEST(a_large_layer_goes_on_where_it_broke)
{
	struct fixture f;
	struct box b = { 0 };
	const struct twist straight = { 0 };
	struct fake_item *item;

	set_up(&f, NULL);
	add_layer(&b, "big", BIG, false);
	put_manifest(&b, &straight, "1");
	item = layer_item(&b, 0);
	item->cut = 40 << 20;
	ASSERT(pull(&f) < 0);
	ASSERT_STR(f.err.reason, "registry-unreachable");
	ASSERT_STR(f.err.stage, "download");
	ASSERT(strstr(f.events, "layer_retry") != NULL);
	ASSERT_EQ(count_files(&f, "partial"), 1);
	ASSERT_EQ(count_files(&f, "tmp"), 0);
	ASSERT_EQ(pull(&f), 0);
	ASSERT_EQ(item->from, 40 << 20);
	ASSERT_EQ(item->sent, b.raw[0].len);
	ASSERT_EQ(count_files(&f, "partial"), 0);
	free_box(&b);
	tear_down(&f);
}

TEST(a_damaged_partial_download_is_thrown_away)
{
	struct fixture f;
	struct box b = { 0 };
	const struct twist straight = { 0 };
	struct fake_item *item;
	char path[200], hex[65];
	AUTO_CLOSE int fd = -1;

	set_up(&f, NULL);
	add_layer(&b, "big", BIG, false);
	put_manifest(&b, &straight, "1");
	item = layer_item(&b, 0);
	hex_of(&b.raw[0], hex);
	(void)snprintf(path, sizeof(path), "%s/images/partial/%s", f.dir, hex);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ASSERT(fd >= 0);
	ASSERT_EQ(io_write_full(fd, "no such bytes", 13), 0);
	ASSERT_EQ(pull(&f), 0);
	ASSERT_EQ(item->n_asked, 2);
	ASSERT_EQ(item->from, 0);
	ASSERT_EQ(count_files(&f, "partial"), 0);
	free_box(&b);
	tear_down(&f);
}

static void other_gives_up(struct fixture *f)
{
	store_make_end(f->other, f->object->b);
}

static void user_cancels(struct fixture *f)
{
	cancel_fire(f->cancel);
}

/* Another run makes the layer; what happens when we have told that we wait? */
TEST(a_layer_that_another_pull_has_under_way)
{
	static const struct {
		const char *name;
		void (*act)(struct fixture *f);
		bool works;
	} cases[] = {
		{ "the other one dies", other_gives_up, true },
		{ "cancelled", user_cancels, false },
	};

	for_cases(c, cases) {
		struct fixture f;
		struct box b = { 0 };
		const struct twist straight = { 0 };
		struct sha diff_id;

		set_up(&f, NULL);
		add_layer(&b, "a", 20000, true);
		put_manifest(&b, &straight, "1");
		digest_of(b.plain[0].data, b.plain[0].len, diff_id.b);
		ASSERT_EQ(store_run_open(f.store, NULL, &f.other, &f.err), 0);
		ASSERT_EQ(store_make_begin(f.other, diff_id.b, &f.err), 0);
		f.object = &diff_id;
		f.on = PULL_LAYER_WAITING;
		f.act = c->act;
		ASSERT_EQ(pull(&f) == 0, c->works);
		ASSERT(strstr(f.events, "layer_waiting ") != NULL);
		if (!c->works)
			ASSERT_EQ(f.err.code, ERR_CANCELLED);
		store_run_close(f.other);
		free_box(&b);
		tear_down(&f);
	}
}

TEST(cancelled_at_any_step)
{
	static const struct {
		const char *name;
		enum pull_event_type on;
		unsigned n_layers; /* in the store by then */
	} cases[] = {
		{ "resolving", PULL_RESOLVING, 0 },
		{ "resolved", PULL_RESOLVED, 0 },
		{ "in mid layer", PULL_LAYER_DOWNLOAD_PROGRESS, 0 },
		{ "layer is there", PULL_LAYER_DOWNLOAD_COMPLETE, 0 },
		{ "layer is written", PULL_LAYER_MATERIALIZE_COMPLETE, 1 },
		{ "merging", PULL_STITCH_WRITING, 1 },
		{ "merged", PULL_STITCH_COMPLETE, 1 },
	};

	for_cases(c, cases) {
		struct fixture f;
		struct box b = { 0 };
		const struct twist straight = { 0 };

		set_up(&f, NULL);
		add_layer(&b, "a", 4 << 20, false);
		put_manifest(&b, &straight, "1");
		f.on = c->on;
		f.act = user_cancels;
		ASSERT(pull(&f) < 0);
		ASSERT_EQ(f.err.code, ERR_CANCELLED);
		ASSERT_STR(f.err.reason, "cancelled");
		ASSERT_EQ(count_files(&f, "layers"), c->n_layers);
		ASSERT_EQ(count_files(&f, "blobs/sha256"), 0);
		ASSERT_EQ(count_files(&f, "tmp"), 0);
		free_box(&b);
		tear_down(&f);
	}
}

TEST(a_layer_that_fails_ends_the_others)
{
	struct fixture f;
	struct box b = { 0 };
	const struct twist straight = { 0 };

	set_up(&f, NULL);
	for (unsigned i = 0; i < 4; i++)
		add_layer(&b, "a", 1000 * (i + 1), true);
	put_manifest(&b, &straight, "1");
	for (unsigned i = 1; i < 4; i++)
		layer_item(&b, i)->hangs = true;
	layer_item(&b, 0)->data.data[20] ^= 1;
	ASSERT(pull(&f) < 0);
	ASSERT_STR(f.err.reason, "digest-mismatch");
	free_box(&b);
	tear_down(&f);
}

TEST(a_cancel_reaches_a_download_that_hangs)
{
	struct fixture f;
	struct box b = { 0 };
	const struct twist straight = { 0 };

	set_up(&f, NULL);
	add_layer(&b, "a", 1000, true);
	put_manifest(&b, &straight, "1");
	layer_item(&b, 0)->hangs = true;
	f.on = PULL_RESOLVED;
	f.act = user_cancels;
	ASSERT(pull(&f) < 0);
	ASSERT_EQ(f.err.code, ERR_CANCELLED);
	free_box(&b);
	tear_down(&f);
}

TAP_MAIN()
