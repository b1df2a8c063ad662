/* SPDX-License-Identifier: Apache-2.0 */
/* What a sandbox boots from: the keys `image` and `root_disk`. */
#include <string.h>
#include <sys/stat.h>

#include "image/arg.h"
#include "runtime/internal.h"

#define MIN_ROOT_MIB	 64
#define MAX_ROOT_MIB	 (4u << 20) /* 4 TiB, below what one file of ext4 may have */
#define DEFAULT_ROOT_MIB 8192
#define MAX_PARTITION	 128

static const char *const root_names[] = { "managed", "tmpfs", "none", "direct", "disk", NULL };
static const char *const image_kinds[] = {
	[SPEC_IMAGE_OCI] = "oci",
	[SPEC_IMAGE_PATH] = "bind",
	[SPEC_IMAGE_BIND] = "bind",
	[SPEC_IMAGE_DISK] = "disk",
};
static const char *const format_names[] = { "auto", "raw", "qcow2", NULL };

static const char *const root_keys[] = { "kind", "size_mib", "path", "format", "fstype", NULL };
static const char *const image_keys[] = { "oci",       "bind",	 "disk", "format",
					  "partition", "fstype", NULL };
static const char *const nothing_later[] = { NULL };
/* A type of file system that can be the root. */
static int get_fstype(const struct json_at *at, const char **ret, struct err *err)
{
	struct json_at key = json_member(at, "fstype");
	const char *text = NULL;
	int r = json_opt_str(at, "fstype", &text, err);

	if (r < 0 || !text)
		return r;
	*ret = disk_fstype(text);
	return *ret ? 0 : json_complain(&key, err, "'%.40s' is not ext4 or erofs", text);
}

/* The members that a disk image may have, and no other. */
static int parse_disk(const struct json_at *at, struct spec *s, struct err *err)
{
	unsigned format = DISK_ANY;
	uint64_t partition = 0;
	int r = json_opt_enum(at, "format", format_names, &format, err);

	if (r == 0)
		r = json_opt_u64(at, "partition", 1, MAX_PARTITION, &partition, err);
	if (r == 0)
		r = get_fstype(at, &s->image_fstype, err);
	s->image_format = (enum disk_format)format;
	s->image_partition = (uint32_t)partition;
	if (r == 0 && s->image_kind != SPEC_IMAGE_DISK &&
	    (format != DISK_ANY || partition || s->image_fstype))
		return json_complain(at, err, "'format', 'partition', 'fstype' need 'disk'");
	return r;
}

static int parse_image_object(const struct json_at *at, struct spec *s, struct err *err)
{
	static const enum spec_image kinds[] = { SPEC_IMAGE_OCI, SPEC_IMAGE_BIND, SPEC_IMAGE_DISK };
	const char *text = NULL;
	size_t n = 0;
	int r = keys_check(at, image_keys, nothing_later, err);

	for (size_t i = 0; r == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const char *value = NULL;

		r = json_opt_str(at, image_kinds[kinds[i]], &value, err);
		if (r < 0 || !value)
			continue;
		text = value;
		s->image_kind = kinds[i];
		n++;
	}
	if (r < 0)
		return r;
	if (n != 1)
		return json_complain(at, err, "needs exactly one of 'oci', 'bind' and 'disk'");
	s->image = strdup(text);
	return s->image ? parse_disk(at, s, err) : err_no_memory(err);
}

int spec_parse_image(const struct json_at *root, struct spec *s, struct err *err)
{
	struct json_at at = json_member(root, "image");
	int r;

	if (!json_present(&at)) {
		at.key = "image";
		return json_complain(&at, err, "is required");
	}
	if (json_is_string(at.value)) {
		r = copy_str(root, "image", &s->image, err);
		if (r == 0 && image_arg_is_local(s->image))
			s->image_kind = SPEC_IMAGE_PATH;
	} else {
		r = parse_image_object(&at, s, err);
	}
	if (r == 0 && !*s->image)
		return json_complain(&at, err, "is empty");
	return r;
}

