/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: copies
 *
 * Both ways a tree travels as a tar archive; the receiver decides what becomes of it.  On this side
 * that is tar/unpack.h with everything switched off that a guest must not do to a host.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/num.h"
#include "runtime/files.h"
#include "runtime/internal.h"
#include "tar/pack.h"
#include "tar/unpack.h"

#define READ_BYTES (128u << 10) /* of one read from a descriptor */
#define PIPE_BYTES 4096u /* PIPE_BUF of Linux: what a pipe has room for when poll() says so */
#define ID_MAX	   (UINT32_MAX - 1)

/* "/a/b/" is "/a" and "b"; "b" is "." and "b"; what has no name of its own is itself and ".". */
static int split(const char *path, char **ret_folder, char **ret_name, struct err *err)
{
	AUTO_FREE char *folder = strdup(path);
	AUTO_FREE char *name = NULL;
	size_t len = strlen(path);
	const char *last;
	char *slash;

	if (!folder)
		return err_no_memory(err);
	while (len > 1 && folder[len - 1] == '/')
		folder[--len] = '\0';
	slash = strrchr(folder, '/');
	last = slash ? slash + 1 : folder;
	if (!*last || strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
		name = strdup(".");
	} else {
		name = strdup(last);
		if (!slash)
			(void)snprintf(folder, len + 1, ".");
		else
			slash[slash == folder] = '\0';
	}
	if (!name)
		return err_no_memory(err);
	*ret_folder = TAKE_PTR(folder);
	*ret_name = TAKE_PTR(name);
	return 0;
}

/* Where a copy to @dst goes, once it is known whether that is a folder. */
static int target_of(const char *dst, const char *src_name, bool is_folder, char **ret_folder,
		     char **ret_name, struct err *err)
{
	if (!is_folder && *dst && dst[strlen(dst) - 1] == '/') {
		err_sys(err, ENOENT, "there is no folder '%.300s' to copy into", dst);
		return err_detail(err, ERR_NR_PATH_NOT_FOUND, dst);
	}
	if (!is_folder)
		return split(dst, ret_folder, ret_name, err);
	*ret_folder = strdup(dst);
	*ret_name = strdup(src_name);
	if (*ret_folder && *ret_name)
		return 0;
	free(TAKE_PTR(*ret_folder));
	free(TAKE_PTR(*ret_name));
	return err_no_memory(err);
}

/* The same in a sandbox. */
static int guest_target(struct sandbox *sb, const char *dst, const char *src_name,
			const struct call *call, char **ret_folder, char **ret_name,
			struct err *err)
{
	struct file_request req = { .op = FILE_STAT,
				    .path = (char *)(uintptr_t)dst,
				    .follow = true };
	AUTO(copy_report_done) struct copy_report report = { 0 };
	AUTO(file_talk_done) struct file_talk t = { .fd = -1 };
	struct file_entry e = { .kind = FILE_OTHER };
	struct frame f;
	int r = file_talk_begin(&t, sb, &req, call, &report, err);

	if (r == 0)
		r = file_talk_expect(&t, FRAME_FILE_ENTRY, &f, err);
	if (r < 0 && err->sys != ENOENT)
		return r;
	if (r == 0 && file_entry_decode(f.payload, f.len, &e) < 0)
		return err_set(err, ERR_PROTOCOL, "the agent of the guest broke the protocol");
	return target_of(dst, src_name, r == 0 && e.kind == FILE_FOLDER, ret_folder, ret_name, err);
}

static void host_warn(void *user, const char *path, const char *what)
{
	copy_report_warn(user, path, what);
}

/* All bytes are sent: what does the guest say? */
static int finish_in(struct file_talk *t, struct err *err)
{
	struct frame f;
	int r = file_talk_eof(t, err);

	return r < 0 ? r : file_talk_expect(t, FRAME_DONE, &f, err);
}

/* Sinks of the archive warn to the report. */
struct in_sink {
	struct file_talk talk;
	struct copy_report *report;
};

static int in_put(void *user, const void *data, size_t len, struct err *err)
{
	return file_talk_put(&((struct in_sink *)user)->talk, data, len, err);
}

static void in_warn(void *user, const char *path, const char *what)
{
	host_warn(((struct in_sink *)user)->report, path, what);
}

