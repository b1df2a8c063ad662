/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_INTERNAL_H
#define RUNTIME_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/defer.h"
#include "base/err.h"
#include "diskimg/diskimg.h"
#include "image/image.h"
#include "json/json.h"
#include "proto/agent.h"
#include "runtime/call.h"
#include "runtime/exit_record.h"
#include "runtime/progress.h"
#include "runtime/pull.h"
#include "runtime/runtime.h"
#include "runtime/settings.h"
#include "runtime/spec.h"
#include "state/state.h"

#define SANDBOX_ID_LEN 16	   /* hex digits */
#define LIST_MAX       (64u << 20) /* bytes of a listing */
#define SPEC_MAX_LIST  4096	   /* strings in one list */

/* ---- util.c ---- */

/* The JSON of a finished writer as a string of its own. */
MUST_CHECK int take_json(struct buf *b, char **ret_json, struct err *err);
/* @n_digits lower-case hex digits from the kernel's random numbers, and a NUL. */
MUST_CHECK int random_hex(char *out, size_t n_digits);
/* Remove the folder @name below @dir_fd and the files in it. Best effort. */
void remove_folder(int dir_fd, const char *name);
/* @fd is a socket of ours: address of @name in the folder @dir_fd, however long its path is. */
struct sockaddr_un;
void socket_address(int dir_fd, const char *name, struct sockaddr_un *ret);
/* Last @max bytes of a file, with control characters made spaces; may be "". */
void read_tail(int dir_fd, const char *name, char *out, size_t max);
/* What is left of @timeout_ms since @start_ns; -1 (no limit) stays -1. */
int64_t left_ms(uint64_t start_ns, int64_t timeout_ms);
/* Edit distance of @a and @b is at most 2. */
bool nearly_equal(const char *a, const char *b);

/* ---- spec.c: what the exec request shares ---- */

/* All keys are among @keys (suggestion), and none of @later is there ("not supported yet"). */
MUST_CHECK int keys_check(const struct json_at *object, const char *const *keys,
			  const char *const *later, struct err *err);
MUST_CHECK int copy_str(const struct json_at *object, const char *key, char **ret, struct err *err);
MUST_CHECK int copy_list(const struct json_at *at, struct str_list *ret, struct err *err);
/* The member `env` of @object as "K=V", sorted. */
MUST_CHECK int copy_env(const struct json_at *object, struct str_list *ret, struct err *err);

/* ---- exec_spec.c: what the spec shares ---- */

/* The member `rlimits` of @object; *ret is owned by the caller, and untouched if there are none. */
MUST_CHECK int copy_rlimits(const struct json_at *object, struct exec_rlimit **ret, size_t *ret_n,
			    struct err *err);
void put_rlimits(struct json_out *o, const struct exec_rlimit *limits, size_t n);

/* ---- spec_root.c: the keys `image` and `root_disk` ---- */

MUST_CHECK int spec_parse_image(const struct json_at *root, struct spec *s, struct err *err);
/* After the image. */
MUST_CHECK int spec_parse_root_disk(const struct json_at *root, struct spec *s, struct err *err);
void spec_put_root(struct json_out *o, const struct spec *s);
/* The size of a managed disk that the spec does not give; a disk image brings its own. */
void spec_default_size(struct spec *s);

/* ---- home.c ---- */

/* A sandbox that this process has started: what must stay open, and whom to collect. */
struct attached {
	char id[SANDBOX_ID_LEN + 1];
	int pidfd;    /* owned */
	int watchdog; /* owned; -1: it is detached */
	struct attached *next;
};

