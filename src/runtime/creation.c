/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: what a create and a start have in common
 *
 * The run folder comes before the row, so a row that says "starting" without a folder is always
 * wrong.  A step that fails undoes all before it.
 *
 * The monitor has our watchdog until it is ready, detached or not: if this process dies before, the
 * boot is undone as a failed one.
 */
#include "runtime/creation.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/num.h"
#include "image/platform.h"

void creation_done(struct creation *c)
{
	struct exit_record end = { .reason = "boot-failed",
				   .code = -1,
				   .ended_at = clock_wall_ns() };
	struct err ignored = ERR_INIT;

	/* A sandbox that never was goes as an ephemeral one does, and without logs if it was cancelled. */
	if (!c->reused && !c->keep_logs)
		(void)snprintf(end.reason, sizeof(end.reason), "killed");
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

int creation_name_taken(const struct creation *c, const char *status, struct err *err)
{
	err_set(err, ERR_EXISTS, "a sandbox named '%s' already exists (%s)", c->name, status);
	return err_detail(err, ERR_NR_SANDBOX_EXISTS, c->name);
}

int creation_folder(struct creation *c, struct err *err)
{
	int run_fd = c->home->run_fd;
	char digits[SANDBOX_ID_LEN + 1], fresh[32];

	if (random_hex(digits, SANDBOX_ID_LEN) < 0)
		return err_set(err, ERR_IO, "the kernel gives no random numbers");
	(void)snprintf(fresh, sizeof(fresh), ".new-%s", digits);
	if (mkdirat(run_fd, fresh, 0700) < 0)
		return err_sys(err, errno, "make a folder in '%s/run'", c->home->path);
	c->run_dir = openat(run_fd, fresh, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (c->run_dir >= 0)
		c->lock = openat(c->run_dir, "lock", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (c->lock < 0 || fchmod(c->run_dir, 0700) < 0 || flock(c->lock, LOCK_EX | LOCK_NB) < 0 ||
	    renameat(run_fd, fresh, run_fd, c->id) < 0) {
		if (errno == EEXIST || errno == ENOTEMPTY)
			creation_name_taken(c, "starting", err);
		else
			err_sys(err, errno, "make a folder in '%s/run'", c->home->path);
		remove_folder(run_fd, fresh);
		return -(int)err->code;
	}
	c->has_folder = true;
	return 0;
}

int creation_claim(struct creation *c, const struct state_sandbox *row, struct err *err)
{
	int r;

	(void)snprintf(c->id, sizeof(c->id), "%s", row->id);
	(void)snprintf(c->name, sizeof(c->name), "%s", row->name);
	r = creation_folder(c, err);
	if (r < 0)
		return r;
	r = state_sandbox_claim(c->home->state, row->id, clock_wall_ns(), err);
	if (r < 0)
		return r;
	c->reused = c->has_row = true;
	if (c->image_digest && !row->image_digest)
		r = state_sandbox_set_image(c->home->state, row->id, c->image_digest, err);
	return r;
}

static const struct root_disk *disk_of(const struct creation *c)
{
	return c->disk.image ? &c->disk : NULL;
}

int creation_disk(struct creation *c, struct err *err)
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

static int open_image(struct creation *c, const char *image, struct err *err)
{
	int r = store_run_open(c->home->store, call_cancel(c->call), &c->run, err);

	if (r == 0)
		r = home_image_open(c->home, c->run, image, &c->spec.pull, c->call, &c->image,
				    &c->image_digest, err);
	return r < 0 ? r : check_architecture(c, err);
}

int creation_prepare(struct creation *c, const char *image, struct err *err)
{
	int r = 0;

	if (c->spec.image_kind == SPEC_IMAGE_DISK)
		r = root_disk_open(c->home, &c->spec, c->call, &c->disk, err);
	if (c->spec.image_kind == SPEC_IMAGE_OCI)
		r = open_image(c, image, err);
	if (r < 0 && !err->stage[0])
		(void)snprintf(err->stage, sizeof(err->stage), "image");
	if (r == 0)
		r = runtime_files_find(c->home, &c->spec, &c->files, err);
	if (r == 0 && !(c->flags & SANDBOX_NO_START))
		r = check_memory(&c->spec, err);
	if (r == 0)
		r = home_reconcile(c->home, err);
	return r < 0 ? r : cancel_check(call_cancel(c->call), err);
}

/* What is known of the sandbox, for its handle. */
static int new_handle(const struct creation *c, struct sandbox **ret_sb, struct err *err)
{
	AUTO(sandbox_close) struct sandbox *sb = NULL;
	int r = sandbox_new(c->home, c->id, c->name, &c->spec, &sb, err);

	if (r < 0)
		return r;
	r = sandbox_set_commands(sb, &c->spec, c->image, err);
	if (r < 0)
		return r;
	*ret_sb = TAKE_PTR(sb);
	return 0;
}

/* From here on it ends like any other sandbox. */
static int keep_running(struct creation *c, const struct launch *l, struct sandbox *sb,
			struct err *err)
{
	int r;

	c->done = true;
	close_auto(&c->lock); /* the monitor has it: now it is free when that is gone */
	r = home_attach(c->home, c->id, l->pidfd, l->watchdog, err);
	if (r == 0)
		r = boot_times_json(l, &sb->boot_times, err);
	if (r == 0)
		r = state_sandbox_set_status(c->home->state, c->id, "running", err);
	if (r == 0 && c->flags & SANDBOX_DETACHED)
		r = home_detach(c->home, c->id, err);
	return r;
}

/* Where to look for more. */
static void tell_logs(struct creation *c, struct err *err)
{
	size_t len = strlen(err->msg);

	if (err->code == ERR_CANCELLED || cancel_fired(call_cancel(c->call)))
		return;
	c->keep_logs = true;
	(void)snprintf(err->msg + len, sizeof(err->msg) - len, "; see: msb logs %s --source all",
		       c->reused ? c->name : c->id);
}

int creation_boot(struct creation *c, struct sandbox **ret_sb, struct err *err)
{
	struct launch l = {
		.home = c->home,
		.spec = &c->spec,
		.id = c->id,
		.name = c->name,
		.linger_ms = c->linger_ms,
		.image = c->image,
		.files = &c->files,
		.run_dir = c->run_dir,
		.lock = c->lock,
		.disk = disk_of(c),
		.upper = &c->upper,
		.call = c->call,
	};
	AUTO(sandbox_close) struct sandbox *sb = NULL;
	struct err ignored = ERR_INIT;
	int r = new_handle(c, &sb, err);

	if (r < 0)
		return r;
	r = launch_run(&l, err);
	if (r < 0) {
		tell_logs(c, err);
		return r;
	}
	r = keep_running(c, &l, sb, err);
	if (r < 0) { /* it runs, but we cannot say so */
		IGNORE_RESULT(sandbox_stop(sb, SANDBOX_KILL, false, 0, NULL, NULL, &ignored));
		return r;
	}
	*ret_sb = TAKE_PTR(sb);
	return 0;
}
