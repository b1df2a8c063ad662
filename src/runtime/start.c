/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: boot a sandbox that is recorded
 *
 * Several callers may want the same: one claims the row, the others wait for its boot, if they
 * asked for that.
 */
#include <stdio.h>
#include <string.h>

#include "runtime/creation.h"

static int not_found(const char *name, struct err *err)
{
	err_set(err, ERR_NOT_FOUND, "no sandbox named '%s'", name);
	return err_detail(err, ERR_NR_SANDBOX_NOT_FOUND, name);
}

/* It is up, or another brings it up: 0 once it is ready, 1 if it ended meanwhile. */
static int join(struct home *home, const struct state_sandbox *row,
		const struct sandbox_start_options *options, const struct call *call,
		struct sandbox **ret_sb, struct err *err)
{
	AUTO(sandbox_close) struct sandbox *sb = NULL;
	int r;

	if (!(options->flags & SANDBOX_OR_CONNECT)) {
		err_set(err, ERR_BUSY, "sandbox '%s' is running already", row->name);
		return err_detail(err, ERR_NR_STILL_RUNNING, row->name);
	}
	r = sandbox_get(home, row->id, &sb, err);
	if (r == 0)
		r = sandbox_wait_ready(sb, call, err);
	if (r == 0)
		*ret_sb = TAKE_PTR(sb);
	return r;
}

static int boot_row(struct home *home, const struct state_sandbox *row,
		    const struct sandbox_start_options *options, const struct call *call,
		    struct sandbox **ret_sb, struct err *err)
{
	AUTO(creation_done) struct creation c = CREATION_INIT(home, call, options->flags);
	int r = home_spec_parse(home, row->spec, &c.spec, err);

	c.linger_ms = options->linger_ms;
	if (r == 0)
		r = creation_prepare(&c, row->image_digest ? row->image_digest : c.spec.image, err);
	if (r == 0)
		r = creation_claim(&c, row, err);
	store_run_close(TAKE_PTR(c.run));
	if (r < 0 && (err->number == ERR_NR_SANDBOX_EXISTS || err->code == ERR_BUSY)) {
		*err = ERR_INIT;
		return 1; /* another was faster */
	}
	if (r == 0)
		r = creation_disk(&c, err);
	return r < 0 ? r : creation_boot(&c, ret_sb, err);
}

int sandbox_start(struct home *home, const char *name, const struct sandbox_start_options *options,
		  const struct call *call, struct sandbox **ret_sb, struct err *err)
{
	int r = 1;

	while (r == 1) {
		struct state_sandbox row = { 0 };

		r = cancel_check(call_cancel(call), err);
		if (r == 0)
			r = state_sandbox_find(home->state, name, &row, err);
		if (r < 0)
			return err->code == ERR_NOT_FOUND ? not_found(name, err) : r;
		r = home_settle(home, row.id, err);
		if (r == 1)
			r = join(home, &row, options, call, ret_sb, err);
		else if (r == 0)
			r = boot_row(home, &row, options, call, ret_sb, err);
		state_sandbox_done(&row);
	}
	return r;
}