struct home {
	char *path;			       /* owned; absolute, free of links */
	char *user_dir;			       /* owned; may be NULL */
	char *engine;			       /* owned; may be NULL */
	char *libexec;			       /* owned; may be NULL */
	char *kernel;			       /* owned; may be NULL */
	char *search;			       /* owned; PATH, may be NULL */
	char *docker_config;		       /* owned; may be NULL */
	char *runtime_dir;		       /* owned; may be NULL */
	int fd, run_fd, sandboxes_fd, logs_fd; /* owned */
	struct settings settings;	       /* owned */
	struct err settings_error; /* code ERR_NONE: settings are what config.json says */
	struct store *store;	   /* owned */
	struct state *state;	   /* owned */
	int refs;		   /* shared: home_open()'s and one of each sandbox; atomic */
	pthread_mutex_t lock;
	/* under lock */
	struct attached *attached; /* owned */
	bool closed;		   /* home_close() was called: attached sandboxes end */
};

struct home *home_ref(struct home *home);
void home_unref(struct home *home);
DEFINE_AUTO(struct home *, home_unref);
/*
 * 0, or what is wrong with config.json.  For calls that depend on it: the others must work, so that one
 * can still look, stop and remove.
 */
MUST_CHECK int home_settings_check(const struct home *home, struct err *err);
/* spec_parse() and spec_resolve() with the home's defaults. */
MUST_CHECK int home_spec_parse(const struct home *home, const char *text, struct spec *ret_spec,
			       struct err *err);
/* Take over both descriptors, also on failure. */
MUST_CHECK int home_attach(struct home *home, const char *id, int pidfd, int watchdog,
			   struct err *err);
/* Let it outlive this process; nothing to do if this process does not hold it. */
MUST_CHECK int home_detach(struct home *home, const char *id, struct err *err);
/* It ends with this process. */
bool home_holds(struct home *home, const char *id);
/* Its monitor goes: wait for our child, if it is one, and collect it. */
void home_reap(struct home *home, const char *id);
/*
 * Drop what belongs to sandboxes that have ended, so that they hold no descriptor for ever.  Ends that
 * no handle saw are taken over by the next home_reconcile() of any process.
 */
void home_sweep(struct home *home);

/* ---- reconcile.c ---- */

bool sandbox_id_valid(const char *id);
/* What ended without us: run folders whose lock is free, rows that say "running" wrongly. */
MUST_CHECK int home_reconcile(struct home *home, struct err *err);
/**
 * home_settle() - Whether a sandbox lives; if it does not, its end is taken over
 *
 * Return: 1, 0 (also for a sandbox that there is not), or negative.
 */
MUST_CHECK int home_settle(struct home *home, const char *id, struct err *err);
/**
 * run_folder_lock() - Take the lock of a run folder: the monitor and its children are gone
 * @run_dir:	The folder; borrowed
 * @how:	LOCK_EX: wait for them; with LOCK_NB: -EWOULDBLOCK while they live
 *
 * The lock, owned by the caller; -ENOENT: another has taken the end over, and the name of the folder
 * may be that of a new boot. As long as the lock is held, it is not.
 */
MUST_CHECK int run_folder_lock(int run_dir, int how);
/* What is left when a removal of a run folder was cut off: no lock is in it any more. */
MUST_CHECK int run_folder_remains(struct home *home, const char *id, int run_dir);

/**
 * home_record_end() - Take over the end of a sandbox: row, run folder, disk of an ephemeral one
 * @end:	How it ended; NULL: what the run folder says
 *
 * The caller holds the folder's lock, but for an ephemeral sandbox, whose id is never used again.
 */
MUST_CHECK int home_record_end(struct home *home, const char *id, bool ephemeral,
			       const struct exit_record *end, struct err *err);

/* ---- install.c ---- */

/* Path of a file that came with the program, "images/busybox.tar"; owned by the caller, or NULL. */
char *runtime_file_path(const struct home *home, const char *name);

/* The files that a boot needs, open. */
struct runtime_files {
	char *monitor;			/* path of msb-sandbox; owned */
	char *qemu;			/* path; owned */
	int kernel, initramfs, modules; /* owned; modules is -1 if there are none */
};
void runtime_files_done(struct runtime_files *f);
static inline void runtime_files_done_auto(struct runtime_files *f)
{
	runtime_files_done(f);
}
/* NOT_INSTALLED, NO_ENGINE, naming what is missing and where it was looked for. */
MUST_CHECK int runtime_files_find(const struct home *home, const struct spec *spec,
				  struct runtime_files *ret_files, struct err *err);

