/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/settings.h"

#include <fcntl.h>
#include <string.h>

#include "base/io.h"
#include "base/options.h"
#include "json/json.h"
#include "runtime/internal.h"

#define MAX_HOSTS   256
#define MAX_MIRRORS 16
#define MAX_KEEP    1024
#define MAX_URL	    1024 /* bytes */

static const char *const keys[] = { "engine", "cpus", "memory_mib", "registries", "images", NULL };
static const char *const host_keys[] = { "mirrors",  "ca_file", "client_cert",	 "client_key",
					 "insecure", "user",	"password_file", NULL };
static const char *const image_keys[] = { "max_size", "keep", "keep_blobs", "limits", NULL };

static void free_strings(char **list)
{
	for (char **s = list; s && *s; s++)
		free(*s);
	free(list);
}

static void host_done(struct registry_host *h)
{
	free(h->host);
	free_strings(h->mirrors);
	free(h->ca_file);
	free(h->client_cert);
	free(h->client_key);
	free(h->user);
	free(h->password_file);
}

void settings_done(struct settings *s)
{
	free(s->engine);
	for (size_t i = 0; i < s->n_hosts; i++)
		host_done(&s->hosts[i]);
	free(s->hosts);
	free_strings(s->keep);
	*s = (struct settings){ 0 };
}

/* A path of the host: absolute, or below the user's home directory. */
static int parse_path(const struct json_at *object, const char *key, const char *user_dir,
		      char **ret, struct err *err)
{
	struct json_at at = json_member(object, key);
	const char *text = NULL;
	int r = json_opt_str(object, key, &text, err);

	if (r < 0 || !text)
		return r;
	if (strncmp(text, "~/", 2) == 0 && user_dir) {
		if (asprintf(ret, "%s/%s", user_dir, text + 2) < 0)
			*ret = NULL;
	} else if (text[0] == '/') {
		*ret = strdup(text);
	} else {
		return json_complain(&at, err, "'%.100s' is not an absolute path", text);
	}
	return *ret ? 0 : err_no_memory(err);
}

/* https://HOST[:PORT][/PATH]: no credentials, no blanks. */
static bool url_valid(const char *url)
{
	const char *rest = strncmp(url, "https://", 8) == 0  ? url + 8
			   : strncmp(url, "http://", 7) == 0 ? url + 7
							     : "";

	return *rest && *rest != '/' && strlen(url) <= MAX_URL && !strpbrk(url, "@?# \t\r\n\\\"<>");
}

static int parse_mirrors(const struct json_at *host, char ***ret, struct err *err)
{
	struct json_at list = json_member(host, "mirrors");
	char **mirrors;
	size_t n;
	int r;

	if (!json_present(&list))
		return 0;
	r = json_get_array(&list, MAX_MIRRORS, &n, err);
	if (r < 0)
		return r;
	*ret = mirrors = calloc(n + 1, sizeof(*mirrors));
	if (!mirrors)
		return err_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		struct json_at item = json_item(&list, i);
		const char *url;

		r = json_get_str(&item, &url, err);
		if (r < 0)
			return r;
		if (!url_valid(url))
			return json_complain(&item, err,
					     "'%.100s' is no base URL such as https://HOST/PATH",
					     url);
		mirrors[i] = strdup(url);
		if (!mirrors[i])
			return err_no_memory(err);
	}
	return 0;
}

bool registry_name_valid(const char *host)
{
	AUTO_FREE char *reference = NULL;
	AUTO_FREE char *full = NULL;
	struct err ignored = ERR_INIT;
	size_t len = strlen(host);

	if (asprintf(&reference, "%s/x", host) < 0) {
		reference = NULL;
		return false;
	}
	if (image_ref_parse(reference, &full, &ignored) < 0)
		full = NULL;
	return full && strncmp(full, host, len) == 0 && full[len] == '/';
}

/* Written as references have it: a key that matches nothing would be ignored. */
static int check_host(const struct json_at *at, const char *host, struct err *err)
{
	if (registry_name_valid(host))
		return 0;
	if (strcmp(host, "index.docker.io") == 0 || strcmp(host, "registry-1.docker.io") == 0)
		return json_complain(at, err, "write 'docker.io'");
	return json_complain(at, err, "'%.100s' is no registry, such as ghcr.io or localhost:5000",
			     host);
}

