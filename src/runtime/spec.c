/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/spec.h"

#include <assert.h>
#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "base/signals.h"
#include "image/arg.h"
#include "json/json.h"
#include "runtime/internal.h"

#define MAX_NAME	   128 /* bytes */
#define MAX_HOSTNAME	   64  /* bytes; HOST_NAME_MAX of Linux */
#define MAX_LABELS	   64
#define MAX_ENV		   4096 /* variables */
#define DEFAULT_CPUS	   1
#define DEFAULT_MEMORY_MIB 512
#define START_KVM_MS	   30000
#define START_QEMU_MS	   120000
#define STOP_MS		   10000
#define MAX_LIFE_MS	   (10ull * 365 * 86400 * 1000) /* ten years */
#define MAX_TIMEOUT_MS	   (7ull * 24 * 3600 * 1000)

const char *const spec_engine_names[] = { "auto", "kvm", "qemu", NULL };
/* All keys there are, so that a suggestion knows them; then those that do not work yet. */
static const char *const spec_keys[] = {
	"spec_version",
	"name",
	"labels",
	"engine",
	"image",
	"snapshot",
	"root_disk",
	"registry",
	"cpus",
	"max_cpus",
	"memory_mib",
	"max_memory_mib",
	"swap_mib",
	"cpu_placement",
	"placement_profile",
	"thp",
	"rlimits",
	"env",
	"workdir",
	"user",
	"shell",
	"entrypoint",
	"cmd",
	"main",
	"init",
	"hostname",
	"scripts",
	"security",
	"volumes",
	"patches",
	"network",
	"secrets",
	"secret_env",
	"on_secret_violation",
	"ports",
	"vsock",
	"lifecycle",
	"logs",
	"metrics",
	NULL,
};
static const char *const spec_later[] = {
	"snapshot",
	"max_cpus",
	"max_memory_mib",
	"swap_mib",
	"cpu_placement",
	"placement_profile",
	"thp",
	"main",
	"init",
	"scripts",
	"security",
	"patches",
	"network",
	"secrets",
	"secret_env",
	"on_secret_violation",
	"ports",
	"vsock",
	"metrics",
	NULL,
};
static const char *const logs_keys[] = { "level", "capture", "max_mib", NULL };
static const char *const logs_later[] = { "level", "max_mib", NULL };
static const char *const capture_names[] = { "all", "main", "none", NULL };
static_assert(CAPTURE_ALL == 0 && CAPTURE_MAIN == 1 && CAPTURE_NONE == 2 && CAPTURE_MAX == 3,
	      "capture_names[] does not match enum launch_capture");
static const char *const lifecycle_keys[] = {
	"detached",
	"ephemeral",
	"replace",
	"replace_timeout_ms",
	"max_duration_ms",
	"idle_timeout_ms",
	"start_timeout_ms",
	"stop_timeout_ms",
	"stop_signal",
	"reuse",
	NULL,
};
static const char *const lifecycle_later[] = { NULL };
static const char *const mount_keys[] = {
	"bind",	     "named",	  "disk",      "tmpfs",	 "memory", "fs",   "readonly",
	"noexec",    "nosuid",	  "nodev",     "rules",	 "create", "kind", "size_mib",
	"inodes",    "quota_mib", "overlay",   "cache",	 "uid",	   "gid",  "access",
	"host_mode", "format",	  "partition", "fstype", NULL,
};
static const char *const mount_later[] = {
	"named", "disk",     "tmpfs",	  "memory",    "fs",	    "rules",  "create",
	"kind",	 "size_mib", "inodes",	  "quota_mib", "overlay",   "cache",  "uid",
	"gid",	 "access",   "host_mode", "format",    "partition", "fstype", NULL,
};

void spec_done(struct spec *spec)
{
	free(spec->name);
	free(spec->image);
	pull_how_done(&spec->pull);
	free(spec->root_path);
	str_list_done(&spec->env);
	free(spec->workdir);
	free(spec->user);
	free(spec->hostname);
	free(spec->shell);
	str_list_done(&spec->entrypoint);
	str_list_done(&spec->cmd);
	for (size_t i = 0; i < spec->n_labels; i++) {
		free(spec->labels[i].key);
		free(spec->labels[i].value);
	}
	free(spec->labels);
	for (size_t i = 0; i < spec->n_mounts; i++) {
		free(spec->mounts[i].target);
		free(spec->mounts[i].source);
	}
	free(spec->mounts);
	free(spec->rlimits);
	*spec = (struct spec){ 0 };
}