/* ---- images.c: what a text means ---- */

#define IMAGE_NAME_SHOWN 256 /* bytes of a short reference in a message, with NUL */
/* The image that is here whose name looks like @full, in its short form. */
bool home_image_nearest(struct home *home, const char *full, char ret_name[IMAGE_NAME_SHOWN]);

/* By reference, or by a digest that may be shortened. IMAGE_NOT_FOUND; INVALID: not just one */
MUST_CHECK int home_image_find(struct home *home, const char *text, struct state_image *ret_image,
			       struct err *err);
/* "sha256:..." */
bool home_image_is_digest(const char *text);
/* Read the record of an image again once it is held: it may have been removed before. */
MUST_CHECK int home_image_still_there(struct home *home, const char *text, struct state_image *row,
				      struct err *err);
/* The same; an image that is delivered with the program is loaded first if it must be. */
MUST_CHECK int home_image_find_or_load(struct home *home, const char *text, const struct call *call,
				       struct state_image *ret_image, struct err *err);
/**
 * home_image_open() - The image of a spec, which names no folder
 * @run:	Holds it; to be closed when a row says who keeps it
 * @how:	If it is to be fetched; NULL: the defaults
 * @ret_digest:	Its manifest; owned by the caller
 * @err:	IMAGE_NOT_FOUND; IMAGE: it is damaged
 */
MUST_CHECK int home_image_open(struct home *home, struct store_run *run, const char *text,
			       const struct pull_how *how, const struct call *call,
			       struct image **ret_image, char **ret_digest, struct err *err);

/* ---- image_record.c ---- */

/* Record what came in, with @names (NULL-terminated, full); @run holds all of it still. */
MUST_CHECK int home_image_record(struct home *home, struct store_run *run,
				 const struct loaded_image *li, const char *const *names,
				 struct err *err);
/* The same for an image that is recorded, whose files have changed. */
MUST_CHECK int home_image_record_again(struct home *home, struct store_run *run,
				       struct state_image *row, const struct image_files *known,
				       struct err *err);
/* Load an archive and record its images, under @name (full) instead of their own if it is given. */
MUST_CHECK int home_image_bring_in(struct home *home, struct store_run *run, int fd,
				   const char *what, const struct load_options *options,
				   const char *name, struct load_result *ret_result,
				   struct err *err);
/* Its files as they were recorded; none: not known. */
MUST_CHECK int home_image_known(struct home *home, const char *manifest_digest,
				struct image_files *ret_files, struct err *err);

/* ---- import.c: images that are files ---- */

/* Does the file begin as a tar archive, plain or compressed? */
bool import_is_archive(const char *path);
/* Make the path in "oci:DIR", "docker-archive:FILE" and "oci-archive:FILE" absolute. */
MUST_CHECK int import_resolve(char **text, const char *user_dir, struct err *err);
/**
 * import_image() - Load the image that such a text means
 * @ret_digest:	Of its manifest; owned by the caller
 * @err:	PATH_NOT_FOUND; IMAGE: it holds none or several, or what is asked for is not there
 *
 * Return: 1; 0: the text means something else; negative.
 */
MUST_CHECK int import_image(struct home *home, struct store_run *run, const char *text,
			    char **ret_digest, struct err *err);

/* ---- image_prune.c ---- */

/**
 * home_image_gc() - Make room after an image came in: the least recently used ones go that nobody uses
 * @o:		An open object; gets "removed" [{"reference","digest"}] and "removed_bytes"
 *
 * Until all images fit into images.max_size.  Also deletes what crashed runs have left.  Call it while
 * the run holds the new image, which stays then.
 */
