/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the handle of a sandbox
 *
 * It is a name and an id, in whatever state the sandbox is: each call looks for the boot that runs
 * then.  What keeps an attached sandbox alive belongs to the home.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "runtime/internal.h"

int sandbox_new(struct home *home, const char *id, const char *name, const struct spec *spec,
		struct sandbox **ret_sb, struct err *err)
{
	AUTO(sandbox_close) struct sandbox *sb = calloc(1, sizeof(*sb));

	if (!sb)
		return err_no_memory(err);
	sb->home = home_ref(home);
	(void)pthread_mutex_init(&sb->lock, NULL);
	(void)snprintf(sb->id, sizeof(sb->id), "%s", id);
	(void)snprintf(sb->name, sizeof(sb->name), "%s", name);
	sb->ephemeral = spec->ephemeral;
	sb->stop_timeout_ms = spec->stop_timeout_ms;
	sb->shell = strdup(spec->shell ? spec->shell : "/bin/sh");
	if (!sb->shell)
		return err_no_memory(err);
	*ret_sb = TAKE_PTR(sb);
	return 0;
}

int sandbox_set_commands(struct sandbox *sb, const struct spec *spec, const struct image *image,
			 struct err *err)
{
	char **entrypoint = image ? image->entrypoint : NULL;
	char **cmd = image ? image->cmd : NULL;
	int r = 0;

	if (spec->entrypoint_set)
		entrypoint = spec->entrypoint.items;
	if (spec->cmd_set)
		cmd = spec->cmd.items;
	else if (spec->entrypoint_set)
		cmd = NULL; /* the image's cmd is for the image's entrypoint */
	for (; r == 0 && entrypoint && *entrypoint; entrypoint++)
		r = str_list_add(&sb->entrypoint, *entrypoint);
	for (; r == 0 && cmd && *cmd; cmd++)
		r = str_list_add(&sb->cmd, *cmd);
	if (r < 0)
		return err_no_memory(err);
	sb->commands_known = true;
	return 0;
}

/* From the record and the image that it keeps. */
static int load_commands(struct sandbox *sb, struct err *err)
{
	AUTO(spec_done) struct spec spec = { 0 };
	struct state_sandbox row = { 0 };
	struct store_run *run = NULL;
	struct image *image = NULL;
	AUTO_FREE char *digest = NULL;
	int r = state_sandbox_by_id(sb->home->state, sb->id, &row, err);

	if (r == 0)
		r = home_spec_parse(sb->home, row.spec, &spec, err);
	if (r == 0 && row.image_digest)
		r = store_run_open(sb->home->store, NULL, &run, err);
	if (r == 0 && row.image_digest)
		r = home_image_open(sb->home, run, row.image_digest, NULL, NULL, &image, &digest,
				    err);
	if (r == 0)
		r = sandbox_set_commands(sb, &spec, image, err);
	image_free(image);
	store_run_close(run);
	state_sandbox_done(&row);
	return r;
}

int sandbox_know_commands(struct sandbox *sb, struct err *err)
{
	int r = 0;

	(void)pthread_mutex_lock(&sb->lock);
	if (!sb->commands_known)
		r = load_commands(sb, err);
	(void)pthread_mutex_unlock(&sb->lock);
	return r;
}

int sandbox_get(struct home *home, const char *name_or_id, struct sandbox **ret_sb, struct err *err)
{
	AUTO(spec_done) struct spec spec = { 0 };
	struct state_sandbox row = { 0 };
	int r = state_sandbox_find(home->state, name_or_id, &row, err);

	if (r < 0)
		return err->code == ERR_NOT_FOUND
			       ? err_detail(err, ERR_NR_SANDBOX_NOT_FOUND, name_or_id)
			       : r;
	r = spec_parse(row.spec, strlen(row.spec), NULL, &spec, err);
	spec.ephemeral = row.ephemeral;
	if (r == 0)
		r = sandbox_new(home, row.id, row.name, &spec, ret_sb, err);
	state_sandbox_done(&row);
	return r;
}

/* The record with another name; the spec has it too. */
static int rename_row(struct sandbox *sb, const char *name, struct err *err)
{
	AUTO(spec_done) struct spec spec = { 0 };
	AUTO_FREE char *normal = NULL;
	struct state_sandbox row = { 0 };
	int r = state_sandbox_by_id(sb->home->state, sb->id, &row, err);

	if (r == 0)
		r = spec_parse(row.spec, strlen(row.spec), NULL, &spec, err);
	state_sandbox_done(&row);
	if (r < 0)
		return r;
	free(spec.name);
	spec.name = strdup(name);
	if (!spec.name)
		return err_no_memory(err);
	r = spec_normal(&spec, &normal, err);
	return r < 0 ? r : state_sandbox_rename(sb->home->state, sb->id, name, normal, err);
}

int sandbox_rename(struct sandbox *sb, const char *name, struct err *err)
{
	int r = spec_name_check(name, err);

	if (r < 0)
		return r;
	r = home_settle(sb->home, sb->id, err);
	if (r == 1) {
		err_set(err, ERR_BUSY, "sandbox '%s' is running; stop it first", sb->name);
		return err_detail(err, ERR_NR_STILL_RUNNING, sb->name);
	}
	if (r == 0)
		r = rename_row(sb, name, err);
	if (r < 0 && err->code == ERR_EXISTS)
		return err_detail(err, ERR_NR_SANDBOX_EXISTS, name);
	if (r < 0 && err->code == ERR_BUSY)
		return err_detail(err, ERR_NR_STILL_RUNNING, sb->name);
	if (r < 0 && err->code == ERR_NOT_FOUND)
		return err_detail(err, ERR_NR_SANDBOX_NOT_FOUND, sb->name);
	return r;
}

void sandbox_close(struct sandbox *sb)
{
	if (!sb)
		return;
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

bool sandbox_attached(const struct sandbox *sb)
{
	return home_holds(sb->home, sb->id);
}

int sandbox_detach(struct sandbox *sb, struct err *err)
{
	return home_detach(sb->home, sb->id, err);
}

int sandbox_boot_times(struct sandbox *sb, char **ret_json, struct err *err)
{
	char *copy = strdup(sb->boot_times ? sb->boot_times : "{}");

	if (!copy)
		return err_no_memory(err);
	*ret_json = copy;
	return 0;
}