/* A sandbox, volume or snapshot name. */
static bool name_valid(const char *name)
{
	size_t len = strlen(name);

	if (len < 1 || len > MAX_NAME || !isalnum((unsigned char)name[0]))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
	       len;
}

int keys_check(const struct json_at *object, const char *const *keys, const char *const *later,
	       struct err *err)
{
	int r = json_only_keys(object, keys, err);

	for (size_t i = 0; r == 0 && later[i]; i++) {
		struct json_at at = json_member(object, later[i]);

		if (json_present(&at))
			return json_complain(&at, err, "is not supported yet");
	}
	return r;
}

int copy_str(const struct json_at *object, const char *key, char **ret, struct err *err)
{
	const char *text = NULL;
	int r = json_opt_str(object, key, &text, err);

	if (r < 0 || !text)
		return r;
	*ret = strdup(text);
	return *ret ? 0 : err_no_memory(err);
}

int copy_list(const struct json_at *at, struct str_list *ret, struct err *err)
{
	size_t n;
	int r = json_get_array(at, SPEC_MAX_LIST, &n, err);

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct json_at item = json_item(at, i);
		const char *text;

		r = json_get_str(&item, &text, err);
		if (r == 0 && str_list_add(ret, text) < 0)
			return err_no_memory(err);
	}
	return r;
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The object @key, of at most @max members: their number, 0 if there is none, or -ERR_*. */
static int get_map(const struct json_at *from, const char *key, int max, const char *what,
		   struct json_at *ret, struct err *err)
{
	size_t n;
	int r;

	*ret = json_member(from, key);
	if (!json_present(ret))
		return 0;
	r = json_get_object(ret, err);
	if (r < 0)
		return r;
	n = json_object_size(ret->value);
	return n > (size_t)max ? json_complain(ret, err, "more than %d %s", max, what) : (int)n;
}

int copy_env(const struct json_at *object, struct str_list *ret, struct err *err)
{
	struct json_at env;
	const char *key;
	json_t *value;
	int r = get_map(object, "env", MAX_ENV, "variables", &env, err);

	if (r <= 0)
		return r;
	json_object_foreach((json_t *)(uintptr_t)env.value, key, value)
	{
		struct json_at at = json_member(&env, key);
		AUTO_FREE char *both = NULL;
		const char *text;

		if (!*key || strchr(key, '='))
			return json_complain(&env, err, "'%s' is no name of a variable", key);
		if (strncmp(key, "MSB_", 4) == 0)
			return json_complain(&at, err, "names that begin with MSB_ are reserved");
		r = json_get_str(&at, &text, err);
		if (r < 0)
			return r;
		if (asprintf(&both, "%s=%s", key, text) < 0) {
			both = NULL;
			return err_no_memory(err);
		}
		if (str_list_add(ret, both) < 0)
			return err_no_memory(err);
	}
	if (ret->n > 1)
		qsort(ret->items, ret->n, sizeof(ret->items[0]), compare_text);
	return 0;
}

/* Absolute, and each part a plain name. */
static bool guest_path_valid(const char *path)
{
	if (path[0] != '/' || strlen(path) >= PATH_MAX)
		return false;
	for (const char *p = path; *p; p += strcspn(p, "/")) {
		size_t n = strcspn(++p, "/");

		if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
	}
	return true;
}

int spec_name_check(const char *name, struct err *err)
{
	if (name_valid(name))
		return 0;
	err_set(err, ERR_INVALID,
		"'%.140s' is no name: 1 to %d of letters, digits, '.', '_', '-', the first a "
		"letter or digit",
		name, MAX_NAME);
	return err_detail(err, ERR_NR_NONE, "name");
}

static int parse_name(const struct json_at *root, struct spec *s, struct err *err)
{
	struct json_at at = json_member(root, "name");
	int r = copy_str(root, "name", &s->name, err);

	if (r == 0 && s->name && !name_valid(s->name))
		return json_complain(&at, err,
				     "'%.140s' is no name: 1 to %d of letters, digits, '.', '_', "
				     "'-', the first a letter or digit",
				     s->name, MAX_NAME);
	return r;
}