MUST_CHECK int home_image_gc(struct home *home, const struct call *call, struct json_out *o,
			     struct err *err);

/* ---- lists.c ---- */

/* RFC 3339, or null for 0. */
void put_time(struct json_out *o, const char *key, uint64_t ns);
/* An array in a buffer of LIST_MAX bytes. */
void list_begin(struct buf *b, struct json_out *o);
MUST_CHECK int list_end(struct buf *b, struct json_out *o, char **ret_json, struct err *err);

/* ---- root_disk.c ---- */

/* The disk image of a spec and what of it is the root. */
struct root_disk {
	struct disk_image *image; /* owned; NULL: the root is no disk image */
	struct disk_root root;	  /* len grows with size */
	uint64_t size;		  /* bytes of the disk that the guest sees */
	bool layered;		  /* what is written goes to a layer of clusters over it */
};
void root_disk_done(struct root_disk *d);
static inline void root_disk_done_auto(struct root_disk *d)
{
	root_disk_done(d);
}
/*
 * Open it, and fill in what the spec leaves to its content: its format for ever. @err: as
 * disk_image_open() and disk_root_find().
 */
MUST_CHECK int root_disk_open(struct home *home, struct spec *spec, const struct call *call,
			      struct root_disk *ret_disk, struct err *err);

/*
 * Delete unpacked copies of disk images that no sandbox uses, last used at @until_ns since the epoch or
 * before; @dry_run: only tell what they take.
 */
MUST_CHECK int root_disk_prune(struct home *home, uint64_t until_ns, bool dry_run,
			       uint64_t *ret_bytes, struct err *err);

/* For whom a file for what the guest writes is opened; all borrowed. */
struct upper_request {
	struct home *home;
	const struct spec *spec;
	const struct root_disk *disk; /* NULL: the root is no disk image */
	const char *id, *name;
	int run_dir;
};
/*
 * The upper or the layer: that of the last boot, if there was one, else a fresh one. The size is
 * that of an upper. Left alone if the spec needs none.
 */
MUST_CHECK int upper_open(const struct upper_request *req, struct disk_upper *ret_upper,
			  struct err *err);

/* ---- launch.c ---- */

#define LAUNCH_MAX_STAGES 8

/* One boot: what goes in, and what comes out of it. */
struct launch {
	struct home *home;		   /* borrowed */
	const struct spec *spec;	   /* borrowed */
	const char *id, *name;		   /* borrowed */
	struct image *image;		   /* borrowed; NULL: the root is no image of the store */
	const struct root_disk *disk;	   /* borrowed; NULL: the root is no disk image */
	const struct runtime_files *files; /* borrowed */
	int run_dir;			   /* borrowed: MSB_HOME/run/ID */
	int log_dir;			   /* of launch_run() only: MSB_HOME/logs/ID */
	int lock;			   /* borrowed: holds the flock */
	const struct disk_upper *upper;	   /* borrowed: the ext4 disk or the layer; fd -1: none */
	const struct call *call;	   /* borrowed; may be NULL */
	uint64_t linger_ms;		   /* 0: none */
	/* results; owned by the caller */
	int pidfd, watchdog;
	uint64_t spawned_at; /* CLOCK_MONOTONIC, ns */
	struct {
		char stage[24];
		uint64_t ns; /* since the spawn */
	} stages[LAUNCH_MAX_STAGES];
	size_t n_stages;
};
/**
 * launch_run() - Spawn the monitor and wait until the guest is ready
 *
 * On failure the monitor is gone, and pidfd and watchdog are -1.
 */
MUST_CHECK int launch_run(struct launch *l, struct err *err);

/* Frames of the ready pipe until READY; fills @l->stages. */
MUST_CHECK int ready_wait(struct launch *l, int ready_fd, uint64_t deadline_ns, struct err *err);

/* ---- disk.c ---- */

