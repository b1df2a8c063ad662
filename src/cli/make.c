/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/make.h"

#include <string.h>

#include "cli/common.h"
#include "cli/show.h"

int make_check(const struct make_opts *o, const struct opt_rest *rest, const char *command,
	       struct msb_error *err)
{
	if (rest->n_args == 0)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "no image given\nfor example: msb %s busybox -- uname -a",
				    command);
	if (rest->n_args > 1)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "unexpected argument '%s'\n"
				    "put -- before the guest command: msb %s %s -- %s",
				    rest->args[1], command, rest->args[0], rest->args[1]);
	if (o->ephemeral && o->persist)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "--ephemeral and --persist exclude each other");
	if (o->replace && !o->name)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "--replace needs the name of what goes: --name NAME");
	return 0;
}

/* As everywhere: a path begins like one. */
static bool looks_like_path(const char *text)
{
	return text[0] == '/' || strncmp(text, "./", 2) == 0 || strncmp(text, "../", 3) == 0 ||
	       strncmp(text, "~/", 2) == 0;
}

/* SIZE, tmpfs[:SIZE], none, direct, PATH */
static int put_root_disk(struct json_out *o, const char *text, struct msb_error *err)
{
	const char *size = text, *kind = "managed";
	bool path = looks_like_path(text);
	uint64_t mib;

	if (strcmp(text, "none") == 0 || strcmp(text, "direct") == 0 || path) {
		kind = path ? "disk" : text;
		size = NULL;
	} else if (strncmp(text, "tmpfs", 5) == 0 && (text[5] == '\0' || text[5] == ':')) {
		kind = "tmpfs";
		size = text[5] ? text + 6 : NULL;
	}
	if (size && parse_size_mib(size, &mib) < 0)
		return common_error(
			err, MSB_E_INVALID_CONFIG,
			"--root-disk: '%s' is not a size, tmpfs[:SIZE], none, direct or "
			"a path; write 20G, or ./%s for a file",
			text, text);
	json_put_object(o, "root_disk");
	json_put_str(o, "kind", kind);
	if (size)
		json_put_u64(o, "size_mib", mib);
	if (path)
		json_put_str(o, "path", text);
	json_put_end(o);
	return 0;
}

/* What is said about partitions makes the image a disk. */
static void put_image(struct json_out *o, const struct make_opts *opts, const char *image)
{
	if (!opts->partition && !opts->fstype) {
		json_put_str(o, "image", image);
		return;
	}
	json_put_object(o, "image");
	json_put_str(o, "disk", image);
	if (opts->partition)
		json_put_u64(o, "partition", opts->partition);
	if (opts->fstype)
		json_put_str(o, "fstype", opts->fstype);
	json_put_end(o);
}

static int put_labels(struct json_out *j, const struct opt_list *labels, struct msb_error *err)
{
	json_put_object(j, "labels");
	for (size_t i = 0; i < labels->n; i++) {
		const char *text = labels->items[i];
		size_t len = strcspn(text, "=");
		char key[256];

		if (len == 0 || len >= sizeof(key))
			return common_error(err, MSB_E_INVALID_CONFIG,
					    "--label: '%s' is not KEY or KEY=VALUE", text);
		(void)snprintf(key, sizeof(key), "%.*s", (int)len, text);
		json_put_str(j, key, text[len] ? text + len + 1 : "");
	}
	json_put_end(j);
	return 0;
}