static int parse_labels(const struct json_at *root, struct spec *s, struct err *err)
{
	static const char *const reserved[] = { "sandbox.", "microsandbox.", "service." };
	struct json_at labels;
	const char *key;
	json_t *value;
	int r = get_map(root, "labels", MAX_LABELS, "labels", &labels, err);

	if (r <= 0)
		return r;
	s->labels = calloc((size_t)r, sizeof(*s->labels));
	if (!s->labels)
		return err_no_memory(err);
	json_object_foreach((json_t *)(uintptr_t)labels.value, key, value)
	{
		struct json_at at = json_member(&labels, key);
		struct spec_label *l = &s->labels[s->n_labels];
		const char *text;

		if (strlen(key) < 1 || strlen(key) > MAX_NAME)
			return json_complain(&labels, err, "a key has 1 to %d bytes", MAX_NAME);
		for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
			if (strncmp(key, reserved[i], strlen(reserved[i])) == 0)
				return json_complain(&at, err,
						     "keys that begin with '%s' are reserved",
						     reserved[i]);
		r = json_get_str(&at, &text, err);
		if (r < 0)
			return r;
		l->key = strdup(key);
		l->value = strdup(text);
		s->n_labels++;
		if (!l->key || !l->value)
			return err_no_memory(err);
	}
	qsort(s->labels, s->n_labels, sizeof(s->labels[0]), compare_text); /* key is first */
	return 0;
}

static int parse_mount(const struct json_at *at, const char *target, struct spec_mount *m,
		       struct err *err)
{
	int r;

	if (strcmp(target, "/") == 0 || !guest_path_valid(target))
		return json_complain(at, err,
				     "the path in the guest must be absolute, not '/', "
				     "without '.', '..' and empty parts");
	r = keys_check(at, mount_keys, mount_later, err);
	if (r == 0)
		r = copy_str(at, "bind", &m->source, err);
	if (r == 0 && (!m->source || !path_is_local(m->source)))
		return json_complain(at, err, "'bind' must be the path of a folder");
	m->nodev = true;
	if (r == 0)
		r = json_opt_bool(at, "readonly", &m->read_only, err);
	if (r == 0)
		r = json_opt_bool(at, "nosuid", &m->nosuid, err);
	if (r == 0)
		r = json_opt_bool(at, "noexec", &m->noexec, err);
	if (r == 0)
		r = json_opt_bool(at, "nodev", &m->nodev, err);
	if (r < 0)
		return r;
	m->target = strdup(target);
	return m->target ? 0 : err_no_memory(err);
}

static int parse_mounts(const struct json_at *root, struct spec *s, struct err *err)
{
	struct json_at volumes;
	const char *key;
	json_t *value;
	int r = get_map(root, "volumes", SPEC_MAX_MOUNTS, "mounts", &volumes, err);

	if (r <= 0)
		return r;
	s->mounts = calloc((size_t)r, sizeof(*s->mounts));
	if (!s->mounts)
		return err_no_memory(err);
	json_object_foreach((json_t *)(uintptr_t)volumes.value, key, value)
	{
		struct json_at at = json_member(&volumes, key);

		if (!json_present(&at)) {
			at.key = key;
			return json_complain(&at, err, "must be an object");
		}
		r = parse_mount(&at, key, &s->mounts[s->n_mounts++], err);
		if (r < 0)
			return r;
	}
	/* A parent is a prefix, so it comes first; target is the first field. */
	qsort(s->mounts, s->n_mounts, sizeof(s->mounts[0]), compare_text);
	return 0;
}

/* 0 means "none", as the absence. */
static int parse_limits(const struct json_at *lifecycle, struct spec *s, struct err *err)
{
	struct json_at at = json_member(lifecycle, "stop_signal");
	const char *name = NULL;
	int r;

	r = json_opt_u64(lifecycle, "max_duration_ms", 0, MAX_LIFE_MS, &s->max_duration_ms, err);
	if (r == 0)
		r = json_opt_u64(lifecycle, "idle_timeout_ms", 0, MAX_LIFE_MS, &s->idle_timeout_ms,
				 err);
	if (r == 0)
		r = json_opt_str(lifecycle, "stop_signal", &name, err);
	if (r < 0 || !name)
		return r;
	s->stop_signal = signal_number(name);
	return s->stop_signal ? 0
			      : json_complain(&at, err,
					      "'%.40s' is no signal; for example \"TERM\", "
					      "\"SIGQUIT\", \"15\"",
					      name);
}

static int parse_logs(const struct json_at *root, struct spec *s, struct err *err)
{
	struct json_at at = json_member(root, "logs");
	unsigned capture = CAPTURE_ALL;
	int r;

	if (!json_present(&at))
		return 0;
	r = json_get_object(&at, err);
	if (r == 0)
		r = keys_check(&at, logs_keys, logs_later, err);
	if (r == 0)
		r = json_opt_enum(&at, "capture", capture_names, &capture, err);
	s->capture = (enum launch_capture)capture;
	return r;
}

