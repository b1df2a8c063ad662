/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: from a spec to a running sandbox
 *
 * create: check the spec, find every file (nothing is made before that), make the run folder with
 * its lock, write the row, make the disk, boot.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/creation.h"

#define RACES_MAX 16 /* times that a name comes or goes while we look */

static int add_row(struct creation *c, struct err *err)
{
	struct state_sandbox row = { 0 };
	AUTO_FREE char *normal = NULL;
	char created[] = "created", starting[] = "starting";
	bool boots = !(c->flags & SANDBOX_NO_START);
	int r = spec_normal(&c->spec, &normal, err);

	if (r < 0)
		return r;
	row.id = c->id;
	row.name = c->name;
	row.spec = normal;
	row.status = boots ? starting : created;
	row.image_digest = c->image_digest;
	row.ephemeral = c->spec.ephemeral;
	row.exit_code = -1;
	row.created_at = clock_wall_ns();
	row.started_at = boots ? row.created_at : 0;
	r = state_sandbox_add(c->home->state, &row, err);
	if (r < 0 && err->code == ERR_EXISTS)
		return err_detail(err, ERR_NR_SANDBOX_EXISTS, c->name);
	c->has_row = r == 0;
	return r;
}

/* A sandbox of this name may be used again if it is what the spec asks for. */
static int check_equal(const struct creation *c, const struct state_sandbox *row, struct err *err)
{
	AUTO_FREE char *normal = NULL;
	int r = spec_normal(&c->spec, &normal, err);

	if (r < 0)
		return r;
	if (strcmp(normal, row->spec) != 0) {
		err_set(err, ERR_EXISTS, "sandbox '%s' exists with other settings", c->name);
		return err_detail(err, ERR_NR_SANDBOX_EXISTS, c->name);
	}
	/* It was another one when its image was looked up. */
	if (row->image_digest && c->image_digest && strcmp(row->image_digest, c->image_digest) != 0)
		return creation_name_taken(c, row->status, err);
	return 0;
}

/* The name is taken, maybe by what the caller wants. 1: it runs, and the caller wants that. */
static int reuse_row(struct creation *c, const struct state_sandbox *row, struct err *err)
{
	int alive = home_settle(c->home, row->id, err), r;

	if (alive < 0)
		return alive;
	if (!c->spec.reuse || c->flags & SANDBOX_NO_START)
		return creation_name_taken(c, row->status, err);
	r = check_equal(c, row, err);
	if (r < 0)
		return r;
	if (alive)
		return c->flags & SANDBOX_OR_CONNECT ? 1 : creation_name_taken(c, row->status, err);
	r = creation_claim(c, row, err);
	if (r < 0 && err->code == ERR_BUSY)
		return creation_name_taken(c, row->status, err);
	return r;
}

/* Id, name, run folder, row. 1: there is one that runs, with c->name. */
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
	r = creation_folder(c, err);
	return r < 0 ? r : add_row(c, err);
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

/* It stays as it is until a start: no folder of a boot. */
static int leave_created(struct creation *c, struct sandbox **ret_sb, struct err *err)
{
	int r = sandbox_get(c->home, c->id, ret_sb, err);

	if (r < 0)
		return r;
	c->done = true;
	remove_folder(c->home->run_fd, c->id);
	return 0;
}

/* End and delete the sandbox of that name. Nothing but its removal is left to be done before ours. */
static int replace(struct creation *c, struct err *err)
{
	AUTO(sandbox_close) struct sandbox *old = NULL;
	bool kill = c->spec.replace_timeout_ms == 0;
	int r = sandbox_get(c->home, c->spec.name, &old, err);

	if (r == 0)
		r = sandbox_stop(old, kill ? SANDBOX_KILL : SANDBOX_GRACEFUL, false,
				 (int64_t)c->spec.replace_timeout_ms, c->call, NULL, err);
	if (r == 0)
		r = home_sandbox_remove(c->home, old->id, true, c->call, err);
	if (r < 0 && err->number == ERR_NR_SANDBOX_NOT_FOUND) {
		*err = ERR_INIT; /* it was ephemeral, or another was faster */
		return 0;
	}
	return r;
}

static int create(struct creation *c, struct sandbox **ret_sb, struct err *err)
{
	AUTO_FREE char *kept = kept_image(c);
	struct sandbox_start_options connect = { .flags = c->flags };
	int r = creation_prepare(c, kept ? kept : c->spec.image, err);

	if (r == 0 && c->spec.replace && c->spec.name)
		r = replace(c, err);
	if (r == 0)
		r = take_name(c, err);
	store_run_close(TAKE_PTR(c->run));
	if (r == 1)
		return sandbox_start(c->home, c->name, &connect, c->call, ret_sb, err);
	if (r == 0)
		r = creation_disk(c, err);
	if (r < 0)
		return r;
	return c->flags & SANDBOX_NO_START ? leave_created(c, ret_sb, err)
					   : creation_boot(c, ret_sb, err);
}

static bool exists(struct home *home, const char *name)
{
	struct state_sandbox row = { 0 };
	struct err missing = ERR_INIT;
	int r = state_sandbox_by_name(home->state, name, &row, &missing);

	state_sandbox_done(&row);
	return r == 0;
}

/* 0: made or connected; 1: the name came or went meanwhile, look again. */
static int create_or_start(struct home *home, const char *text, unsigned flags,
			   const struct call *call, struct sandbox **ret_sb, struct err *err)
{
	AUTO(creation_done) struct creation c = CREATION_INIT(home, call, flags);
	struct sandbox_start_options options;
	bool any;
	int r = home_spec_parse(home, text, &c.spec, err);

	if (r < 0) {
		(void)snprintf(err->stage, sizeof(err->stage), "spec");
		return r;
	}
	if (c.spec.detached)
		c.flags |= SANDBOX_DETACHED;
	options = (struct sandbox_start_options){ .flags = c.flags };
	any = c.flags & SANDBOX_OR_CONNECT && c.spec.name && !c.spec.reuse && !c.spec.replace;
	if (any && exists(home, c.spec.name)) {
		r = sandbox_start(home, c.spec.name, &options, call, ret_sb, err);
		return r < 0 && err->number == ERR_NR_SANDBOX_NOT_FOUND ? 1 : r;
	}
	r = create(&c, ret_sb, err);
	if (r < 0 && any && err->number == ERR_NR_SANDBOX_EXISTS)
		return 1;
	return r;
}

int sandbox_create(struct home *home, const char *text, unsigned flags, const struct call *call,
		   struct sandbox **ret_sb, struct err *err)
{
	struct err last = ERR_INIT;

	for (int i = 0; i < RACES_MAX; i++) {
		int r;

		last = ERR_INIT;
		r = create_or_start(home, text, flags, call, ret_sb, &last);
		if (r == 0)
			return 0;
		if (r < 0)
			break;
	}
	*err = last;
	return -(int)last.code;
}
