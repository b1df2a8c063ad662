/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_LAUNCH_H
#define PROTO_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * Between the library and msb-sandbox: what it gets at its start (descriptors by number and
 * the launch spec), and what it says on the ready pipe and hears on its control socket.
 *
 *	msb-sandbox NAME ID	argv holds these for `ps` only; the environment is empty
 */
enum launch_fd {
	LAUNCH_FD_SPEC = 3,	/* sealed memfd: struct launch_spec */
	LAUNCH_FD_BOOT = 4,	/* sealed memfd: the boot message in frames, sent on unread */
	LAUNCH_FD_READY = 5,	/* pipe: progress, then ready or failed; then closed */
	LAUNCH_FD_WATCHDOG = 6, /* socket: EOF: the client is gone; one byte: detach */
	LAUNCH_FD_RUN_DIR = 7,	/* folder MSB_HOME/run/ID: exit record, logs */
	LAUNCH_FD_LOCK = 8,	/* open file that holds the flock; all children inherit it */
	LAUNCH_FD_AGENT = 9, /* listening Unix socket, RUN_DIR/agent.sock: clients of the agent */
	LAUNCH_FD_CONTROL = 10, /* listening Unix socket, RUN_DIR/control.sock */
	LAUNCH_FD_KERNEL = 11,
	LAUNCH_FD_INITRAMFS = 12,
	LAUNCH_FD_LOG = 13,	/* monitor.log; also its standard error */
	LAUNCH_FD_LOG_DIR = 14, /* folder MSB_HOME/logs/ID, see logs/format.h */
	LAUNCH_FD_PARENT = 15,	/* pidfd of the client: a second sign of its death */
	LAUNCH_FD_FIRST = 16,	/* disks and folders, as the spec numbers them */
};

enum launch_format { LAUNCH_RAW, LAUNCH_QCOW2, LAUNCH_FORMAT_MAX };

/* Of which sessions the output is kept in the log. */
enum launch_capture { CAPTURE_ALL, CAPTURE_MAIN, CAPTURE_NONE, CAPTURE_MAX };

struct launch_extent {
	uint64_t disk_offset, file_offset, len; /* bytes, as struct block_extent */
	uint32_t fd;
	bool writable, volatile_data; /* with a layer: writes go to that */
	enum launch_format format;
	uint32_t layer_fd; /* of what is written over fd, block/cow.h; 0: none */
};

struct launch_mount {
	uint32_t fd; /* O_PATH folder */
	bool read_only;
	uint32_t uid, gid;
	bool hide_set;
	uint64_t hide_dev, hide_ino;
};

struct launch_spec {
	char id[17]; /* 16 hex digits */
	char name[129];
	char engine[8];	 /* "qemu", "kvm" */
	char *qemu_path; /* NULL unless engine qemu; owned after decode */
	char *cmdline;	 /* extra kernel words; may be NULL; owned after decode */
	uint32_t cpus;
	uint64_t memory_mib;
	bool flush;	     /* what the guest wrote matters after its end */
	bool remove_run_dir; /* ephemeral: if the client died, leave no run folder behind */
	uint64_t start_timeout_ms;
	uint64_t max_duration_ms; /* from ready on, on the boot-time clock; 0: none */
	uint64_t idle_timeout_ms; /* 0: none */
	uint64_t linger_ms;	  /* after the last session; 0: none */
	uint32_t stop_timeout_ms; /* grace of a stop that follows a drain */
	uint32_t stop_signal;	  /* to main; number of Linux */
	uint64_t disk_size;	  /* bytes, 0: no disk */
	struct launch_extent *extents;
	size_t n_extents;
	enum launch_capture capture;
	struct launch_mount *mounts; /* number in the virtio-fs root = index */
	size_t n_mounts;
};
void launch_spec_done(struct launch_spec *s);

/* The spec is one CBOR map, no frame. */
MUST_CHECK int launch_spec_encode(struct buf *b, const struct launch_spec *s);
MUST_CHECK int launch_spec_decode(const void *data, size_t len, struct launch_spec *s);

struct launch_progress {
	char stage[24]; /* monitor engine agent mounts ready */
	uint64_t at_ns; /* CLOCK_MONOTONIC */
};
MUST_CHECK int launch_progress_encode(struct buf *b, const struct launch_progress *x);
MUST_CHECK int launch_progress_decode(const void *payload, size_t len, struct launch_progress *x);

enum stop_how { STOP_GRACEFUL, STOP_KILL, STOP_CUT, STOP_DRAIN, STOP_HOW_MAX };

struct stop_request {
	enum stop_how how;
	uint32_t grace_ms; /* of a drain: how long it waits for the sessions, 0: no limit */
};
MUST_CHECK int stop_request_encode(struct buf *b, const struct stop_request *x);
MUST_CHECK int stop_request_decode(const void *payload, size_t len, struct stop_request *x);

/*
 * Who the monitor is, as text "PID START BOOT-ID\n" in the lock, written by itself before anything
 * else: a pid that another process has by now differs in the rest.
 */
#define MONITOR_BOOT_ID_SIZE 40 /* bytes of a boot id, with its NUL */
#define MONITOR_IDENTITY_MAX 128
struct monitor_identity {
	int pid;
	uint64_t start; /* clock ticks since the boot of the host, proc(5) */
	char boot[MONITOR_BOOT_ID_SIZE];
};
/* Each 0 or -errno. */
MUST_CHECK int monitor_boot_id(char id[static MONITOR_BOOT_ID_SIZE]);
MUST_CHECK int monitor_start_time(int pid, uint64_t *ret_ticks);
/* Of this process. */
MUST_CHECK int monitor_identity_write(int fd);
/* -EPROTO */
MUST_CHECK int monitor_identity_parse(const char *text, struct monitor_identity *ret);

/*
 * The exit record, RUN_DIR/exit.json, written by msb-sandbox under a temporary name and
 * renamed: {"v":1,"id","name","engine","boot","started_at","ended_at" (wall clock, ns),
 * "reason","detail","stage","errno","main":{"code","signal"} or null,"flushed",
 * "console_tail"}.  Reasons: sandbox/ending.c.
 */
#define EXIT_RECORD_NAME "exit.json"
#define EXIT_RECORD_MAX	 65536 /* bytes */

#endif /* PROTO_LAUNCH_H */
