/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "base/io.h"
#include "image/digest.h"
#include "image/erofs.h"
#include "image/image.h"
#include "make_archive.h"
#include "remove_tree.h"

struct fixture {
	char dir[32];
	int home;
	struct store *store;
	struct store_run *run;
	struct err err;
};

static void set_up_with(struct fixture *f, const struct image_limits *limits)
{
	*f = (struct fixture){ .dir = "/tmp/test_load_XXXXXX", .err = ERR_INIT };
	ASSERT(mkdtemp(f->dir) != NULL);
	f->home = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT(f->home >= 0);
	ASSERT_EQ(store_open(f->home, limits, &f->store, &f->err), 0);
	ASSERT_EQ(store_run_open(f->store, NULL, &f->run, &f->err), 0);
}

static void set_up(struct fixture *f)
{
	set_up_with(f, NULL);
}

static void tear_down(struct fixture *f)
{
	store_run_close(f->run);
	store_close(f->store);
	remove_tree(AT_FDCWD, f->dir);
	(void)close(f->home);
}

/* Layer, config and manifest of one small image. */
struct parts {
	struct buf layer, packed, config, manifest;
	char diff_id[65], raw[65], config_hex[65], manifest_hex[65];
};

static void make_parts(struct parts *p, bool packed)
{
	buf_init(&p->layer, 1 << 20);
	buf_init(&p->packed, 1 << 20);
	buf_init(&p->config, 1 << 16);
	buf_init(&p->manifest, 1 << 16);
	add(&p->layer, "etc/", '5', NULL, 0, NULL);
	add(&p->layer, "etc/hostname", '0', "box\n", 4, NULL);
	finish(&p->layer);
	hex_of(&p->layer, p->diff_id);
	if (packed)
		gzip(&p->layer, &p->packed);
	hex_of(packed ? &p->packed : &p->layer, p->raw);
	ASSERT_EQ(
		buf_addf(
			&p->config,
			"{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Env\":[\"A=b\"],"
			"\"Cmd\":[\"sh\"],\"Entrypoint\":null,\"User\":\"\",\"WorkingDir\":\"/w\"},"
			"\"created\":\"2026-01-02T03:04:05Z\","
			"\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%s\"]}}",
			p->diff_id),
		0);
	hex_of(&p->config, p->config_hex);
	ASSERT_EQ(buf_addf(&p->manifest,
			   "{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:%s\"},"
			   "\"layers\":[{\"digest\":\"sha256:%s\"}]}",
			   p->config_hex, p->raw),
		  0);
	hex_of(&p->manifest, p->manifest_hex);
}

static void free_parts(struct parts *p)
{
	buf_done(&p->layer);
	buf_done(&p->packed);
	buf_done(&p->config);
	buf_done(&p->manifest);
}

static int load(struct fixture *f, const struct buf *b, struct load_result *r)
{
	AUTO_CLOSE int fd = io_memfd("archive", b->data, b->len);

	ASSERT(fd >= 0);
	return image_load(f->run, fd, "test.tar", NULL, r, &f->err);
}

static void add_blob(struct buf *b, const char *hex, const struct buf *data)
{
	char name[100];

	(void)snprintf(name, sizeof(name), "blobs/sha256/%s", hex);
	add(b, name, '0', data->data, data->len, NULL);
}