static int parse_host(const struct json_at *at, const char *name, const char *user_dir,
		      struct registry_host *h, struct err *err)
{
	int r = check_host(at, name, err);

	h->host = strdup(name);
	if (r == 0 && !h->host)
		return err_no_memory(err);
	if (r == 0)
		r = json_only_keys(at, host_keys, err);
	if (r == 0)
		r = parse_mirrors(at, &h->mirrors, err);
	if (r == 0)
		r = parse_path(at, "ca_file", user_dir, &h->ca_file, err);
	if (r == 0)
		r = parse_path(at, "client_cert", user_dir, &h->client_cert, err);
	if (r == 0)
		r = parse_path(at, "client_key", user_dir, &h->client_key, err);
	if (r == 0)
		r = json_opt_bool(at, "insecure", &h->insecure, err);
	if (r == 0)
		r = copy_str(at, "user", &h->user, err);
	if (r == 0)
		r = parse_path(at, "password_file", user_dir, &h->password_file, err);
	if (r == 0 && !h->client_cert != !h->client_key)
		r = json_complain(at, err, "needs both or none of 'client_cert' and 'client_key'");
	if (r == 0 && !h->user != !h->password_file)
		r = json_complain(at, err, "needs both or none of 'user' and 'password_file'");
	return r;
}

static int parse_registries(const struct json_at *root, const char *user_dir, struct settings *s,
			    struct err *err)
{
	struct json_at all = json_member(root, "registries");
	const char *key;
	json_t *value;
	int r;