/* The members that only kind `disk` has. */
static int parse_root_path(const struct json_at *at, struct spec *s, struct err *err)
{
	unsigned format = DISK_RAW;
	const char *fstype = "ext4";
	int r = copy_str(at, "path", &s->root_path, err);

	if (r == 0)
		r = json_opt_enum(at, "format", format_names, &format, err);
	if (r == 0)
		r = get_fstype(at, &fstype, err);
	if (r < 0)
		return r;
	if (format == DISK_QCOW2 || strcmp(fstype, "ext4") != 0)
		return json_complain(at, err, "the file must be raw with ext4");
	if (s->root == SPEC_ROOT_DISK && (!s->root_path || !*s->root_path))
		return json_complain(at, err, "kind 'disk' needs 'path'");
	if (s->root != SPEC_ROOT_DISK && s->root_path)
		return json_complain(at, err, "'path' needs kind 'disk'");
	return 0;
}

/* What fits the image, as far as its text tells. */
static int check_root(const struct json_at *at, const struct spec *s, uint64_t size,
		      struct err *err)
{
	if (size && s->root != SPEC_ROOT_MANAGED && s->root != SPEC_ROOT_TMPFS)
		return json_complain(at, err, "kind '%s' has no size", root_names[s->root]);
	if (s->root == SPEC_ROOT_DIRECT && s->image_kind == SPEC_IMAGE_OCI)
		return json_complain(at, err, "kind 'direct' needs a folder or a disk as image");
	if (s->root == SPEC_ROOT_DISK && s->image_kind == SPEC_IMAGE_DISK)
		return json_complain(at, err, "kind 'disk' does not go with a disk as image");
	return 0;
}

void spec_default_size(struct spec *s)
{
	if (s->root == SPEC_ROOT_MANAGED && !s->root_size_mib)
		s->root_size_mib = DEFAULT_ROOT_MIB;
}

int spec_parse_root_disk(const struct json_at *root, struct spec *s, struct err *err)
{
	struct json_at at = json_member(root, "root_disk");
	unsigned kind = SPEC_ROOT_MANAGED;
	uint64_t size = 0;
	int r = 0;

	if (json_present(&at) && json_is_integer(at.value)) {
		r = json_get_u64(&at, MIN_ROOT_MIB, MAX_ROOT_MIB, &size, err);
	} else if (json_present(&at)) {
		r = keys_check(&at, root_keys, nothing_later, err);
		if (r == 0)
			r = json_opt_enum(&at, "kind", root_names, &kind, err);
		s->root = (enum spec_root)kind;
		if (r == 0)
			r = json_opt_u64(&at, "size_mib", MIN_ROOT_MIB, MAX_ROOT_MIB, &size, err);
		if (r == 0)
			r = parse_root_path(&at, s, err);
	}
	s->root_size_mib = size;
	if (s->image_kind == SPEC_IMAGE_OCI || s->image_kind == SPEC_IMAGE_BIND)
		spec_default_size(s);
	return r < 0 ? r : check_root(&at, s, size, err);
}

/* The absolute path of @path, free of links; owned by the caller. */
static int resolve_path(const char *path, const char *home_dir, const char *what, char **ret_real,
			struct stat *ret_st, struct err *err)
{
	AUTO_FREE char *expanded = NULL;
	AUTO_FREE char *real = NULL;

	if (strncmp(path, "~/", 2) == 0) {
		if (!home_dir)
			return err_set(err, ERR_INVALID, "%s: '%s': the home folder is not known",
				       what, path);
		if (asprintf(&expanded, "%s/%s", home_dir, path + 2) < 0) {
			expanded = NULL;
			return err_no_memory(err);
		}
	}
	real = realpath(expanded ? expanded : path, NULL);
	if (!real || stat(real, ret_st) < 0) {
		err_sys(err, errno, "%s '%s'", what, path);
		return err_detail(err, err->code == ERR_NOT_FOUND ? ERR_NR_PATH_NOT_FOUND : 0,
				  path);
	}
	*ret_real = TAKE_PTR(real);
	return 0;
}

