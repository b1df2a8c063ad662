/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "image/docs.h"
#include "image/docs_json.h"
#include "image/limits.h"

void strings_free(char **list)
{
	for (char **p = list; p && *p; p++)
		free(*p);
	free(list);
}

void image_done(struct image *img)
{
	for (size_t i = 0; i < img->n_extents; i++) {
		if (img->extents[i].fd >= 0)
			(void)close(img->extents[i].fd);
	}
	free(img->extents);
	free(img->architecture);
	strings_free(img->env);
	strings_free(img->entrypoint);
	strings_free(img->cmd);
	free(img->workdir);
	free(img->user);
	free(img->stop_signal);
	*img = (struct image){ 0 };
}

void image_free(struct image *img)
{
	if (!img)
		return;
	image_done(img);
	free(img);
}

void config_done(struct config *c)
{
	image_done(&c->image);
	free(c->created);
	free(c->os);
	free(c->variant);
	free(c->diff_ids);
	*c = (struct config){ 0 };
}

int doc_text(const struct json_at *object, const char *key, char **ret, struct err *err)
{
	struct json_at at = json_member(object, key);
	const char *text = NULL;

	if (json_opt_str(object, key, &text, err) < 0)
		return -err->code;
	if (!text || text[0] == '\0')
		return 0;
	if (strlen(text) > CONFIG_TEXT_MAX)
		return json_complain(&at, err, "too long");
	*ret = strdup(text);
	return *ret ? 0 : err_no_memory(err);
}

int doc_list(const struct json_at *object, const char *key, char ***ret, struct err *err)
{
	struct json_at list = json_member(object, key);
	size_t n = 0;

	if (json_present(&list) && json_get_array(&list, CONFIG_LIST_MAX, &n, err) < 0)
		return -err->code;
	*ret = calloc(n + 1, sizeof(char *));
	if (!*ret)
		return err_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		struct json_at item = json_item(&list, i);
		const char *text;

		if (json_get_str(&item, &text, err) < 0)
			return -err->code;
		if (strlen(text) > CONFIG_TEXT_MAX)
			return json_complain(&item, err, "too long");
		(*ret)[i] = strdup(text);
		if (!(*ret)[i])
			return err_no_memory(err);
	}
	return 0;
}

int doc_digest(const struct json_at *at, struct sha *ret, struct err *err)
{
	const char *text;

	if (json_get_str(at, &text, err) < 0)
		return -err->code;
	if (digest_parse(text, ret->b) < 0)
		return json_complain(at, err, "must be \"sha256:\" and 64 lower-case hex digits");
	return 0;
}

static int diff_ids(const struct json_at *list, uint64_t max, struct config *c, struct err *err)
{
	size_t n;

	if (json_get_array(list, DOC_ITEMS_MAX, &n, err) < 0)
		return -err->code;
	if (n > max)
		return limit_exceeded(err, "layers", n, max);
	c->diff_ids = calloc(n + 1, sizeof(*c->diff_ids));
	if (!c->diff_ids)
		return err_no_memory(err);
	c->n_diff_ids = n;
	for (size_t i = 0; i < n; i++) {
		struct json_at item = json_item(list, i);

		if (doc_digest(&item, &c->diff_ids[i], err) < 0)
			return -err->code;
	}
	return 0;
}

static int parse_config(const struct json_at *root, const struct image_limits *limits,
			struct config *c, struct err *err)
{
	struct json_at rootfs = json_member(root, "rootfs"), run = json_member(root, "config");
	struct json_at ids, none = json_root(NULL, "config");
	struct image *img = &c->image;

	if (json_get_object(root, err) < 0 || json_get_object(&rootfs, err) < 0)
		return -err->code;
	if (json_present(&run) && json_get_object(&run, err) < 0)
		return -err->code;
	if (!json_present(&run))
		run = none;
	ids = json_member(&rootfs, "diff_ids");
	if (json_present(&ids) && diff_ids(&ids, limits->layers, c, err) < 0)
		return -err->code;
	if (doc_text(root, "architecture", &img->architecture, err) < 0 ||
	    doc_text(root, "os", &c->os, err) < 0 ||
	    doc_text(root, "variant", &c->variant, err) < 0 ||
	    doc_text(root, "created", &c->created, err) < 0 ||
	    doc_list(&run, "Env", &img->env, err) < 0 ||
	    doc_list(&run, "Entrypoint", &img->entrypoint, err) < 0 ||
	    doc_list(&run, "Cmd", &img->cmd, err) < 0 ||
	    doc_text(&run, "WorkingDir", &img->workdir, err) < 0 ||
	    doc_text(&run, "User", &img->user, err) < 0 ||
	    doc_text(&run, "StopSignal", &img->stop_signal, err) < 0)
		return -err->code;
	if (!img->architecture)
		return err_set(err, ERR_INVALID, "image config: architecture is missing");
	return 0;
}

int config_parse(const void *data, size_t len, const struct image_limits *limits,
		 struct config *ret, struct err *err)
{
	AUTO(json_decref) json_t *json = NULL;
	AUTO(config_done) struct config c = { 0 };
	struct json_at root;

	if (len > limits->config_bytes)
		return limit_exceeded(err, "config_bytes", len, limits->config_bytes);
	if (json_parse("image config", data, len, len, &json, err) < 0)
		return -err->code;
	root = json_root(json, "image config");
	if (parse_config(&root, limits, &c, err) < 0)
		return -err->code;
	*ret = TAKE_STRUCT(c);
	return 0;
}