TEST(oci_layout_with_gzip)
{
	struct fixture f;
	struct parts p = { 0 };
	struct load_result r = { 0 };
	struct image *img = NULL;
	struct buf b, index;
	char want[80];

	set_up(&f);
	make_parts(&p, true);
	buf_init(&b, 1 << 20);
	buf_init(&index, 4096);
	ASSERT_EQ(
		buf_addf(
			&index,
			"{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":"
			"\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:%s\","
			"\"size\":%zu,\"annotations\":{\"io.containerd.image.name\":"
			"\"docker.io/library/box:1\",\"org.opencontainers.image.ref.name\":\"1\"}}]}",
			p.manifest_hex, p.manifest.len),
		0);
	/* The index first, the manifest in the middle: the order does not matter. */
	add(&b, "index.json", '0', index.data, index.len, NULL);
	add_blob(&b, p.raw, &p.packed);
	add_blob(&b, p.manifest_hex, &p.manifest);
	add_blob(&b, p.config_hex, &p.config);
	add(&b, "oci-layout", '0', "{\"imageLayoutVersion\": \"1.0.0\"}", 31, NULL);
	finish(&b);
	ASSERT_EQ(load(&f, &b, &r), 0);
	ASSERT_EQ(r.n_images, 1);
	ASSERT_EQ(r.images[0].n_names, 1);
	ASSERT_STR(r.images[0].names[0], "docker.io/library/box:1");
	(void)snprintf(want, sizeof(want), "sha256:%s", p.manifest_hex);
	ASSERT_STR(r.images[0].manifest_digest, want);
	ASSERT_EQ(r.images[0].size, p.layer.len);
	ASSERT_STR(r.images[0].created, "2026-01-02T03:04:05Z");

	ASSERT_EQ(image_open(f.run, want, NULL, &img, &f.err), 0);
	ASSERT_STR(img->architecture, "amd64");
	ASSERT_STR(img->env[0], "A=b");
	ASSERT_STR(img->cmd[0], "sh");
	ASSERT(img->entrypoint && !img->entrypoint[0]);
	ASSERT(img->user == NULL);
	ASSERT_STR(img->workdir, "/w");
	ASSERT_EQ(img->n_extents, 2);
	for (size_t i = 0; i < img->n_extents; i++)
		ASSERT_EQ(fcntl(img->extents[i].fd, F_GETFD), FD_CLOEXEC);
	ASSERT_EQ(img->extents[1].disk_offset, 2 << 20);
	ASSERT_EQ(img->extents[1].len, p.layer.len);
	ASSERT_EQ(img->disk_size, 4 << 20);
	image_free(img);

	/* Again: the same, and nothing new. */
	load_result_done(&r);
	ASSERT_EQ(load(&f, &b, &r), 0);
	ASSERT_STR(r.images[0].manifest_digest, want);
	load_result_done(&r);
	buf_done(&b);
	buf_done(&index);
	free_parts(&p);
	tear_down(&f);
}

/* An OCI archive of one image with a packed layer. */
static void oci_archive(struct buf *b, const struct parts *p)
{
	struct buf index;

	buf_init(b, 1 << 20);
	buf_init(&index, 4096);
	ASSERT_EQ(buf_addf(&index,
			   "{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"sha256:%s\","
			   "\"size\":%zu}]}",
			   p->manifest_hex, p->manifest.len),
		  0);
	add(b, "index.json", '0', index.data, index.len, NULL);
	add_blob(b, p->raw, &p->packed);
	add_blob(b, p->manifest_hex, &p->manifest);
	add_blob(b, p->config_hex, &p->config);
	finish(b);
	buf_done(&index);
}

static bool has_blob(const struct fixture *f, const char *hex)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "images/blobs/sha256/%s", hex);
	return faccessat(f->home, path, F_OK, 0) == 0;
}

TEST(kept_layers_are_saved_as_they_came)
{
	for (int keep = 0; keep <= 1; keep++) {
		struct fixture f;
		struct parts p = { 0 };
		struct load_result r = { 0 };
		struct save_image image = { 0 };
		struct save_options o = { .exact = true };
		AUTO_CLOSE int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		char want[80];
		struct buf b;

		set_up(&f);
		store_keep_blobs(f.store, keep);
		make_parts(&p, true);
		oci_archive(&b, &p);
		ASSERT_EQ(load(&f, &b, &r), 0);
		ASSERT_EQ(has_blob(&f, p.raw), keep);
		ASSERT(!has_blob(&f, p.diff_id));
		(void)snprintf(want, sizeof(want), "sha256:%s", p.manifest_hex);
		image.manifest_digest = want;
		ASSERT_EQ(image_save(f.run, &image, 1, &o, null, &f.err) == 0, keep);
		if (keep)
			ASSERT_STR(image.saved_digest, want);
		else
			ASSERT_STR(f.err.reason, "digest-changes");
		free(image.saved_digest);
		load_result_done(&r);
		buf_done(&b);
		free_parts(&p);
		tear_down(&f);
	}
}

