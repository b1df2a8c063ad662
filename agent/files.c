/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: file operations
 *
 * The worker has the client's connection and speaks the protocol by blocking reads and writes: no
 * byte of a file goes through the agent, and a slow client or disk holds up its own worker only.
 * A client that goes away ends it by the next read or write.  The agent keeps its end of the
 * connection, but neither reads nor writes, until the worker is gone.
 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "hostclock.h"
#include "proto/file.h"
#include "tar/pack.h"
#include "tar/unpack.h"
#include "users.h"
#include "worker.h"

struct files {
	struct client *client; /* borrowed; it ends us */
	struct worker *worker; /* owned, until it is done */
	struct file_request req;
	size_t skip; /* bytes of the stream's input that are the request */
};

/* In the worker. */
struct job {
	const struct file_request *req;
	int fd;		 /* the client */
	struct buf in;	 /* read, not used yet */
	struct buf out;	 /* one frame */
	unsigned warned; /* times */
};

/* ---- the worker ---- */

static void send_frame(struct job *j, int encoded)
{
	if (encoded < 0 || io_write_full(j->fd, j->out.data, j->out.len) < 0)
		_exit(1); /* the client is gone */
	buf_clear(&j->out);
}

/* What the client still sends goes nowhere: else its end would be lost to it by a reset. */
static _Noreturn void leave(struct job *j)
{
	(void)shutdown(j->fd, SHUT_WR);
	while (recv(j->fd, j->in.data, j->in.cap, 0) > 0)
		;
	_exit(0);
}

static _Noreturn void failed(struct job *j, int sys, const char *subject, const char *message)
{
	struct failure f = { .sys = sys };

	(void)snprintf(f.stage, sizeof(f.stage), "files");
	(void)snprintf(f.kind, sizeof(f.kind), "files");
	(void)snprintf(f.subject, sizeof(f.subject), "%s", subject);
	(void)snprintf(f.message, sizeof(f.message), "%s", message);
	send_frame(j, failure_encode(&j->out, FRAME_FAILED, &f));
	leave(j);
}

static _Noreturn void failed_call(struct job *j, int sys, const char *what)
{
	struct failure f;

	(void)fail(&f, "files", sys, j->req->path, "cannot %s '%.300s'", what, j->req->path);
	failed(j, sys, f.subject, f.message);
}

static _Noreturn void failed_err(struct job *j, const struct err *err)
{
	failed(j, err->sys ? err->sys : EINVAL, err->subject[0] ? err->subject : j->req->path,
	       err->msg);
}

static void warn(void *user, const char *path, const char *what)
{
	struct job *j = user;
	struct file_warning w;
	size_t len = strlen(path), cut = sizeof(w.path) - 1;

	if (j->warned++ >= FILE_WARNINGS_MAX)
		return;
	(void)snprintf(w.path, sizeof(w.path), "%s", len > cut ? path + len - cut : path);
	(void)snprintf(w.message, sizeof(w.message), "%s", what);
	/* A client that is gone is seen by the next read, or the next write of data. */
	if (file_warning_encode(&j->out, &w) >= 0)
		IGNORE_RESULT(io_write_full(j->fd, j->out.data, j->out.len) < 0);
	buf_clear(&j->out);
}

static int put(void *user, const void *data, size_t len, struct err *err)
{
	struct job *j = user;

	(void)err;
	send_frame(j, frame_add(&j->out, FRAME_FILE_DATA, 0, data, len));
	return 0;
}

/*
 * The next frame; *ret_len bytes of the input are to be taken once it was used. false: the client is
 * gone.
 */