	if (!json_present(&all))
		return 0;
	r = json_get_object(&all, err);
	if (r < 0)
		return r;
	if (json_object_size(all.value) > MAX_HOSTS)
		return json_complain(&all, err, "more than %d registries", MAX_HOSTS);
	s->hosts = calloc(json_object_size(all.value) + 1, sizeof(*s->hosts));
	if (!s->hosts)
		return err_no_memory(err);
	json_object_foreach((json_t *)(uintptr_t)all.value, key, value)
	{
		struct json_at at = json_member(&all, key);

		at.key = key;
		r = parse_host(&at, key, user_dir, &s->hosts[s->n_hosts++], err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Bytes, or a size with a unit as on the command line. */
static int parse_max_size(const struct json_at *images, struct settings *s, struct err *err)
{
	struct json_at at = json_member(images, "max_size");
	const char *text;
	uint64_t mib;
	int r;

	if (!json_present(&at))
		return 0;
	s->max_size_set = true;
	if (!json_is_string(at.value))
		return json_get_u64(&at, 0, INT64_MAX, &s->max_size, err);
	r = json_get_str(&at, &text, err);
	if (r < 0)
		return r;
	if (parse_size_mib(text, &mib) < 0 || mib > (INT64_MAX >> 20))
		return json_complain(&at, err,
				     "'%.40s' is not a size; write \"20G\", or a number of bytes",
				     text);
	s->max_size = mib << 20;
	return 0;
}

static int parse_keep(const struct json_at *images, struct settings *s, struct err *err)
{
	struct json_at list = json_member(images, "keep");
	size_t n;
	int r;

	if (!json_present(&list))
		return 0;
	r = json_get_array(&list, MAX_KEEP, &n, err);
	if (r < 0)
		return r;
	s->keep = calloc(n + 1, sizeof(*s->keep));
	if (!s->keep)
		return err_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		struct json_at item = json_item(&list, i);
		struct err wrong = ERR_INIT;
		const char *text;

		r = json_get_str(&item, &text, err);
		if (r < 0)
			return r;
		if (image_ref_parse(text, &s->keep[i], &wrong) < 0)
			return json_complain(&item, err, "%s", wrong.msg);
		s->n_keep++;
	}
	return 0;
}

static int parse_limits(const struct json_at *images, struct image_limits *l, struct err *err)
{
	const struct image_limits *max = &image_limits_max;
	const struct {
		const char *key;
		uint64_t max, *value;
	} all[] = {
		{ "manifest_bytes", max->manifest_bytes, &l->manifest_bytes },
		{ "config_bytes", max->config_bytes, &l->config_bytes },
		{ "layers", max->layers, &l->layers },
		{ "layer_bytes", max->layer_bytes, &l->layer_bytes },
		{ "file_bytes", max->file_bytes, &l->file_bytes },
		{ "entries", max->entries, &l->entries },
	};
	enum { N = sizeof(all) / sizeof(all[0]) };
	struct json_at at = json_member(images, "limits");
	const char *names[N + 1] = { NULL };
	int r = 0;

	for (size_t i = 0; i < N; i++)
		names[i] = all[i].key;
	if (json_present(&at))
		r = json_only_keys(&at, names, err);
	for (size_t i = 0; r == 0 && json_present(&at) && i < N; i++)
		r = json_opt_u64(&at, all[i].key, 1, all[i].max, all[i].value, err);
	return r;
}

static int parse_images(const struct json_at *root, struct settings *s, struct err *err)
{
	struct json_at at = json_member(root, "images");
	int r;

	if (!json_present(&at))
		return 0;
	r = json_only_keys(&at, image_keys, err);
	if (r == 0)
		r = parse_max_size(&at, s, err);
	if (r == 0)
		r = parse_keep(&at, s, err);
	if (r == 0)
		r = json_opt_bool(&at, "keep_blobs", &s->keep_blobs, err);
	return r < 0 ? r : parse_limits(&at, &s->limits, err);
}

static int parse_machine(const struct json_at *root, struct settings *s, struct err *err)
{
	uint64_t cpus = 0;
	unsigned engine = 0;
	struct json_at at = json_member(root, "engine");
	int r = json_opt_enum(root, "engine", spec_engine_names, &engine, err);

	if (r == 0 && json_present(&at)) {
		s->engine = strdup(spec_engine_names[engine]);
		if (!s->engine)
			return err_no_memory(err);
	}
	if (r == 0)
		r = json_opt_u64(root, "cpus", 1, SPEC_MAX_CPUS, &cpus, err);
	if (r == 0)
		r = json_opt_u64(root, "memory_mib", SPEC_MIN_MEMORY_MIB, SPEC_MAX_MEMORY_MIB,
				 &s->memory_mib, err);
	s->cpus = (uint32_t)cpus;
	return r;
}

int settings_parse(const char *what, const void *text, size_t len, const char *user_dir,
		   struct settings *ret_settings, struct err *err)
{
	AUTO(settings_done) struct settings s = { .limits = image_limits_default };
	AUTO(json_decref) json_t *value = NULL;
	struct json_at root;
	int r = json_parse(what, text, len, SETTINGS_MAX_BYTES, &value, err);

	if (r < 0)
		return r;
	root = json_root(value, NULL);
	r = json_only_keys(&root, keys, err);
	if (r == 0)
		r = parse_machine(&root, &s, err);
	if (r == 0)
		r = parse_registries(&root, user_dir, &s, err);
	if (r == 0)
		r = parse_images(&root, &s, err);
	if (r < 0)
		return err_wrap(err, "%s", what);
	*ret_settings = s;
	s = (struct settings){ 0 };
	return 0;
}

int settings_read(const char *home, const char *user_dir, struct settings *ret_settings,
		  struct err *err)
{
	AUTO_FREE char *path = NULL;
	AUTO_FREE char *text = NULL;
	AUTO_CLOSE int fd = -1;
	ssize_t n;

	if (asprintf(&path, "%s/config.json", home) < 0) {
		path = NULL;
		return err_no_memory(err);
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT) {
		*ret_settings = (struct settings){ .limits = image_limits_default };
		return 0;
	}
	if (fd < 0)
		return err_sys(err, errno, "open '%s'", path);
	text = malloc(SETTINGS_MAX_BYTES + 1);
	if (!text)
		return err_no_memory(err);
	n = io_read_full(fd, text, SETTINGS_MAX_BYTES + 1);
	if (n < 0)
		return err_sys(err, (int)-n, "read '%s'", path);
	return settings_parse(path, text, (size_t)n, user_dir, ret_settings, err);
}