struct launch_spec;
/* Descriptors for the monitor: a map that grows. */
struct fd_map {
	struct spawn_fd *fds; /* owned */
	size_t n;
	uint32_t next; /* number of the next disk or folder */
	int *opened;   /* owned, with what is in it: what was opened for the map */
	size_t n_opened;
};

/* Disk, partitions and mounts into both specs. */
MUST_CHECK int layout_build(const struct launch *l, struct launch_spec *launch,
			    struct boot_spec *boot, struct fd_map *map, struct err *err);
MUST_CHECK int fd_map_add(struct fd_map *map, int from, uint32_t to);
void fd_map_done(struct fd_map *map);
static inline void fd_map_done_auto(struct fd_map *map)
{
	fd_map_done(map);
}

/* ---- exec.c ---- */

struct sandbox;
/* A new connection to the agent, non-blocking; 0 or -errno. */
MUST_CHECK int agent_connect(int run_dir, int *ret_fd);
/* A new connection to the agent, non-blocking, owned by the caller. NOT_RUNNING, BUSY. */
MUST_CHECK int sandbox_connect(const struct sandbox *sb, int *ret_fd, struct err *err);
MUST_CHECK int sandbox_exec_parse(struct sandbox *sb, const char *text,
				  struct exec_request *ret_request,
				  struct exec_collect *ret_collect, struct err *err);

/* ---- agent_call.c ---- */

/**
 * agent_call() - One request of proto/request.h and its answer
 * @request:	Its frame; released by this call
 * @encoded:	What encoding it gave: 0 or -errno
 * @answer:	Type of the frame that answers it
 * @call:	Its time-out, 30 s by default
 * @ret_payload: Of the answer; owned by the caller
 * @err:	NOT_RUNNING, TIMEOUT, CANCELLED, PROTOCOL; what the agent says: kind as the reason
 */
MUST_CHECK int agent_call(const struct sandbox *sb, struct buf *request, int encoded,
			  uint16_t answer, const struct call *call, struct buf *ret_payload,
			  struct err *err);
/* To the cgroup or the group of a session. */
struct kill_request;
MUST_CHECK int sandbox_kill_session(struct sandbox *sb, const struct kill_request *request,
				    const struct call *call, struct err *err);

/* ---- kept_logs.c ---- */

/* The record is gone: keep the logs of that id for a while, and delete those whose time is over. */
void kept_logs_keep(struct home *home, const char *id);
/* There are logs of a sandbox of this id that has no record. */
bool kept_logs_there(struct home *home, const char *id);

/* ---- logs.c ---- */

/* The last bytes of the console of the last boot, as read_tail() gives them. */
void console_tail(int log_dir, char *out, size_t max);

/* ---- sandbox.c ---- */

struct sandbox {
	struct home *home; /* shared */
	char id[SANDBOX_ID_LEN + 1];
	char name[129];
	bool ephemeral;
	uint64_t stop_timeout_ms;
	char *shell;	  /* owned */
	char *boot_times; /* owned JSON; NULL: another process has booted it */
	pthread_mutex_t lock;
	/* under lock; once known, the commands stay as they are */
	bool commands_known;
	struct str_list entrypoint, cmd; /* owned */
	bool ended;			 /* an ephemeral one, for good */
	struct exit_record end;
};

MUST_CHECK int sandbox_new(struct home *home, const char *id, const char *name,
			   const struct spec *spec, struct sandbox **ret_sb, struct err *err);
/* @image: NULL: the root is no image of the store. */
MUST_CHECK int sandbox_set_commands(struct sandbox *sb, const struct spec *spec,
				    const struct image *image, struct err *err);
/* Entrypoint and cmd are there after it. */
MUST_CHECK int sandbox_know_commands(struct sandbox *sb, struct err *err);

/* ---- end.c ---- */

/* 0 once the guest is ready; 1: nothing runs, or it ended while it booted. */
MUST_CHECK int sandbox_wait_ready(struct sandbox *sb, const struct call *call, struct err *err);

#endif /* RUNTIME_INTERNAL_H */
