/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the home folder
 *
 *	MSB_HOME/			0700
 *		db			state (0600)
 *		images/			the store's own
 *		sandboxes/ID/		disk of a sandbox that outlives its boots
 *		logs/ID/		what a sandbox wrote, over its boots
 *		run/ID/			one boot: lock, sockets, logs, exit record
 *
 * A home has one owner (home_open()'s caller) and is shared by the handles of its sandboxes, so
 * that a handle stays usable after home_close().  The descriptors that keep attached sandboxes
 * alive belong to the home, not to the handles.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "runtime/internal.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define REAP_MS 1000 /* between the end of a monitor's connections and that of its process */

/* The folder @path, made if missing, with mode 0700 whatever the umask is. */
static int folder_open(int at, const char *path, int *ret_fd, struct err *err)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;

	if (mkdirat(at, path, 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "make the folder '%s'", path);
	fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "open the folder '%s'", path);
	if (st.st_uid != geteuid())
		return err_set(err, ERR_DENIED, "the folder '%s' belongs to another user", path);
	if ((st.st_mode & 07777) != 0700 && fchmod(fd, 0700) < 0)
		return err_sys(err, errno, "set the mode of '%s'", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* A copy, NULL for NULL; *failed is set when out of memory. */
static char *copy(const char *text, bool *failed)
{
	char *c = text && *text ? strdup(text) : NULL;

	*failed |= text && *text && !c;
	return c;
}

static int home_path(const struct home_options *o, char **ret_path, struct err *err)
{
	char *path = NULL;

	if (o->home && *o->home)
		path = strdup(o->home);
	else if (!o->user_dir || !*o->user_dir)
		return err_set(err, ERR_INVALID, "MSB_HOME is not set and HOME is unknown");
	else if (asprintf(&path, "%s/.microsandbox", o->user_dir) < 0)
		path = NULL;
	*ret_path = path;
	return path ? 0 : err_no_memory(err);
}

static void read_settings(struct home *home)
{
	if (settings_read(home->path, home->user_dir, &home->settings, &home->settings_error) < 0)
		home->settings = (struct settings){ .limits = image_limits_default };
	if (!home->engine) /* the caller's and the environment's word comes first */
		home->engine = TAKE_PTR(home->settings.engine);
}

int home_open(const struct home_options *o, struct home **ret_home, struct err *err)
{
	AUTO(home_unref) struct home *home = calloc(1, sizeof(*home));
	AUTO_FREE char *path = NULL;
	bool failed = false;
	int r;

	if (!home)
		return err_no_memory(err);
	home->refs = 1;
	home->fd = home->run_fd = home->sandboxes_fd = home->logs_fd = -1;
	(void)pthread_mutex_init(&home->lock, NULL);
	home->user_dir = copy(o->user_dir, &failed);
	home->engine = copy(o->engine, &failed);
	home->libexec = copy(o->libexec, &failed);
	home->kernel = copy(o->kernel, &failed);
	home->search = copy(o->path, &failed);
	home->docker_config = copy(o->docker_config, &failed);
	home->runtime_dir = copy(o->runtime_dir, &failed);
	if (failed)
		return err_no_memory(err);
	if (home->engine && strcmp(home->engine, "auto") != 0 && strcmp(home->engine, "kvm") != 0 &&
	    strcmp(home->engine, "qemu") != 0)
		return err_set(err, ERR_INVALID, "engine: '%.32s' is none of auto, kvm, qemu",
			       home->engine);
	r = home_path(o, &path, err);
	if (r == 0)
		r = folder_open(AT_FDCWD, path, &home->fd, err);
	if (r < 0)
		return r;
	home->path = realpath(path, NULL);
	if (!home->path)
		return err_sys(err, errno, "open the folder '%s'", path);
	read_settings(home);
	r = folder_open(home->fd, "run", &home->run_fd, err);
	if (r == 0)
		r = folder_open(home->fd, "sandboxes", &home->sandboxes_fd, err);
	if (r == 0)
		r = folder_open(home->fd, "logs", &home->logs_fd, err);
	if (r == 0)
		r = store_open(home->fd, &home->settings.limits, &home->store, err);
	if (r == 0)
		store_keep_blobs(home->store, home->settings.keep_blobs);
	if (r == 0)
		r = state_open(home->path, &home->state, err);
	if (r == 0)
		r = home_reconcile(home, err);
	if (r < 0)
		return r;
	*ret_home = TAKE_PTR(home);
	return 0;
}

struct home *home_ref(struct home *home)
{
	/* Pairs with the release in home_unref(). */
	(void)__atomic_add_fetch(&home->refs, 1, __ATOMIC_RELAXED);
	return home;
}

static void attached_free(struct attached *a)
{
	siginfo_t info;

	if (a->pidfd >= 0) {
		(void)waitid((idtype_t)P_PIDFD, (id_t)a->pidfd, &info, WEXITED | WNOHANG);
		(void)close(a->pidfd);
	}
	if (a->watchdog >= 0)
		(void)close(a->watchdog);
	free(a);
}

static void drop_attached(struct home *home)
{
	struct attached *next;

	(void)pthread_mutex_lock(&home->lock);
	for (struct attached *a = home->attached; a; a = next) {
		next = a->next;
		attached_free(a);
	}
	home->attached = NULL;
	(void)pthread_mutex_unlock(&home->lock);
}

void home_unref(struct home *home)
{
	if (!home || __atomic_sub_fetch(&home->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	drop_attached(home);
	state_close(home->state);
	store_close(home->store);
	if (home->sandboxes_fd >= 0)
		(void)close(home->sandboxes_fd);
	if (home->logs_fd >= 0)
		(void)close(home->logs_fd);
	if (home->run_fd >= 0)
		(void)close(home->run_fd);
	if (home->fd >= 0)
		(void)close(home->fd);
	(void)pthread_mutex_destroy(&home->lock);
	settings_done(&home->settings);
	free(home->path);
	free(home->user_dir);
	free(home->engine);
	free(home->libexec);
	free(home->kernel);
	free(home->search);
	free(home->docker_config);
	free(home->runtime_dir);
	free(home);
}

void home_close(struct home *home)
{
	if (!home)
		return;
	(void)pthread_mutex_lock(&home->lock);
	home->closed = true;
	(void)pthread_mutex_unlock(&home->lock);
	drop_attached(home);
	home_unref(home);
}

static bool has_ended(const struct attached *a)
{
	struct pollfd p = { .fd = a->pidfd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

void home_sweep(struct home *home)
{
	struct attached *a;

	(void)pthread_mutex_lock(&home->lock);
	for (struct attached **at = &home->attached; (a = *at);) {
		if (!has_ended(a)) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		attached_free(a);
	}
	(void)pthread_mutex_unlock(&home->lock);
}

int home_attach(struct home *home, const char *id, int pidfd, int watchdog, struct err *err)
{
	struct attached *a = calloc(1, sizeof(*a));

	if (!a) {
		(void)close(pidfd);
		(void)close(watchdog);
		return err_no_memory(err);
	}
	home_sweep(home);
	(void)snprintf(a->id, sizeof(a->id), "%s", id);
	a->pidfd = pidfd;
	a->watchdog = watchdog;
	(void)pthread_mutex_lock(&home->lock);
	a->next = home->attached;
	home->attached = a;
	(void)pthread_mutex_unlock(&home->lock);
	return 0;
}

/* Under the lock. The newest boot of a sandbox comes first. */
static struct attached *find_attached(struct home *home, const char *id)
{
	struct attached *a = home->attached;

	while (a && strcmp(a->id, id) != 0)
		a = a->next;
	return a;
}

int home_detach(struct home *home, const char *id, struct err *err)
{
	struct attached *a;
	int r = 0;

	(void)pthread_mutex_lock(&home->lock);
	a = find_attached(home, id);
	if (a && a->watchdog >= 0) {
		if (send(a->watchdog, "d", 1, MSG_NOSIGNAL) != 1 && errno != EPIPE &&
		    errno != ECONNRESET)
			r = err_sys(err, errno, "detach the sandbox");
		else
			(void)close(TAKE_FD(a->watchdog));
	}
	(void)pthread_mutex_unlock(&home->lock);
	return r;
}

bool home_holds(struct home *home, const char *id)
{
	struct attached *a;
	bool holds;

	(void)pthread_mutex_lock(&home->lock);
	a = find_attached(home, id);
	holds = a && a->watchdog >= 0 && !has_ended(a);
	(void)pthread_mutex_unlock(&home->lock);
	return holds;
}

void home_reap(struct home *home, const char *id)
{
	struct attached *a;
	struct pollfd p = { .fd = -1, .events = POLLIN };

	(void)pthread_mutex_lock(&home->lock);
	a = find_attached(home, id);
	if (a)
		p.fd = fcntl(a->pidfd, F_DUPFD_CLOEXEC, 0);
	(void)pthread_mutex_unlock(&home->lock);
	if (p.fd < 0)
		return;
	(void)poll(&p, 1, REAP_MS);
	(void)close(p.fd);
	home_sweep(home);
}

int home_settings_check(const struct home *home, struct err *err)
{
	if (home->settings_error.code == ERR_NONE)
		return 0;
	*err = home->settings_error;
	return -(int)err->code;
}

int home_spec_parse(const struct home *home, const char *text, struct spec *ret_spec,
		    struct err *err)
{
	struct spec_defaults defaults = { .cpus = home->settings.cpus,
					  .memory_mib = home->settings.memory_mib };
	AUTO(spec_done) struct spec spec = { 0 };
	int r = home_settings_check(home, err);

	if (r == 0)
		r = spec_parse(text, strlen(text), &defaults, &spec, err);
	if (r == 0)
		r = spec_resolve(&spec, home->user_dir, err);
	if (r < 0)
		return r;
	*ret_spec = spec;
	spec = (struct spec){ 0 };
	return 0;
}

int home_spec_check(struct home *home, const char *text, char **ret_normal, struct err *err)
{
	AUTO(spec_done) struct spec spec = { 0 };
	int r = home_spec_parse(home, text, &spec, err);

	return r < 0 ? r : spec_normal(&spec, ret_normal, err);
}
