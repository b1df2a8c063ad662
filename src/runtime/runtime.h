/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_RUNTIME_H
#define RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/defer.h"
#include "base/err.h"
#include "proto/agent.h"
#include "runtime/call.h"

/*
 * The life of sandboxes as the library sees it.  A home is one MSB_HOME with its store and
 * database; a sandbox is a handle to one monitor process; a stream carries one program.
 * src/lib puts the public API on top.
 *
 * Homes and sandboxes may be used from any thread.
 */
struct home;
struct sandbox;
struct exec_stream;

/* Where things are; strings are borrowed for the call, NULL: the default. */
struct home_options {
	const char *home;	   /* NULL: ~/.microsandbox */
	const char *user_dir;	   /* the caller's home directory, for the default and for "~/" */
	const char *engine;	   /* what `auto` of a spec means: "auto", "kvm", "qemu" */
	const char *libexec;	   /* folder of msb-sandbox and the initramfs */
	const char *kernel;	   /* a vmlinux; its modules.erofs lies beside it */
	const char *path;	   /* PATH, to find QEMU and the helpers of docker logins */
	const char *docker_config; /* DOCKER_CONFIG: folder of docker's config.json */
	const char *runtime_dir;   /* XDG_RUNTIME_DIR */
};

/**
 * home_open() - Open a home, made if missing, modes repaired, leftovers removed
 *
 * Local files only.  The one reference that it returns ends by home_close().
 */
MUST_CHECK int home_open(const struct home_options *options, struct home **ret_home,
			 struct err *err);
/* Attached sandboxes begin to end; handles that are still open stay usable. */
void home_close(struct home *home);
DEFINE_AUTO(struct home *, home_close);

/* As in <microsandbox.h>; JSON is owned by the caller. */
MUST_CHECK int home_spec_check(struct home *home, const char *spec, char **ret_normal,
			       struct err *err);
MUST_CHECK int home_image_load(struct home *home, int fd, const char *what, const char *name,
			       const struct call *call, char **ret_json, struct err *err);
MUST_CHECK int home_image_pull(struct home *home, const char *reference, const char *options,
			       const struct call *call, char **ret_json, struct err *err);
MUST_CHECK int home_registry_login(struct home *home, const char *host, const char *user,
				   const void *secret, size_t len, const char *options,
				   const struct call *call, struct err *err);
MUST_CHECK int home_registry_logout(struct home *home, const char *host, struct err *err);
MUST_CHECK int home_registry_list(struct home *home, char **ret_json, struct err *err);
/* @brief: without the layers. */
MUST_CHECK int home_image_list(struct home *home, bool brief, char **ret_json, struct err *err);
MUST_CHECK int home_image_inspect(struct home *home, const char *image, char **ret_json,
				  struct err *err);
/* IMAGE_NOT_FOUND, IMAGE_IN_USE, BUSY; @force: an image that is in use loses its names only. */
MUST_CHECK int home_image_remove(struct home *home, const char *image, bool force,
				 const struct call *call, struct err *err);
MUST_CHECK int home_image_prune(struct home *home, uint64_t older_than_s, bool dry_run,
				const struct call *call, char **ret_json, struct err *err);
MUST_CHECK int home_image_verify(struct home *home, const char *image, const struct call *call,
				 char **ret_json, struct err *err);
MUST_CHECK int home_image_tag(struct home *home, const char *image, const char *name,
			      struct err *err);
/* Where an archive goes: to a descriptor, or to a file that appears when it is whole. */
struct save_to {
	const char *path; /* borrowed; NULL: @fd */
	int fd;		  /* borrowed */
};
/* As msb_save(). */
MUST_CHECK int home_image_save(struct home *home, const char *const *names,
			       const struct save_to *to, const char *options,
			       const struct call *call, char **ret_json, struct err *err);
/* JSON as msb_list() and msb_inspect() say. SANDBOX_NOT_FOUND. */
MUST_CHECK int home_sandbox_list(struct home *home, char **ret_json, struct err *err);
MUST_CHECK int home_sandbox_inspect(struct home *home, const char *name, char **ret_json,
				    struct err *err);