TEST(a_cancelled_save)
{
	struct fixture f;
	struct parts p = { 0 };
	struct load_result r = { 0 };
	struct save_image image = { 0 };
	struct save_options o = { 0 };
	AUTO_CLOSE int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	AUTO(cancel_free) struct cancel *cancel = NULL;
	AUTO(store_run_close) struct store_run *run = NULL;
	struct buf b;

	set_up(&f);
	make_parts(&p, true);
	oci_archive(&b, &p);
	ASSERT_EQ(load(&f, &b, &r), 0);
	image.manifest_digest = r.images[0].manifest_digest;
	ASSERT_EQ(cancel_new(&cancel), 0);
	ASSERT_EQ(store_run_open(f.store, cancel, &run, &f.err), 0);
	cancel_fire(cancel);
	ASSERT(image_save(run, &image, 1, &o, null, &f.err) < 0);
	ASSERT_EQ(f.err.code, ERR_CANCELLED);
	ASSERT(image.saved_digest == NULL);
	load_result_done(&r);
	buf_done(&b);
	free_parts(&p);
	store_run_close(TAKE_PTR(run));
	tear_down(&f);
}

/* A docker archive; @layer_at is where the layer is, "layer.tar" what the manifest says. */
static void docker_archive(struct buf *b, const struct parts *p, const char *layer_at,
			   const char *link)
{
	struct buf m;
	char name[100];

	buf_init(b, 1 << 20);
	buf_init(&m, 4096);
	(void)snprintf(name, sizeof(name), "%s.json", p->config_hex);
	ASSERT_EQ(
		buf_addf(
			&m,
			"[{\"Config\":\"%s\",\"RepoTags\":[\"box:2\"],\"Layers\":[\"a/layer.tar\"]}]",
			name),
		0);
	add(b, "manifest.json", '0', m.data, m.len, NULL);
	if (link)
		add(b, "a/layer.tar", '2', NULL, 0, link);
	add(b, layer_at, '0', p->layer.data, p->layer.len, NULL);
	add(b, name, '0', p->config.data, p->config.len, NULL);
	finish(b);
	buf_done(&m);
}

TEST(docker_archive_with_links)
{
	struct fixture f;
	struct parts p = { 0 };
	struct load_result r = { 0 };
	struct buf b, packed;

	set_up(&f);
	make_parts(&p, false);
	docker_archive(&b, &p, "other/layer.tar", "../other/layer.tar");
	buf_init(&packed, 1 << 20);
	gzip(&b, &packed);
	ASSERT_EQ(load(&f, &packed, &r), 0);
	ASSERT_STR(r.images[0].names[0], "docker.io/library/box:2");
	load_result_done(&r);
	buf_done(&b);
	buf_done(&packed);
	free_parts(&p);
	tear_down(&f);
}

TEST(refused_and_untouched)
{
	static const struct {
		const char *name, *message;
		size_t flip; /* byte of the archive to change; 0: none */
		size_t cut;  /* bytes to drop at the end */
	} cases[] = {
		{ "layer content", "digest-mismatch", 0, 0 },
		{ "truncated", "ends", 0, 2500 },
		{ "empty", "no image archive", 0, SIZE_MAX },
	};

	for_cases(c, cases) {
		struct fixture f;
		struct parts p = { 0 };
		struct load_result r = { 0 };
		struct buf b;
		int rc;

		set_up(&f);
		make_parts(&p, false);
		if (c->cut == 0) /* the content of etc/hostname */
			p.layer.data[1024] ^= 1;
		docker_archive(&b, &p, "a/layer.tar", NULL);
		b.len -= c->cut < b.len ? c->cut : b.len;
		rc = load(&f, &b, &r);
		printf("# %s\n", f.err.msg);
		ASSERT(rc < 0);
		ASSERT(strstr(f.err.msg, c->message) != NULL);
		ASSERT_EQ(r.n_images, 0);
		buf_done(&b);
		free_parts(&p);
		tear_down(&f);
	}
}