int sandbox_copy_in(struct sandbox *sb, const char *host, const char *guest,
		    const struct copy_options *o, const struct call *call,
		    struct copy_report *report, struct err *err)
{
	struct tar_pack_options pack = { .follow = o->follow, .xattrs = o->archive };
	struct in_sink to = { .talk = { .fd = -1 }, .report = report };
	struct tar_sink sink = { .put = in_put, .warn = in_warn, .user = &to };
	struct file_request req = { .op = FILE_TAR_IN,
				    .chown = (char *)(uintptr_t)o->chown,
				    .archive = o->archive };
	AUTO_FREE char *folder = NULL;
	AUTO_FREE char *name = NULL;
	AUTO_FREE char *into = NULL;
	AUTO_FREE char *as = NULL;
	AUTO_CLOSE int dir = -1;
	struct stat st;
	int r = split(host, &folder, &name, err);

	if (r < 0)
		return r;
	dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fstatat(dir, name, &st, o->follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0) {
		err_sys(err, errno, "cannot read '%.300s' on the host", host);
		return err_detail(err, ERR_NR_NONE, host);
	}
	r = guest_target(sb, guest, name, call, &into, &as, err);
	if (r < 0)
		return r;
	req.path = into;
	pack.as = as;
	r = file_talk_begin(&to.talk, sb, &req, call, report, err);
	if (r == 0)
		r = tar_pack(dir, name, &pack, &sink, err);
	if (r == 0)
		r = finish_in(&to.talk, err);
	file_talk_done(&to.talk);
	return r;
}

/* "U" or "U:G"; names are the guest's, so here only numbers count. */
static int parse_owner(const char *text, struct tar_unpack_options *u, struct err *err)
{
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	uint64_t uid, gid = 0;

	if (parse_u64_n(text, len, 10, ID_MAX, &uid) < 0 ||
	    (colon && parse_u64_n(colon + 1, strlen(colon + 1), 10, ID_MAX, &gid) < 0))
		return err_set(
			err, ERR_INVALID,
			"chown: '%.100s' is no owner on the host; write numbers, as 1000:1000",
			text);
	u->chown = true;
	u->uid = (uint32_t)uid;
	u->gid = colon ? (uint32_t)gid : (uint32_t)uid;
	return 0;
}

static int receive(struct file_talk *t, int dir, const struct tar_unpack_options *o,
		   struct err *err)
{
	AUTO(tar_unpack_free) struct tar_unpack *u = NULL;
	int r = tar_unpack_new(dir, o, &u, err);

	while (r == 0) {
		struct frame f;

		r = file_talk_next(t, &f, err);
		if (r < 0)
			return r;
		if (f.type == FRAME_DONE)
			return tar_unpack_finish(u, err);
		if (f.type != FRAME_FILE_DATA)
			return err_set(err, ERR_PROTOCOL,
				       "the agent of the guest broke the protocol");
		t->report->bytes += f.len;
		r = tar_unpack_feed(u, f.payload, f.len, err);
	}
	return r;
}

int sandbox_copy_out(struct sandbox *sb, const char *guest, const char *host,
		     const struct copy_options *o, const struct call *call,
		     struct copy_report *report, struct err *err)
{
	struct tar_unpack_options unpack = { .tame = true,
					     .owner = o->archive && geteuid() == 0,
					     .xattrs = o->archive,
					     .warn = host_warn,
					     .user = report };
	struct file_request req = { .op = FILE_TAR_OUT,
				    .path = (char *)(uintptr_t)guest,
				    .follow = o->follow,
				    .archive = o->archive };
	AUTO(file_talk_done) struct file_talk t = { .fd = -1 };
	AUTO_FREE char *src_folder = NULL;
	AUTO_FREE char *src_name = NULL;
	AUTO_FREE char *folder = NULL;
	AUTO_FREE char *name = NULL;
	AUTO_CLOSE int dir = -1;
	struct stat st;
	int r = o->chown ? parse_owner(o->chown, &unpack, err) : 0;

	if (r == 0)
		r = split(guest, &src_folder, &src_name, err);
	if (r == 0)
		r = target_of(host, src_name, stat(host, &st) == 0 && S_ISDIR(st.st_mode), &folder,
			      &name, err);
	if (r != 0)
		return r;
	dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		err_sys(err, errno, "cannot copy to '%.300s' on the host", host);
		return err_detail(err, ERR_NR_NONE, host);
	}
	req.as = name;
	unpack.top = strcmp(name, ".") == 0 ? NULL : name;
	r = file_talk_begin(&t, sb, &req, call, report, err);
	return r < 0 ? r : receive(&t, dir, &unpack, err);
}