static int parse_lifecycle(const struct json_at *root, struct spec *s, struct err *err)
{
	struct json_at at = json_member(root, "lifecycle");
	int r;

	s->ephemeral = !s->name;
	s->start_timeout_ms = s->engine == SPEC_ENGINE_KVM ? START_KVM_MS : START_QEMU_MS;
	s->stop_timeout_ms = s->replace_timeout_ms = STOP_MS;
	if (!json_present(&at))
		return 0;
	r = keys_check(&at, lifecycle_keys, lifecycle_later, err);
	if (r == 0)
		r = json_opt_bool(&at, "detached", &s->detached, err);
	if (r == 0)
		r = json_opt_bool(&at, "ephemeral", &s->ephemeral, err);
	if (r == 0)
		r = json_opt_bool(&at, "reuse", &s->reuse, err);
	if (r == 0)
		r = json_opt_bool(&at, "replace", &s->replace, err);
	if (r == 0)
		r = json_opt_u64(&at, "replace_timeout_ms", 0, MAX_TIMEOUT_MS,
				 &s->replace_timeout_ms, err);
	if (r == 0)
		r = parse_limits(&at, s, err);
	if (r == 0)
		r = json_opt_u64(&at, "start_timeout_ms", 1, MAX_TIMEOUT_MS, &s->start_timeout_ms,
				 err);
	if (r == 0)
		r = json_opt_u64(&at, "stop_timeout_ms", 0, UINT32_MAX, &s->stop_timeout_ms, err);
	return r;
}

static int parse_machine(const struct json_at *root, struct spec *s, struct err *err)
{
	uint64_t version = 1, cpus = s->cpus;
	unsigned engine = SPEC_ENGINE_AUTO;
	int r;

	r = json_opt_u64(root, "spec_version", 1, 1, &version, err);
	if (r == 0)
		r = json_opt_enum(root, "engine", spec_engine_names, &engine, err);
	if (r == 0)
		r = json_opt_u64(root, "cpus", 1, SPEC_MAX_CPUS, &cpus, err);
	if (r == 0)
		r = json_opt_u64(root, "memory_mib", SPEC_MIN_MEMORY_MIB, SPEC_MAX_MEMORY_MIB,
				 &s->memory_mib, err);
	s->cpus = (uint32_t)cpus;
	s->engine = (enum spec_engine)engine;
	return r;
}

static int parse_hostname(const struct json_at *root, struct spec *s, struct err *err)
{
	struct json_at at = json_member(root, "hostname");
	int r = copy_str(root, "hostname", &s->hostname, err);

	if (r < 0 || !s->hostname)
		return r;
	if (!*s->hostname || strlen(s->hostname) > MAX_HOSTNAME ||
	    s->hostname[strspn(s->hostname, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					    "0123456789._-")])
		return json_complain(&at, err,
				     "must have 1 to %d of letters, digits, '.', '_', '-'",
				     MAX_HOSTNAME);
	return 0;
}

static int parse_programs(const struct json_at *root, struct spec *s, struct err *err)
{
	struct json_at entrypoint = json_member(root, "entrypoint");
	struct json_at cmd = json_member(root, "cmd");
	struct json_at workdir = json_member(root, "workdir");
	int r = copy_env(root, &s->env, err);

	if (r == 0)
		r = copy_rlimits(root, &s->rlimits, &s->n_rlimits, err);
	if (r == 0)
		r = copy_str(root, "workdir", &s->workdir, err);
	if (r == 0 && s->workdir && s->workdir[0] != '/')
		return json_complain(&workdir, err, "'%.100s' is not an absolute path", s->workdir);
	if (r == 0)
		r = copy_str(root, "user", &s->user, err);
	if (r == 0)
		r = copy_str(root, "shell", &s->shell, err);
	if (r == 0 && json_present(&entrypoint)) {
		s->entrypoint_set = true;
		r = copy_list(&entrypoint, &s->entrypoint, err);
	}
	if (r == 0 && json_present(&cmd)) {
		s->cmd_set = true;
		r = copy_list(&cmd, &s->cmd, err);
	}
	return r;
}

static int parse_registry(const struct json_at *root, struct spec *s, struct err *err)
{
	struct json_at at = json_member(root, "registry");

	return pull_how_parse(&at, PULL_HOW_SPEC, &s->pull, err);
}

int spec_parse(const void *text, size_t len, const struct spec_defaults *defaults,
	       struct spec *ret_spec, struct err *err)
{
	static int (*const steps[])(const struct json_at *, struct spec *, struct err *) = {
		parse_name,	 parse_machine,	 spec_parse_image, spec_parse_root_disk,
		parse_labels,	 parse_programs, parse_hostname,   parse_mounts,
		parse_lifecycle, parse_logs,	 parse_registry,
	};
	AUTO(json_decref) json_t *value = NULL;
	AUTO(spec_done)
	struct spec spec = {
		.cpus = defaults && defaults->cpus ? defaults->cpus : DEFAULT_CPUS,
		.memory_mib = defaults && defaults->memory_mib ? defaults->memory_mib
							       : DEFAULT_MEMORY_MIB,
	};
	struct json_at root;
	int r;