static void put_lifecycle(struct json_out *j, const struct make_opts *o, bool reuse)
{
	json_put_object(j, "lifecycle");
	if (reuse && !o->replace)
		json_put_bool(j, "reuse", true);
	if (o->replace)
		json_put_bool(j, "replace", true);
	if (o->replace_timeout_ms != MAKE_NOT_GIVEN)
		json_put_u64(j, "replace_timeout_ms", o->replace_timeout_ms);
	if (o->max_duration_ms)
		json_put_u64(j, "max_duration_ms", o->max_duration_ms);
	if (o->idle_timeout_ms)
		json_put_u64(j, "idle_timeout_ms", o->idle_timeout_ms);
	if (o->ephemeral || o->persist)
		json_put_bool(j, "ephemeral", o->ephemeral);
	if (o->start_timeout_ms)
		json_put_u64(j, "start_timeout_ms", o->start_timeout_ms);
	if (o->stop_timeout_ms != MAKE_NOT_GIVEN)
		json_put_u64(j, "stop_timeout_ms", o->stop_timeout_ms);
	json_put_end(j);
}

static void put_entrypoint(struct json_out *j, const struct opt_list *words)
{
	json_put_array(j, "entrypoint");
	for (size_t i = 0; i < words->n; i++)
		if (*words->items[i])
			json_put_str(j, NULL, words->items[i]);
	json_put_end(j);
}

static void put_machine(struct json_out *j, const struct make_opts *o)
{
	const struct {
		const char *key, *value;
	} texts[] = {
		{ "name", o->name }, { "engine", o->engine },	  { "workdir", o->workdir },
		{ "user", o->user }, { "hostname", o->hostname }, { "shell", o->shell },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].value)
			json_put_str(j, texts[i].key, texts[i].value);
	if (o->cpus != MAKE_NOT_GIVEN)
		json_put_u64(j, "cpus", o->cpus);
	if (o->memory_mib != MAKE_NOT_GIVEN)
		json_put_u64(j, "memory_mib", o->memory_mib);
}

int make_spec(const struct make_opts *o, const char *image, bool reuse, struct buf *b,
	      const char **ret_text, struct msb_error *err)
{
	AUTO(json_decref) json_t *env = NULL;
	struct json_out j;
	int r = env_read(&o->env, &env, err);

	if (r < 0)
		return r;
	json_out_init(&j, b);
	json_put_object(&j, NULL);
	put_image(&j, o, image);
	put_machine(&j, o);
	if (env)
		json_put_value(&j, "env", env);
	if (o->root_disk)
		r = put_root_disk(&j, o->root_disk, err);
	if (r >= 0 && o->labels.n > 0)
		r = put_labels(&j, &o->labels, err);
	if (r < 0)
		return r;
	if (o->entrypoint.n > 0)
		put_entrypoint(&j, &o->entrypoint);
	json_put_object(&j, "registry");
	fetch_put(&j, &o->fetch);
	json_put_end(&j);
	put_lifecycle(&j, o, reuse);
	json_put_end(&j);
	return common_json(&j, b, ret_text, err);
}

/* One sandbox that is made in the background. */
struct creation {
	struct msb *m;	  /* borrowed */
	const char *spec; /* borrowed */
	int flags;
	struct msb_sandbox *sb; /* out; owned by whoever takes it */
};

static int create_job(void *user, const struct msb_call *call, struct msb_error *err)
{
	struct creation *c = user;

	return msb_sandbox_create(c->m, c->spec, c->flags, call, &c->sb, err);
}

int make_sandbox(struct msb *m, const char *image, const char *spec, int flags,
		 struct msb_sandbox **ret_sb, struct msb_error *err)
{
	struct creation c = { .m = m, .spec = spec, .flags = flags };
	struct show_job job = { .name = image, .run = create_job, .user = &c };
	int r = show_run(&job, 1, SHOW_AUTO, err);

	if (r == 0 && job.result < 0) {
		*err = job.error;
		r = job.result;
	}
	if (r == 0) {
		*ret_sb = c.sb;
		return 0;
	}
	if (c.sb) /* it was ready when the signal came */
		IGNORE_RESULT(msb_sandbox_stop(c.sb, MSB_KILL, 0, NULL, NULL, NULL));
	msb_sandbox_close(c.sb);
	return r > 0 ? EXIT_SIGNAL + r : r;
}
