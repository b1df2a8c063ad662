/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/cancel.h"
#include "base/dir.h"
#include "base/num.h"
#include "image/store.h"

/*
 * DOC: runs and their locks
 *
 * All locks are bytes of one file that is never removed.  They are open file description locks:
 * a run has one descriptor, so two runs exclude each other wherever they are, and all locks of
 * a run end with it or with its process.
 *
 * An object has two bytes.  Its first byte is held shared by all who rely on it and taken
 * exclusively only by who removes it, who never waits for it.  Its second byte is held by its
 * maker, who holds the first one shared too.  So a holder waits for a removal at most, a maker for
 * another maker, and no circle can close.
 *
 * Threads of one run share its descriptor, so among them a table says who makes what.
 */
#define LOCK_BITS 62 /* offsets of a lock are positive numbers */
#define PAUSE_MS  50 /* at most, between two tries; there is no descriptor that tells of a lock */

enum { HOLD, MAKE };

static uint64_t byte_of(const uint8_t sha[SHA256_BYTES], unsigned which)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < 8; i++)
		n = n << 8 | sha[i];
	return n >> (64 - LOCK_BITS + 1) << 1 | which;
}

/* 0, -EAGAIN, -errno; @len 0: all from @byte */
static int set_range(int fd, short type, uint64_t byte, int len)
{
	struct flock l = { .l_type = type, .l_start = (off_t)byte, .l_len = len };

	while (fcntl(fd, F_OFD_SETLK, &l) < 0) {
		if (errno == EACCES)
			return -EAGAIN;
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int set_lock(int fd, short type, uint64_t byte)
{
	return set_range(fd, type, byte, 1);
}

int store_pause(struct store_run *run, int *pause_ms, struct err *err)
{
	struct pollfd p = { .fd = cancel_fd(run->cancel), .events = POLLIN };

	*pause_ms = *pause_ms == 0 ? 1 : *pause_ms >= PAUSE_MS / 2 ? PAUSE_MS : 2 * *pause_ms;
	(void)poll(&p, 1, *pause_ms);
	return cancel_check(run->cancel, err);
}

int store_hold(struct store_run *run, const uint8_t sha[SHA256_BYTES], struct err *err)
{
	int pause_ms = 0, r;

	while ((r = set_lock(run->lock_fd, F_RDLCK, byte_of(sha, HOLD))) == -EAGAIN) {
		if (store_pause(run, &pause_ms, err) < 0)
			return -err->code;
	}
	return r < 0 ? err_sys(err, -r, "locking the image store") : 0;
}

int store_remove_try(struct store_run *run, const uint8_t sha[SHA256_BYTES])
{
	return set_lock(run->lock_fd, F_WRLCK, byte_of(sha, HOLD));
}

void store_remove_end(struct store_run *run, const uint8_t sha[SHA256_BYTES])
{
	(void)set_lock(run->lock_fd, F_UNLCK, byte_of(sha, HOLD));
}

static int make_try_locked(struct store_run *run, uint64_t byte)
{
	uint64_t *p;
	int r;

	for (size_t i = 0; i < run->n_making; i++) {
		if (run->making[i] == byte)
			return -EAGAIN;
	}
	p = reallocarray(run->making, run->n_making + 1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	run->making = p;
	r = set_lock(run->lock_fd, F_WRLCK, byte);
	if (r == 0)
		run->making[run->n_making++] = byte;
	return r;
}

int store_make_try(struct store_run *run, const uint8_t sha[SHA256_BYTES])
{
	int r;

	(void)pthread_mutex_lock(&run->lock);
	r = make_try_locked(run, byte_of(sha, MAKE));
	(void)pthread_mutex_unlock(&run->lock);
	return r;
}

int store_make_begin(struct store_run *run, const uint8_t sha[SHA256_BYTES], struct err *err)
{
	int pause_ms = 0, r;

	while ((r = store_make_try(run, sha)) == -EAGAIN) {
		if (store_pause(run, &pause_ms, err) < 0)
			return -err->code;
	}
	return r < 0 ? err_sys(err, -r, "locking the image store") : 0;
}

void store_make_end(struct store_run *run, const uint8_t sha[SHA256_BYTES])
{
	uint64_t byte = byte_of(sha, MAKE);

	(void)pthread_mutex_lock(&run->lock);
	for (size_t i = 0; i < run->n_making; i++) {
		if (run->making[i] == byte) {
			run->making[i] = run->making[--run->n_making];
			(void)set_lock(run->lock_fd, F_UNLCK, byte);
			break;
		}
	}
	(void)pthread_mutex_unlock(&run->lock);
}

/* ---- temporary files ----------------------------------------------------------------- */

/* Names are RUN-NUMBER; a run that lives holds the byte RUN. */
static int parse_name(const char *name, uint64_t *ret)
{
	const char *dash = strchr(name, '-');

	if (!dash)
		return -EINVAL;
	return parse_u64_n(name, (size_t)(dash - name), 16, (1ull << LOCK_BITS) - 1, ret);
}

/* Remove the files of the run itself, or else of all runs that are dead. */
static void clean_tmp(struct store_run *run, bool own)
{
	AUTO(closedir) DIR *dir = NULL;
	struct dirent *e;

	if (dir_open(run->store->dir_fd, "tmp", &dir) < 0)
		return;
	while ((e = readdir(dir)) != NULL) {
		uint64_t id;

		if (parse_name(e->d_name, &id) < 0 || own != (id == run->id))
			continue;
		if (own) {
			(void)unlinkat(dirfd(dir), e->d_name, 0);
		} else if (set_lock(run->lock_fd, F_WRLCK, id) == 0) {
			(void)unlinkat(dirfd(dir), e->d_name, 0);
			(void)set_lock(run->lock_fd, F_UNLCK, id);
		}
	}
}

int store_run_open(struct store *s, struct cancel *cancel, struct store_run **ret_run,
		   struct err *err)
{
	AUTO(store_run_close) struct store_run *run = calloc(1, sizeof(*run));
	int r;

	if (!run)
		return err_no_memory(err);
	run->store = s;
	run->cancel = cancel;
	(void)pthread_mutex_init(&run->lock, NULL);
	run->lock_fd = openat(s->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (run->lock_fd < 0)
		return err_sys(err, errno, "opening the locks of the image store");
	if (getrandom(&run->id, sizeof(run->id), 0) != (ssize_t)sizeof(run->id))
		return err_sys(err, errno, "random number");
	run->id >>= 64 - LOCK_BITS;
	r = set_lock(run->lock_fd, F_WRLCK, run->id);
	if (r < 0)
		return err_sys(err, -r, "locking the image store");
	clean_tmp(run, false);
	*ret_run = TAKE_PTR(run);
	return 0;
}

void store_run_close(struct store_run *run)
{
	if (!run)
		return;
	if (run->lock_fd >= 0) {
		if (atomic_load(&run->n_files) > 0)
			clean_tmp(run, true);
		/* A child that was forked meanwhile may have the descriptor still. */
		(void)set_range(run->lock_fd, F_UNLCK, 0, 0);
		(void)close(run->lock_fd);
	}
	(void)pthread_mutex_destroy(&run->lock);
	free(run->making);
	free(run);
}

int store_run_file(struct store_run *run, char name[STORE_NAME_MAX], int *ret_fd)
{
	unsigned n = atomic_fetch_add(&run->n_files, 1);

	(void)snprintf(name, STORE_NAME_MAX, "tmp/%" PRIx64 "-%u", run->id, n);
	*ret_fd = openat(run->store->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return *ret_fd < 0 ? -errno : 0;
}