/* Record and disk. SANDBOX_NOT_FOUND, STILL_RUNNING; @force: end it first, then wait for that. */
MUST_CHECK int home_sandbox_remove(struct home *home, const char *name, bool force,
				   const struct call *call, struct err *err);

enum sandbox_how { SANDBOX_GRACEFUL, SANDBOX_KILL, SANDBOX_CUT, SANDBOX_DRAIN, SANDBOX_HOW_MAX };
enum { SANDBOX_DETACHED = 1, SANDBOX_OR_CONNECT = 2, SANDBOX_NO_START = 4 };

/**
 * sandbox_create() - Create and boot a sandbox
 * @spec:	JSON
 * @flags:	SANDBOX_DETACHED ..., as in <microsandbox.h>
 *
 * Blocks until the guest is ready.  A call that fails or is ended early leaves nothing behind.
 */
MUST_CHECK int sandbox_create(struct home *home, const char *spec, unsigned flags,
			      const struct call *call, struct sandbox **ret_sb, struct err *err);

struct sandbox_start_options {
	unsigned flags;	    /* SANDBOX_DETACHED, SANDBOX_OR_CONNECT */
	uint64_t linger_ms; /* it ends so long after its last session; 0: it does not */
};
/* Boot a sandbox that is recorded. SANDBOX_NOT_FOUND, STILL_RUNNING. */
MUST_CHECK int sandbox_start(struct home *home, const char *name,
			     const struct sandbox_start_options *options, const struct call *call,
			     struct sandbox **ret_sb, struct err *err);
/* In any state. SANDBOX_NOT_FOUND. */
MUST_CHECK int sandbox_get(struct home *home, const char *name_or_id, struct sandbox **ret_sb,
			   struct err *err);
/* Only while it is down. STILL_RUNNING, SANDBOX_EXISTS. */
MUST_CHECK int sandbox_rename(struct sandbox *sb, const char *name, struct err *err);
bool sandbox_attached(const struct sandbox *sb);
MUST_CHECK int sandbox_detach(struct sandbox *sb, struct err *err);
/* Release the handle; the sandbox lives on. */
void sandbox_close(struct sandbox *sb);
DEFINE_AUTO(struct sandbox *, sandbox_close);
const char *sandbox_name(const struct sandbox *sb);
const char *sandbox_id(const struct sandbox *sb);
MUST_CHECK int sandbox_boot_times(struct sandbox *sb, char **ret_json, struct err *err);
/* @ret_end may be NULL.  A call that is ended early has asked already; a wait changes nothing. */
MUST_CHECK int sandbox_stop(struct sandbox *sb, enum sandbox_how how, bool nowait, int64_t grace_ms,
			    const struct call *call, char **ret_end, struct err *err);
MUST_CHECK int sandbox_wait(struct sandbox *sb, const struct call *call, char **ret_end,
			    struct err *err);
/* Until the guest is ready, in this boot or the next. */
MUST_CHECK int sandbox_wait_running(struct sandbox *sb, const struct call *call, struct err *err);
/* It is in use: its idle time starts anew. NOT_RUNNING. */
MUST_CHECK int sandbox_touch(struct sandbox *sb, struct err *err);
/* JSON {"round_trip_us"}. */
MUST_CHECK int sandbox_ping(struct sandbox *sb, const struct call *call, char **ret_json,
			    struct err *err);
/* What the guest says of itself, as JSON. */
MUST_CHECK int sandbox_stats(struct sandbox *sb, const struct call *call, char **ret_json,
			     struct err *err);
/* Live sessions and those that ended lately, as a JSON array. */
MUST_CHECK int sandbox_sessions(struct sandbox *sb, const struct call *call, char **ret_json,
				struct err *err);
/* Signal @signo to the process group of a session; all its processes if @all. NOT_FOUND. */
MUST_CHECK int sandbox_signal(struct sandbox *sb, uint64_t session, unsigned signo, bool all,
			      const struct call *call, struct err *err);