	r = json_parse("spec", text, len, SPEC_MAX_LEN, &value, err);
	if (r < 0)
		return r;
	root = json_root(value, NULL);
	r = keys_check(&root, spec_keys, spec_later, err);
	for (size_t i = 0; r == 0 && i < sizeof(steps) / sizeof(steps[0]); i++)
		r = steps[i](&root, &spec, err);
	if (r < 0)
		return err_detail(err, err->number, NULL);
	*ret_spec = spec;
	spec = (struct spec){ 0 };
	return 0;
}

static void put_list(struct json_out *o, const char *key, const struct str_list *l)
{
	json_put_array(o, key);
	for (size_t i = 0; i < l->n; i++)
		json_put_str(o, NULL, l->items[i]);
	json_put_end(o);
}

static void put_mounts(struct json_out *o, const struct spec *s)
{
	json_put_object(o, "volumes");
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct spec_mount *m = &s->mounts[i];

		json_put_object(o, m->target);
		json_put_str(o, "bind", m->source);
		json_put_bool(o, "readonly", m->read_only);
		json_put_bool(o, "nosuid", m->nosuid);
		json_put_bool(o, "noexec", m->noexec);
		json_put_bool(o, "nodev", m->nodev);
		json_put_end(o);
	}
	json_put_end(o);
}

static int put_env(struct json_out *o, const struct spec *s)
{
	json_put_object(o, "env");
	for (size_t i = 0; i < s->env.n; i++) {
		const char *equals = strchr(s->env.items[i], '=');
		AUTO_FREE char *key = strndup(s->env.items[i], (size_t)(equals - s->env.items[i]));

		if (!key)
			return -ENOMEM;
		json_put_str(o, key, equals + 1);
	}
	json_put_end(o);
	return 0;
}

int spec_normal(const struct spec *s, char **ret_json, struct err *err)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct json_out o;
	char signal[12];
	int r;

	buf_init(&b, (size_t)2 * SPEC_MAX_LEN);
	json_out_init(&o, &b);
	json_put_object(&o, NULL);
	json_put_u64(&o, "spec_version", 1);
	if (s->name)
		json_put_str(&o, "name", s->name);
	json_put_str(&o, "engine", spec_engine_names[s->engine]);
	spec_put_root(&o, s);
	json_put_u64(&o, "cpus", s->cpus);
	json_put_u64(&o, "memory_mib", s->memory_mib);
	json_put_object(&o, "labels");
	for (size_t i = 0; i < s->n_labels; i++)
		json_put_str(&o, s->labels[i].key, s->labels[i].value);
	json_put_end(&o);
	r = put_env(&o, s);
	if (s->workdir)
		json_put_str(&o, "workdir", s->workdir);
	if (s->user)
		json_put_str(&o, "user", s->user);
	if (s->hostname)
		json_put_str(&o, "hostname", s->hostname);
	json_put_str(&o, "shell", s->shell ? s->shell : "/bin/sh");
	if (s->entrypoint_set)
		put_list(&o, "entrypoint", &s->entrypoint);
	if (s->cmd_set)
		put_list(&o, "cmd", &s->cmd);
	put_mounts(&o, s);
	json_put_object(&o, "logs");
	json_put_str(&o, "capture", capture_names[s->capture]);
	json_put_end(&o);
	if (s->n_rlimits > 0)
		put_rlimits(&o, s->rlimits, s->n_rlimits);
	json_put_object(&o, "lifecycle");
	json_put_bool(&o, "ephemeral", s->ephemeral);
	json_put_u64(&o, "start_timeout_ms", s->start_timeout_ms);
	json_put_u64(&o, "stop_timeout_ms", s->stop_timeout_ms);
	if (s->max_duration_ms)
		json_put_u64(&o, "max_duration_ms", s->max_duration_ms);
	if (s->idle_timeout_ms)
		json_put_u64(&o, "idle_timeout_ms", s->idle_timeout_ms);
	if (s->stop_signal) {
		(void)snprintf(signal, sizeof(signal), "%d", s->stop_signal);
		json_put_str(&o, "stop_signal", signal);
	}
	json_put_end(&o);
	json_put_end(&o);
	if (r < 0 || json_out_end(&o) < 0)
		return err_no_memory(err);
	return take_json(&b, ret_json, err);
}
