/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: from a spec to a running sandbox and back
 *
 * create: check the spec, find every file (nothing is made before that), make the run folder with
 * its lock, write the row, make the disk, boot.  A step that fails undoes all before it.  The folder
 * comes before the row, so a row that says "starting" without a folder is always wrong.
 *
 * The end is seen through the pidfd.  Whoever sees it first takes the exit record over and removes
 * the run folder; the handle remembers it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/num.h"
#include "image/platform.h"
#include "runtime/internal.h"

/* What a create has made so far and must undo. */
struct creation {
	struct home *home;	 /* borrowed */
	const struct call *call; /* borrowed; may be NULL */
	struct spec spec;
	char id[SANDBOX_ID_LEN + 1];
	char name[129];
	struct store_run *run; /* holds the image until the row is written */
	struct image *image;
	char *image_digest;
	struct runtime_files files;
	struct root_disk disk; /* a disk image as root */
	struct disk_upper upper;
	int run_dir, lock;
	bool has_folder, has_row, reused, done; /* has_row: and so the folder */
};

static void creation_done_auto(struct creation *c)
{
	struct exit_record end = { .reason = "boot-failed",
				   .code = -1,
				   .ended_at = clock_wall_ns() };
	struct err ignored = ERR_INIT;

	/* A sandbox that never was goes as an ephemeral one does. */
	if (c->has_row && !c->done)
		IGNORE_RESULT(home_record_end(c->home, c->id, !c->reused, &end, &ignored));
	else if (c->has_folder && !c->done)
		remove_folder(c->home->run_fd, c->id);
	spec_done(&c->spec);
	store_run_close(c->run);
	image_free(c->image);
	free(c->image_digest);
	runtime_files_done(&c->files);
	root_disk_done(&c->disk);
	close_auto(&c->upper.fd);
	close_auto(&c->lock);
	close_auto(&c->run_dir);
}