int sandbox_tar_in(struct sandbox *sb, int fd, const char *guest, const struct copy_options *o,
		   const struct call *call, struct copy_report *report, struct err *err)
{
	struct file_request req = { .op = FILE_TAR_IN,
				    .path = (char *)(uintptr_t)guest,
				    .chown = (char *)(uintptr_t)o->chown,
				    .archive = o->archive };
	AUTO(file_talk_done) struct file_talk t = { .fd = -1 };
	AUTO_FREE uint8_t *bytes = malloc(READ_BYTES);
	int r = bytes ? file_talk_begin(&t, sb, &req, call, report, err) : err_no_memory(err);

	while (r == 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		r = cancel_poll(call_cancel(call), &p, 1, -1, err);
		if (r < 0)
			return r;
		n = read(fd, bytes, READ_BYTES);
		if (n == 0)
			return finish_in(&t, err);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return err_sys(err, errno, "cannot read the archive");
		r = n > 0 ? file_talk_put(&t, bytes, (size_t)n, err) : 0;
	}
	return r;
}

/* To a reader that may be slow: never more than fits, so that the switch ends the wait. */
static int write_out(int fd, bool is_file, const uint8_t *data, size_t len, struct cancel *cancel,
		     struct err *err)
{
	while (len > 0) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		size_t n = is_file || len < PIPE_BYTES ? len : PIPE_BYTES;
		ssize_t done;

		if (!is_file && cancel_poll(cancel, &p, 1, -1, err) < 0)
			return -(int)err->code;
		done = write(fd, data, n);
		if (done < 0 && errno != EINTR && errno != EAGAIN)
			return err_sys(err, errno, "cannot write the archive");
		data += done > 0 ? done : 0;
		len -= done > 0 ? (size_t)done : 0;
	}
	return 0;
}

int sandbox_tar_out(struct sandbox *sb, const char *guest, const char *as, int fd,
		    const struct copy_options *o, const struct call *call,
		    struct copy_report *report, struct err *err)
{
	struct file_request req = { .op = FILE_TAR_OUT,
				    .path = (char *)(uintptr_t)guest,
				    .follow = o->follow,
				    .archive = o->archive };
	AUTO(file_talk_done) struct file_talk t = { .fd = -1 };
	AUTO_FREE char *folder = NULL;
	AUTO_FREE char *name = NULL;
	struct stat st;
	bool is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	int r = split(guest, &folder, &name, err);

	if (r < 0)
		return r;
	req.as = as ? (char *)(uintptr_t)as : name;
	r = file_talk_begin(&t, sb, &req, call, report, err);
	while (r == 0) {
		struct frame f;

		r = file_talk_next(&t, &f, err);
		if (r < 0 || f.type == FRAME_DONE)
			return r;
		if (f.type != FRAME_FILE_DATA)
			return err_set(err, ERR_PROTOCOL,
				       "the agent of the guest broke the protocol");
		report->bytes += f.len;
		r = write_out(fd, is_file, f.payload, f.len, call_cancel(call), err);
	}
	return r;
}

int sandbox_copy_between(struct sandbox *from, const char *src, struct sandbox *to, const char *dst,
			 const struct copy_options *o, const struct call *call,
			 struct copy_report *report, struct err *err)
{
	struct file_request out = { .op = FILE_TAR_OUT,
				    .path = (char *)(uintptr_t)src,
				    .follow = o->follow,
				    .archive = o->archive };
	struct file_request in = { .op = FILE_TAR_IN,
				   .chown = (char *)(uintptr_t)o->chown,
				   .archive = o->archive };
	AUTO(file_talk_done) struct file_talk source = { .fd = -1 };
	AUTO(file_talk_done) struct file_talk sink = { .fd = -1 };
	AUTO_FREE char *folder = NULL;
	AUTO_FREE char *name = NULL;
	AUTO_FREE char *into = NULL;
	AUTO_FREE char *as = NULL;
	int r = split(src, &folder, &name, err);

	if (r == 0)
		r = guest_target(to, dst, name, call, &into, &as, err);
	if (r < 0)
		return r;
	out.as = as;
	in.path = into;
	r = file_talk_begin(&source, from, &out, call, report, err);
	if (r == 0)
		r = file_talk_begin(&sink, to, &in, call, report, err);
	while (r == 0) {
		struct frame f;

		r = file_talk_next(&source, &f, err);
		if (r < 0)
			return r;
		if (f.type == FRAME_DONE)
			return finish_in(&sink, err);
		if (f.type != FRAME_FILE_DATA)
			return err_set(err, ERR_PROTOCOL,
				       "the agent of the guest broke the protocol");
		r = file_talk_put(&sink, f.payload, f.len, err);
	}
	return r;
}
