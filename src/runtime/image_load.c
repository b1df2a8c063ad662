/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/image_remove.h"

static void put_images(struct json_out *o, const struct load_result *result, const char *name)
{
	json_put_array(o, "images");
	for (size_t i = 0; i < result->n_images; i++) {
		const struct loaded_image *li = &result->images[i];

		json_put_object(o, NULL);
		json_put_str(o, "digest", li->manifest_digest);
		json_put_array(o, "references");
		if (name)
			json_put_str(o, NULL, name);
		for (size_t n = 0; !name && n < li->n_names; n++)
			json_put_str(o, NULL, li->names[n]);
		json_put_end(o);
		json_put_u64(o, "size_bytes", li->size);
		json_put_end(o);
	}
	json_put_end(o);
	json_put_u64(o, "warnings", result->n_warnings);
}

int home_image_bring_in(struct home *home, struct store_run *run, int fd, const char *what,
			const struct load_options *options, const char *name,
			struct load_result *ret_result, struct err *err)
{
	AUTO(load_result_done) struct load_result result = { 0 };
	int r = home_settings_check(home, err); /* it has limits of images */

	if (r < 0)
		return r;
	r = image_load(run, fd, what, options, &result, err);
	if (r < 0)
		return err->number
			       ? r
			       : err_detail(err, err->code == ERR_INVALID ? ERR_NR_IMAGE : 0, what);
	for (size_t i = 0; r == 0 && i < result.n_images; i++) {
		const char *const one[] = { name, NULL };
		char *const *own = result.images[i].names;

		r = home_image_record(home, run, &result.images[i],
				      name ? one : (const char *const *)own, err);
	}
	if (r < 0)
		return r;
	*ret_result = result;
	result = (struct load_result){ 0 };
	return 0;
}

/* Read the archive and record what is in it; the run that holds it is closed at the end. */
static int load(struct home *home, int fd, const char *what, const char *full,
		const struct call *call, char **ret_json, struct err *err)
{
	const struct load_options options = { .one = full };
	AUTO(store_run_close) struct store_run *run = NULL;
	AUTO(load_result_done) struct load_result result = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct json_out o;
	int r = store_run_open(home->store, call_cancel(call), &run, err);

	if (r == 0)
		r = home_image_bring_in(home, run, fd, what, &options, full, &result, err);
	if (r < 0)
		return r;
	buf_init(&b, LIST_MAX);
	json_out_init(&o, &b);
	json_put_object(&o, NULL);
	put_images(&o, &result, full);
	r = home_image_gc(home, call, &o, err);
	json_put_end(&o);
	if (r < 0)
		return r;
	return json_out_end(&o) < 0 ? err_no_memory(err) : take_json(&b, ret_json, err);
}

/* What a load that failed has brought into the store, nobody needs. */
static void sweep(struct home *home)
{
	AUTO(removal_close) struct removal rm = { 0 };
	struct err ignored = ERR_INIT; /* the first error counts */

	if (removal_open(home, NULL, &rm, &ignored) == 0)
		IGNORE_RESULT(removal_sweep(&rm, NULL, &ignored));
}

int home_image_load(struct home *home, int fd, const char *what, const char *name,
		    const struct call *call, char **ret_json, struct err *err)
{
	AUTO_FREE char *full = NULL;
	int r = home_settings_check(home, err); /* it has limits of images */

	if (r < 0)
		return r;
	if (name) {
		r = image_ref_parse(name, &full, err);
		if (r < 0)
			return r;
	}
	r = load(home, fd, what, full, call, ret_json, err);
	if (r < 0)
		sweep(home);
	return r;
}