/* Wait until a program of the guest listens on a port. */
MUST_CHECK int sandbox_wait_port(struct sandbox *sb, uint16_t port, bool udp,
				 const struct call *call, struct err *err);

/* A program that was run to its end, or as far as the call went. */
struct run_output {
	char *data;	/* owned; a NUL is behind it; NULL: nothing came */
	size_t len;	/* bytes that are kept */
	uint64_t total; /* bytes that came */
};
struct run_result {
	uint64_t session; /* 0: not started */
	bool exited;	  /* the fields down to duration_ms are known */
	uint32_t code, signal;
	bool core, timed_out, oom, pipes_open;
	uint64_t duration_ms;
	struct run_output out, err; /* of a terminal: out */
};
void run_result_done(struct run_result *r);
/**
 * sandbox_run() - Run a program and collect its output
 * @in:		Its input, @len bytes; NULL: as the request says
 * @ret:	Filled also on failure; run_result_done() releases it
 * @err:	EXEC_FAILED, EXEC_TIMEOUT, OUTPUT_LIMIT, EXEC_LOST, CANCELLED, ...
 *
 * Blocks.  A call that is ended early kills the program and all that it started.
 */
MUST_CHECK int sandbox_run(struct sandbox *sb, const char *request, const void *in, size_t len,
			   const struct call *call, struct run_result *ret, struct err *err);

/* A session that is there already; does not wait. */
MUST_CHECK int sandbox_attach(struct sandbox *sb, const char *request,
			      struct exec_stream **ret_stream, struct err *err);
/* A TCP connection to a port of the guest's loopback; does not wait. */
MUST_CHECK int sandbox_tcp(struct sandbox *sb, uint16_t port, struct exec_stream **ret_stream,
			   struct err *err);
/* Start a program; does not wait. */
MUST_CHECK int sandbox_exec(struct sandbox *sb, const char *request,
			    struct exec_stream **ret_stream, struct err *err);

/* ---- files of the guest ---- */

struct copy_options {
	bool follow;	   /* links of the source are what they point to */
	bool archive;	   /* owners and attributes too */
	const char *chown; /* "user:group" of what is made; NULL: leave it */
};

/* What a copy has to say. */
struct copy_report {
	uint64_t bytes;		  /* of the archive that went over */
	struct str_list warnings; /* "PATH WHAT"; owned; the first few */
	uint64_t n_warnings;
};
void copy_report_done(struct copy_report *r);
static inline void copy_report_done_auto(struct copy_report *r)
{
	copy_report_done(r);
}

/*
 * A file or tree of the host at @host becomes @guest, an absolute path: below it if that is a
 * folder or ends by "/".  @report is filled also on failure.
 */
MUST_CHECK int sandbox_copy_in(struct sandbox *sb, const char *host, const char *guest,
			       const struct copy_options *o, const struct call *call,
			       struct copy_report *report, struct err *err);
/* The other way; nothing outside of @host is touched. */
MUST_CHECK int sandbox_copy_out(struct sandbox *sb, const char *guest, const char *host,
				const struct copy_options *o, const struct call *call,
				struct copy_report *report, struct err *err);
/* A tar archive from a descriptor into the existing folder @guest. */
MUST_CHECK int sandbox_tar_in(struct sandbox *sb, int fd, const char *guest,
			      const struct copy_options *o, const struct call *call,
			      struct copy_report *report, struct err *err);
/* @guest as a tar archive to a descriptor; NULL as @as: its top entry has the last part of the path. */
MUST_CHECK int sandbox_tar_out(struct sandbox *sb, const char *guest, const char *as, int fd,
			       const struct copy_options *o, const struct call *call,
			       struct copy_report *report, struct err *err);
/* From one sandbox to another, or to itself. */
MUST_CHECK int sandbox_copy_between(struct sandbox *from, const char *src, struct sandbox *to,
				    const char *dst, const struct copy_options *o,
				    const struct call *call, struct copy_report *report,
				    struct err *err);

#endif /* RUNTIME_RUNTIME_H */