static bool next_frame(struct job *j, struct frame *ret, size_t *ret_len)
{
	int64_t took;

	while ((took = frame_next(j->in.data, j->in.len, ret)) == 0) {
		size_t room = FRAME_MAX_DATA;
		void *p = buf_room(&j->in, room);
		ssize_t n = p ? recv(j->fd, p, room, 0) : -1;

		if (n <= 0 && !(n < 0 && errno == EINTR && p))
			return false;
		if (n > 0)
			buf_grew(&j->in, (size_t)n);
	}
	if (took < 0 || (ret->type == FRAME_FILE_DATA && ret->len > FRAME_MAX_DATA))
		failed(j, EPROTO, j->req->path, "the client broke the protocol");
	*ret_len = (size_t)took;
	return true;
}

/* Where the last part of the path begins, behind the slashes that end it; "." for "/" alone. */
static int open_parent(struct job *j, char *path, const char **ret_name)
{
	size_t len = strlen(path);
	char *slash;
	int fd;

	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	slash = strrchr(path, '/');
	*ret_name = slash[1] ? slash + 1 : ".";
	*slash = '\0';
	fd = open(slash == path ? "/" : path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*slash = '/';
	if (fd < 0)
		failed_call(j, errno, "open the folder of");
	return fd;
}

static _Noreturn void do_stat(struct job *j)
{
	struct file_entry e;
	struct stat st;

	if (fstatat(AT_FDCWD, j->req->path, &st, j->req->follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
		failed_call(j, errno, "look at");
	e = (struct file_entry){
		.kind = S_ISREG(st.st_mode)   ? FILE_REGULAR
			: S_ISDIR(st.st_mode) ? FILE_FOLDER
			: S_ISLNK(st.st_mode) ? FILE_SYMLINK
					      : FILE_OTHER,
		.size = (uint64_t)st.st_size,
		.mode = st.st_mode & 07777,
		.uid = st.st_uid,
		.gid = st.st_gid,
		.nlink = st.st_nlink,
	};
	send_frame(j, file_entry_encode(&j->out, &e));
	leave(j);
}

static _Noreturn void do_tar_out(struct job *j)
{
	struct tar_pack_options o = { .as = j->req->as ? j->req->as : ".",
				      .follow = j->req->follow,
				      .xattrs = j->req->archive };
	struct tar_sink sink = { .put = put, .warn = warn, .user = j };
	struct err err = ERR_INIT;
	const char *name;
	int dir = open_parent(j, j->req->path, &name);

	if (tar_pack(dir, name, &o, &sink, &err) < 0)
		failed_err(j, &err);
	send_frame(j, frame_add(&j->out, FRAME_DONE, 0, NULL, 0));
	leave(j);
}

static void find_owner(struct job *j, struct tar_unpack_options *o)
{
	struct user u;
	int r;

	if (!j->req->chown)
		return;
	r = user_load(j->req->chown, &u);
	if (r < 0)
		failed(j, -r, j->req->chown, "the sandbox has no such user or group");
	o->chown = true;
	o->uid = u.uid;
	o->gid = u.gid;
}

static _Noreturn void do_tar_in(struct job *j)
{
	struct tar_unpack_options o = {
		.owner = j->req->archive, .xattrs = j->req->archive, .warn = warn, .user = j
	};
	struct tar_unpack *u = NULL;
	struct err err = ERR_INIT;
	struct frame f;
	size_t len;
	int dir, r;

	find_owner(j, &o);
	dir = open(j->req->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		failed_call(j, errno, "open the folder");
	r = tar_unpack_new(dir, &o, &u, &err);
	for (bool end = false; r >= 0 && !end;) {
		if (!next_frame(j, &f, &len)) {
			tar_unpack_free(u); /* and the file that is not whole */
			_exit(1);
		}
		end = f.type == FRAME_FILE_EOF;
		if (end)
			r = tar_unpack_finish(u, &err);
		else if (f.type == FRAME_FILE_DATA)
			r = tar_unpack_feed(u, f.payload, f.len, &err);
		else
			r = err_set(&err, ERR_INVALID, "the client broke the protocol");
		buf_take(&j->in, len);
	}
	tar_unpack_free(u);
	if (r < 0)
		failed_err(j, &err);
	send_frame(j, frame_add(&j->out, FRAME_DONE, 0, NULL, 0));
	leave(j);
}

static void become_user(struct job *j)
{
	struct user u;
	int r;

	if (!j->req->user)
		return;
	r = user_load(j->req->user, &u);
	if (r < 0)
		failed(j, -r, j->req->user, "the sandbox has no such user");
	if (setgroups(u.n_groups, u.groups) < 0 || setresgid(u.gid, u.gid, u.gid) < 0 ||
	    setresuid(u.uid, u.uid, u.uid) < 0)
		failed(j, errno, j->req->user, "cannot become the user");
}

/* The worker must not hold what belongs to other clients: their ends would not be seen. */
static void close_others(int a, int b)
{
	unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);

	if (low > 3)
		(void)syscall(SYS_close_range, 3u, low - 1, 0u);
	if (high > low + 1)
		(void)syscall(SYS_close_range, low + 1, high - 1, 0u);
	(void)syscall(SYS_close_range, high + 1, ~0u, 0u);
}

static void work(const void *arg, int fd)
{
	static void (*const ops[])(struct job * j) = {
		[FILE_STAT] = do_stat,
		[FILE_TAR_OUT] = do_tar_out,
		[FILE_TAR_IN] = do_tar_in,
	};
	const struct files *s = arg;
	const struct stream *stream = &s->client->stream;
	struct job j = { .req = &s->req, .fd = stream->fd };

	close_others(stream->fd, fd);
	(void)umask(0);
	(void)signal(SIGPIPE, SIG_IGN);
	buf_init(&j.in, 2 * (FRAME_HEADER + (size_t)FRAME_MAX_PAYLOAD));
	buf_init(&j.out, FRAME_HEADER + (size_t)FRAME_MAX_PAYLOAD);
	if (!buf_room(&j.in, FRAME_MAX_DATA) || io_set_nonblock(j.fd, 0) < 0 ||
	    buf_add(&j.in, stream->in.data + s->skip, stream->in.len - s->skip) < 0 ||
	    buf_add(&j.out, stream->out.data, stream->out.len) < 0)
		_exit(1);
	send_frame(&j, 0); /* the greeting, if it is not sent yet */
	become_user(&j);
	ops[s->req.op](&j);
}

/* ---- the agent ---- */

static void done(void *user, const void *result, size_t len)
{
	struct files *s = user;

	(void)result;
	(void)len;
	s->worker = NULL;
	client_finish(s->client);
}

static void on_frame(struct client *c, const struct frame *f)
{
	(void)c; /* paused: the worker reads */
	(void)f;
}

static void on_drained(struct client *c)
{
	(void)c;
}

static void on_lost(struct client *c)
{
	struct files *s = c->user;

	worker_cancel(s->worker);
	file_request_done(&s->req);
	free(s);
}

static const struct client_ops files_ops = {
	.frame = on_frame,
	.drained = on_drained,
	.lost = on_lost,
};

void files_open(struct client *c, const struct frame *f)
{
	AUTO_FREE struct files *s = calloc(1, sizeof(*s));
	int r = s ? file_request_decode(f->payload, f->len, &s->req) : -ENOMEM;

	if (r >= 0) {
		hostclock_told(c->agent, s->req.time_ns);
		s->client = c;
		s->skip = FRAME_HEADER + (size_t)f->len;
		r = c->agent->stopping ? -ESHUTDOWN
				       : worker_start(c->agent, work, s, done, s, &s->worker);
	}
	if (r < 0) {
		if (s)
			file_request_done(&s->req);
		stream_refuse(&c->stream,
			      r == -EPROTO	 ? "protocol"
			      : r == -EOPNOTSUPP ? "unsupported"
			      : r == -ESHUTDOWN	 ? "stopping"
						 : "busy",
			      f->type);
		return;
	}
	stream_pause(&c->stream);
	buf_clear(&c->stream.out); /* the worker has a copy, and sends it */
	c->ops = &files_ops;
	c->user = TAKE_PTR(s);
}