/* Memory that the host can give, from MemAvailable; 0 if it does not say. */
static uint64_t available_mib(void)
{
	AUTO_CLOSE int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	char text[4096], *p;
	uint64_t kib;
	ssize_t n = fd < 0 ? -1 : io_read_full(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	p = strstr(text, "MemAvailable:");
	if (!p)
		return 0;
	p += strlen("MemAvailable:");
	p += strspn(p, " ");
	return parse_u64_n(p, strspn(p, "0123456789"), 10, UINT64_MAX / 2, &kib) < 0 ? 0
										     : kib / 1024;
}

static int check_memory(const struct spec *spec, struct err *err)
{
	uint64_t have = available_mib();

	if (have == 0 || spec->memory_mib <= have)
		return 0;
	err_set(err, ERR_UNAVAILABLE,
		"not enough memory for the sandbox: %llu MiB asked for, %llu MiB available",
		(unsigned long long)spec->memory_mib, (unsigned long long)have);
	return err_detail(err, ERR_NR_NO_MEMORY, "memory_mib");
}

static int name_taken(const struct creation *c, const char *status, struct err *err)
{
	err_set(err, ERR_EXISTS, "a sandbox named '%s' already exists (%s)", c->name, status);
	return err_detail(err, ERR_NR_SANDBOX_EXISTS, c->name);
}

/* MSB_HOME/run/ID with its lock taken; it has its name only then. EXISTS: the name is in use. */
static int make_run_folder(struct creation *c, struct err *err)
{
	int run_fd = c->home->run_fd;
	char fresh[32];

	(void)snprintf(fresh, sizeof(fresh), ".new-%s", c->id);
	if (mkdirat(run_fd, fresh, 0700) < 0)
		return errno == EEXIST
			       ? name_taken(c, "starting", err)
			       : err_sys(err, errno, "make a folder in '%s/run'", c->home->path);
	c->run_dir = openat(run_fd, fresh, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (c->run_dir >= 0)
		c->lock = openat(c->run_dir, "lock", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (c->lock < 0 || fchmod(c->run_dir, 0700) < 0 || flock(c->lock, LOCK_EX | LOCK_NB) < 0 ||
	    renameat(run_fd, fresh, run_fd, c->id) < 0) {
		if (errno == EEXIST || errno == ENOTEMPTY)
			name_taken(c, "starting", err);
		else
			err_sys(err, errno, "make a folder in '%s/run'", c->home->path);
		remove_folder(run_fd, fresh);
		return -(int)err->code;
	}
	c->has_folder = true;
	return 0;
}

static int add_row(struct creation *c, struct err *err)
{
	struct state_sandbox row = { 0 };
	AUTO_FREE char *normal = NULL;
	char starting[] = "starting";
	int r = spec_normal(&c->spec, &normal, err);

	if (r < 0)
		return r;
	row.id = c->id;
	row.name = c->name;
	row.spec = normal;
	row.status = starting;
	row.image_digest = c->image_digest;
	row.ephemeral = c->spec.ephemeral;
	row.exit_code = -1;
	row.created_at = row.started_at = clock_wall_ns();
	r = state_sandbox_add(c->home->state, &row, err);
	if (r < 0 && err->code == ERR_EXISTS)
		return err_detail(err, ERR_NR_SANDBOX_EXISTS, c->name);
	c->has_row = r == 0;
	return r;
}

/* The name is taken: by a stopped sandbox with the same spec, if the caller wants that one. */
static int reuse_row(struct creation *c, const struct state_sandbox *row, struct err *err)
{
	AUTO_FREE char *normal = NULL;
	int r;

	if (!c->spec.reuse)
		return name_taken(c, row->status, err);
	r = spec_normal(&c->spec, &normal, err);
	if (r < 0)
		return r;
	if (strcmp(normal, row->spec) != 0) {
		err_set(err, ERR_EXISTS, "sandbox '%s' exists with other settings", c->name);
		return err_detail(err, ERR_NR_SANDBOX_EXISTS, c->name);
	}
	/* It was another one when its image was looked up. */
	if (row->image_digest && c->image_digest && strcmp(row->image_digest, c->image_digest) != 0)
		return name_taken(c, row->status, err);
	if (strcmp(row->status, "stopped") != 0 && strcmp(row->status, "crashed") != 0)
		return name_taken(c, row->status, err);
	(void)snprintf(c->id, sizeof(c->id), "%s", row->id);
	r = make_run_folder(c, err);
	if (r < 0)
		return r;
	r = state_sandbox_claim(c->home->state, row->id, err);
	if (r < 0 && err->code == ERR_BUSY)
		return name_taken(c, row->status, err);
	c->reused = c->has_row = r == 0;
	if (r == 0 && c->image_digest && !row->image_digest)
		r = state_sandbox_set_image(c->home->state, row->id, c->image_digest, err);
	return r;
}

/* Id, name, run folder, row. */
static int take_name(struct creation *c, struct err *err)
{
	struct state_sandbox row = { 0 };
	struct err missing = ERR_INIT;
	char digits[9];
	int r;

	if (random_hex(c->id, SANDBOX_ID_LEN) < 0 || random_hex(digits, 8) < 0)
		return err_set(err, ERR_IO, "the kernel gives no random numbers");
	if (c->spec.name)
		(void)snprintf(c->name, sizeof(c->name), "%s", c->spec.name);
	else
		(void)snprintf(c->name, sizeof(c->name), "msb-%s", digits);
	if (c->spec.name && state_sandbox_by_name(c->home->state, c->name, &row, &missing) == 0) {
		r = reuse_row(c, &row, err);
		state_sandbox_done(&row);
		return r;
	}
	r = make_run_folder(c, err);
	return r < 0 ? r : add_row(c, err);
}

static const struct root_disk *disk_of(const struct creation *c)
{
	return c->disk.image ? &c->disk : NULL;
}

static int make_disk(struct creation *c, struct err *err)
{
	struct upper_request req = {
		.home = c->home,
		.spec = &c->spec,
		.disk = disk_of(c),
		.id = c->id,
		.name = c->name,
		.run_dir = c->run_dir,
	};

	return upper_open(&req, &c->upper, err);
}

static int boot_times_json(const struct launch *l, char **ret_json, struct err *err)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct json_out o;
	char key[32];

	buf_init(&b, 4096);
	json_out_init(&o, &b);
	json_put_object(&o, NULL);
	json_put_u64(&o, "spawn_ns", 0);
	for (size_t i = 0; i < l->n_stages; i++) {
		(void)snprintf(key, sizeof(key), "%s_ns", l->stages[i].stage);
		json_put_u64(&o, key, l->stages[i].ns);
	}
	json_put_end(&o);
	if (json_out_end(&o) < 0)
		return err_no_memory(err);
	return take_json(&b, ret_json, err);
}

static int copy_commands(const struct creation *c, struct sandbox *sb)
{
	char **entrypoint = c->image ? c->image->entrypoint : NULL;
	char **cmd = c->image ? c->image->cmd : NULL;
	int r = 0;

	if (c->spec.entrypoint_set)
		entrypoint = c->spec.entrypoint.items;
	if (c->spec.cmd_set)
		cmd = c->spec.cmd.items;
	else if (c->spec.entrypoint_set)
		cmd = NULL; /* the image's cmd is for the image's entrypoint */
	for (; r == 0 && entrypoint && *entrypoint; entrypoint++)
		r = str_list_add(&sb->entrypoint, *entrypoint);
	for (; r == 0 && cmd && *cmd; cmd++)
		r = str_list_add(&sb->cmd, *cmd);
	sb->shell = strdup(c->spec.shell ? c->spec.shell : "/bin/sh");
	return sb->shell ? r : -ENOMEM;
}

static int sandbox_new(struct creation *c, struct sandbox **ret_sb, struct err *err)
{
	AUTO(sandbox_close) struct sandbox *sb = calloc(1, sizeof(*sb));

	if (!sb)
		return err_no_memory(err);
	sb->home = home_ref(c->home);
	sb->pidfd = -1;
	(void)pthread_mutex_init(&sb->lock, NULL);
	(void)snprintf(sb->id, sizeof(sb->id), "%s", c->id);
	(void)snprintf(sb->name, sizeof(sb->name), "%s", c->name);
	sb->ephemeral = c->spec.ephemeral;
	sb->stop_timeout_ms = c->spec.stop_timeout_ms;
	sb->run_dir = fcntl(c->run_dir, F_DUPFD_CLOEXEC, 0);
	if (sb->run_dir < 0)
		return err_sys(err, errno, "open the folder of '%s'", c->name);
	if (copy_commands(c, sb) < 0)
		return err_no_memory(err);
	*ret_sb = TAKE_PTR(sb);
	return 0;
}

/* A sandbox that is used again keeps the image it has, whatever the name means by now. */
static char *kept_image(const struct creation *c)
{
	struct state_sandbox row = { 0 };
	struct err missing = ERR_INIT;
	char *digest = NULL;

	if (c->spec.name && c->spec.reuse &&
	    state_sandbox_by_name(c->home->state, c->spec.name, &row, &missing) == 0)
		digest = TAKE_PTR(row.image_digest);
	state_sandbox_done(&row);
	return digest;
}

/* An image for other machines can be looked at and saved, not run. */
static int check_architecture(const struct creation *c, struct err *err)
{
	struct platform host;

	if (platform_parse(NULL, &host, err) < 0)
		return -(int)err->code;
	if (platform_rank(&host, NULL, c->image->architecture, NULL) >= 0)
		return 0;
	err_set(err, ERR_INVALID, "image '%s' is for %.32s, and this host is %s", c->spec.image,
		c->image->architecture, host.arch);
	err_reason(err, "platform-unavailable");
	return err_detail(err, ERR_NR_IMAGE, c->spec.image);
}

static int open_image(struct creation *c, struct err *err)
{
	AUTO_FREE char *kept = kept_image(c);
	int r = store_run_open(c->home->store, call_cancel(c->call), &c->run, err);

	if (r == 0)
		r = home_image_open(c->home, c->run, kept ? kept : c->spec.image, &c->spec.pull,
				    c->call, &c->image, &c->image_digest, err);
	return r < 0 ? r : check_architecture(c, err);
}

/* Everything that can be wrong without anything made yet. */
static int prepare(struct creation *c, const char *text, struct err *err)
{
	int r = home_spec_parse(c->home, text, &c->spec, err);

	if (r == 0 && c->spec.image_kind == SPEC_IMAGE_DISK)
		r = root_disk_open(c->home, &c->spec, c->call, &c->disk, err);
	if (r == 0 && c->spec.image_kind == SPEC_IMAGE_OCI)
		r = open_image(c, err);
	if (r < 0 && !err->stage[0])
		(void)snprintf(err->stage, sizeof(err->stage), "%s",
			       c->spec.image ? "image" : "spec");
	if (r == 0)
		r = runtime_files_find(c->home, &c->spec, &c->files, err);
	if (r == 0)
		r = check_memory(&c->spec, err);
	if (r == 0)
		r = home_reconcile(c->home, err);
	return r;
}

static int boot(struct creation *c, struct sandbox *sb, struct err *err)
{
	struct launch l = {
		.home = c->home,
		.spec = &c->spec,
		.id = c->id,
		.name = c->name,
		.image = c->image,
		.files = &c->files,
		.run_dir = c->run_dir,
		.lock = c->lock,
		.disk = disk_of(c),
		.upper = &c->upper,
		.call = c->call,
	};
	int r = launch_run(&l, err);

	if (r < 0)
		return r;
	c->done = true;	      /* from here on it ends like any other sandbox */
	close_auto(&c->lock); /* the monitor has it: now it is free when that is gone */
	sb->pidfd = fcntl(l.pidfd, F_DUPFD_CLOEXEC, 0);
	r = home_attach(c->home, l.pidfd, l.watchdog, err);
	if (r == 0 && sb->pidfd < 0)
		r = err_sys(err, EMFILE, "watch '%s'", c->name);
	if (r == 0)
		r = boot_times_json(&l, &sb->boot_times, err);
	if (r == 0)
		r = state_sandbox_set_status(c->home->state, c->id, "running", err);
	return r;
}

int sandbox_create(struct home *home, const char *text, const struct call *call,
		   struct sandbox **ret_sb, struct err *err)
{
	AUTO(creation_done)
	struct creation c = {
		.home = home,
		.call = call,
		.files = { .kernel = -1, .initramfs = -1, .modules = -1 },
		.run_dir = -1,
		.lock = -1,
		.upper = { .fd = -1 },
	};
	AUTO(sandbox_close) struct sandbox *sb = NULL;
	struct err ignored = ERR_INIT;
	int r = prepare(&c, text, err);

	if (r == 0)
		r = cancel_check(call_cancel(call), err);
	if (r == 0)
		r = take_name(&c, err);
	store_run_close(TAKE_PTR(c.run));
	if (r == 0)
		r = make_disk(&c, err);
	if (r == 0)
		r = sandbox_new(&c, &sb, err);
	if (r == 0 && sb)
		r = boot(&c, sb, err);
	if (r < 0) {
		if (c.done) /* it runs, but we cannot say so: a watchdog that closes ends it */
			IGNORE_RESULT(sandbox_stop(sb, SANDBOX_KILL, 0, NULL, NULL, &ignored));
		return r;
	}
	*ret_sb = TAKE_PTR(sb);
	return 0;
}

void sandbox_close(struct sandbox *sb)
{
	if (!sb)
		return;
	close_auto(&sb->pidfd);
	close_auto(&sb->run_dir);
	str_list_done(&sb->entrypoint);
	str_list_done(&sb->cmd);
	free(sb->shell);
	free(sb->boot_times);
	(void)pthread_mutex_destroy(&sb->lock);
	home_unref(sb->home);
	free(sb);
}

const char *sandbox_name(const struct sandbox *sb)
{
	return sb->name;
}

const char *sandbox_id(const struct sandbox *sb)
{
	return sb->id;
}

int sandbox_boot_times(struct sandbox *sb, char **ret_json, struct err *err)
{
	char *copy = strdup(sb->boot_times);

	if (!copy)
		return err_no_memory(err);
	*ret_json = copy;
	return 0;
}