TEST(layers_larger_than_the_ring)
{
	struct fixture f;
	struct load_result r = { 0 };
	struct buf b, layers[3], config, manifest;
	char hex[3][65], config_name[80];

	set_up(&f);
	buf_init(&b, 64 << 20);
	buf_init(&config, 4096);
	buf_init(&manifest, 4096);
	for (unsigned i = 0; i < 3; i++) {
		char name[32];

		buf_init(&layers[i], 16 << 20);
		add_big(&layers[i], "big", (7 << 20) + i * 1234);
		finish(&layers[i]);
		hex_of(&layers[i], hex[i]);
		(void)snprintf(name, sizeof(name), "l%u/layer.tar", i);
		add(&b, name, '0', layers[i].data, layers[i].len, NULL);
	}
	ASSERT_EQ(buf_addf(&config,
			   "{\"architecture\":\"amd64\",\"rootfs\":{\"diff_ids\":[\"sha256:%s\","
			   "\"sha256:%s\",\"sha256:%s\"]}}",
			   hex[0], hex[1], hex[2]),
		  0);
	hex_of(&config, config_name);
	(void)snprintf(config_name + 64, 8, ".json");
	ASSERT_EQ(buf_addf(&manifest,
			   "[{\"Config\":\"%s\",\"RepoTags\":[\"big:1\"],\"Layers\":"
			   "[\"l0/layer.tar\",\"l1/layer.tar\",\"l2/layer.tar\"]}]",
			   config_name),
		  0);
	add(&b, config_name, '0', config.data, config.len, NULL);
	add(&b, "manifest.json", '0', manifest.data, manifest.len, NULL);
	finish(&b);
	ASSERT_EQ(load(&f, &b, &r), 0);
	for (unsigned i = 0; i < 3; i++) {
		char name[300];
		struct stat st;
		uint8_t *back = malloc(layers[i].len);
		AUTO_CLOSE int fd = -1;

		(void)snprintf(name, sizeof(name), "images/layers/%s.tar", hex[i]);
		fd = openat(f.home, name, O_RDONLY | O_CLOEXEC);
		ASSERT(fd >= 0 && back && fstat(fd, &st) == 0);
		ASSERT_EQ(st.st_size, layers[i].len);
		ASSERT(st.st_blocks * 512 < st.st_size); /* zeros are holes */
		ASSERT_EQ(io_pread_full(fd, back, layers[i].len, 0), layers[i].len);
		ASSERT(memcmp(back, layers[i].data, layers[i].len) == 0);
		free(back);
		buf_done(&layers[i]);
	}
	load_result_done(&r);
	buf_done(&b);
	buf_done(&config);
	buf_done(&manifest);
	tear_down(&f);
}

TEST(limits_name_what_was_found)
{
	static const struct {
		const char *name, *subject;
		struct image_limits limits;
	} cases[] = {
		{ "layer", "images.limits.layer_bytes", { 4096, 4096, 8, 1024, 4096, 10 } },
		{ "file", "images.limits.file_bytes", { 4096, 4096, 8, 4096, 3, 10 } },
		{ "entries", "images.limits.entries", { 4096, 4096, 8, 4096, 4096, 1 } },
		{ "layers", "images.limits.layers", { 4096, 4096, 0, 4096, 4096, 10 } },
	};

	for_cases(c, cases) {
		struct fixture f;
		struct parts p = { 0 };
		struct load_result r = { 0 };
		struct buf b;

		set_up_with(&f, &c->limits);
		make_parts(&p, false);
		docker_archive(&b, &p, "a/layer.tar", NULL);
		ASSERT(load(&f, &b, &r) < 0);
		printf("# %s\n", f.err.msg);
		ASSERT_STR(f.err.reason, "limit-exceeded");
		ASSERT_STR(f.err.subject, c->subject);
		buf_done(&b);
		free_parts(&p);
		tear_down(&f);
	}
}

TEST(a_limit_above_what_we_can_keep)
{
	struct image_limits limits = image_limits_default;
	struct store *none = NULL;
	struct fixture f;

	set_up(&f);
	limits.layers = image_limits_max.layers + 1;
	ASSERT(store_open(f.home, &limits, &none, &f.err) < 0);
	ASSERT_EQ(f.err.code, ERR_INVALID);
	ASSERT(strstr(f.err.msg, "images.limits.layers") != NULL);
	ASSERT(none == NULL);
	tear_down(&f);
}

TEST(no_such_image)
{
	struct fixture f;
	struct image *img = NULL;

	set_up(&f);
	ASSERT(image_open(f.run,
			  "sha256:"
			  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
			  NULL, &img, &f.err) < 0);
	ASSERT_EQ(f.err.code, ERR_NOT_FOUND);
	ASSERT(image_open(f.run, "sha256:00", NULL, &img, &f.err) < 0);
	ASSERT_EQ(f.err.code, ERR_INVALID);
	tear_down(&f);
}

TAP_MAIN()