/* Put @real in place of the path that it is resolved from. */
static void replace_path(char **path, char *real)
{
	free(*path);
	*path = real;
}

/* What a path as image is, which its text did not tell. */
static int check_image(struct spec *s, const char *path, bool is_folder, struct err *err)
{
	if (s->image_kind == SPEC_IMAGE_PATH)
		s->image_kind = is_folder ? SPEC_IMAGE_BIND : SPEC_IMAGE_DISK;
	if (s->image_kind == SPEC_IMAGE_BIND && !is_folder)
		err_set(err, ERR_INVALID,
			"'%s' is not a folder; an archive is loaded first: msb load -i %s",
			s->image, s->image);
	else if (s->image_kind == SPEC_IMAGE_DISK && !is_folder && import_is_archive(path))
		err_set(err, ERR_INVALID, "'%s' is an archive; load it first: msb load -i %s",
			s->image, s->image);
	else if (s->image_kind == SPEC_IMAGE_DISK && is_folder)
		err_set(err, ERR_INVALID, "disk image '%s' is a folder", s->image);
	else if (s->image_kind == SPEC_IMAGE_DISK && s->root == SPEC_ROOT_DISK)
		err_set(err, ERR_INVALID,
			"a root disk of its own does not go with disk image '%s'\n"
			"write the image in place: --root-disk direct",
			s->image);
	else
		return 0;
	return err_detail(err, ERR_NR_NONE, s->image);
}

static int resolve_image(struct spec *s, const char *home_dir, struct err *err)
{
	AUTO_FREE char *real = NULL;
	struct stat st = { 0 };
	int r = resolve_path(s->image, home_dir,
			     s->image_kind == SPEC_IMAGE_BIND ? "image folder" : "image", &real,
			     &st, err);

	if (r == 0)
		r = check_image(s, real, S_ISDIR(st.st_mode), err);
	if (r == 0)
		replace_path(&s->image, TAKE_PTR(real));
	if (s->image_kind == SPEC_IMAGE_BIND)
		spec_default_size(s);
	return r;
}

static int resolve_folder(char **path, const char *home_dir, struct err *err)
{
	AUTO_FREE char *real = NULL;
	struct stat st = { 0 };
	int r = resolve_path(*path, home_dir, "bind", &real, &st, err);

	if (r < 0)
		return r;
	if (!S_ISDIR(st.st_mode)) {
		err_set(err, ERR_INVALID, "bind '%s' is not a folder", *path);
		return err_detail(err, ERR_NR_NONE, *path);
	}
	replace_path(path, TAKE_PTR(real));
	return 0;
}

int spec_resolve(struct spec *spec, const char *home_dir, struct err *err)
{
	AUTO_FREE char *root = NULL;
	struct stat st;
	int r = 0;

	if (spec->image_kind != SPEC_IMAGE_OCI)
		r = resolve_image(spec, home_dir, err);
	else
		r = import_resolve(&spec->image, home_dir, err);
	if (r == 0 && spec->root_path)
		r = resolve_path(spec->root_path, home_dir, "root disk", &root, &st, err);
	if (r == 0 && root)
		replace_path(&spec->root_path, TAKE_PTR(root));
	for (size_t i = 0; r == 0 && i < spec->n_mounts; i++)
		r = resolve_folder(&spec->mounts[i].source, home_dir, err);
	return r;
}

void spec_put_root(struct json_out *o, const struct spec *s)
{
	json_put_object(o, "image");
	json_put_str(o, image_kinds[s->image_kind], s->image);
	if (s->image_format != DISK_ANY)
		json_put_str(o, "format", format_names[s->image_format]);
	if (s->image_partition)
		json_put_u64(o, "partition", s->image_partition);
	if (s->image_fstype)
		json_put_str(o, "fstype", s->image_fstype);
	json_put_end(o);
	json_put_object(o, "root_disk");
	json_put_str(o, "kind", root_names[s->root]);
	if (s->root_size_mib)
		json_put_u64(o, "size_mib", s->root_size_mib);
	if (s->root_path)
		json_put_str(o, "path", s->root_path);
	json_put_end(o);
}
