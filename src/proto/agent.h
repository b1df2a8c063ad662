/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_AGENT_H
#define PROTO_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * The messages between host and agent, as structs with an encoder and a decoder each.
 *
 * On the wire a message is a CBOR map with unsigned keys that ascend; strings are byte strings
 * without NUL, since argv, environment and paths may hold any other byte.  A reader ignores keys it does not
 * know, unless bit 15 of the key is set: that marks a field which must be understood, and the
 * decoder fails with -EOPNOTSUPP.  Optional fields that have their zero value are left out.
 *
 * x_encode(b, x) appends a whole frame.  x_decode(payload, len, x) fills *x: 0, -EPROTO,
 * -EOPNOTSUPP, -ENOMEM; on failure *x is empty.  Where x_done() exists, the decoded struct
 * owns its strings and lists, all NUL-terminated, and x_done() releases them.
 */

#define AGENT_PROTO_MIN	   1
#define AGENT_PROTO_MAX	   1
#define AGENT_PORT	   1024	       /* of the guest: agentd listens, a stream a client */
#define AGENT_CONTROL_PORT 1025	       /* of the host: agentd connects once, at boot */
#define AGENT_BOOT_MAX	   (16u << 20) /* bytes of a boot message */
#define AGENT_FS_TAG	   "msb"       /* tag of the one virtio-fs device */

/*
 * Each end keeps the two versions before its own.  New fields are optional, new frames are
 * answered by `unsupported`; what needs more than that gets a bit of `features`.
 */
struct hello {
	uint32_t min, max;
	uint64_t features;
};
/* The version that @peer and we speak: the highest that both know. -EPROTONOSUPPORT: none. */
MUST_CHECK int hello_agree(const struct hello *peer);

/* A list of strings; items[n] is NULL. Made by str_list_add() and the decoders only. */
struct str_list {
	char **items;
	size_t n;
};
void str_list_done(struct str_list *l);
/* Append a copy; 0 or -ENOMEM. */
MUST_CHECK int str_list_add(struct str_list *l, const char *item);

/* A partition that the agent makes with BLKPG: /dev/vda1 is parts[0]. */
struct boot_part {
	uint64_t offset, len; /* bytes on the disk /dev/vda */
};

struct boot_mount {
	uint32_t number; /* of the folder in the virtio-fs root */
	char *target;	 /* absolute path in the guest */
	bool read_only, nosuid, noexec, nodev;
};

#define RLIMIT_NONE  UINT64_MAX /* no limit */
#define EXEC_RLIMITS 16		/* resources of Linux; RLIMIT_CPU is 0, RLIMIT_RTTIME 15 */

struct exec_rlimit {
	uint32_t resource;   /* RLIMIT_*, below EXEC_RLIMITS */
	uint64_t soft, hard; /* RLIMIT_NONE: none */
};

#define BOOT_NONE UINT32_MAX

enum boot_upper { UPPER_NONE, UPPER_DISK, UPPER_TMPFS, UPPER_DIRECT, BOOT_UPPER_MAX };

/* Everything the agent needs to set up the guest; one message. */
struct boot_spec {
	struct boot_part *parts;
	size_t n_parts;
	uint32_t root_part;	   /* index in parts of the root, or BOOT_NONE */
	char *root_fs;		   /* type of the file system in root_part; NULL: erofs */
	uint32_t root_mount;	   /* number of the folder that is the root, or BOOT_NONE */
	enum boot_upper upper;	   /* DIRECT: the folder or root_part is written in place */
	uint32_t upper_part;	   /* UPPER_DISK: index in parts (ext4) */
	uint64_t upper_size;	   /* UPPER_TMPFS: bytes, 0 for the kernel's default */
	uint32_t modules_part;	   /* index in parts of the modules image, or BOOT_NONE */
	struct boot_mount *mounts; /* parents first */
	size_t n_mounts;
	char *hostname;
	struct str_list env;	     /* "K=V": image and spec, merged */
	char *workdir;		     /* NULL: "/" */
	bool workdir_create;	     /* it is the image's: made if missing */
	char *user;		     /* NULL: root */
	struct exec_rlimit *rlimits; /* owned; of every session, before its own */
	size_t n_rlimits;
	uint64_t time_ns; /* wall clock since the epoch */
	uint8_t seed[64]; /* for the kernel's pool */
};
void boot_spec_init(struct boot_spec *s); /* empty, with BOOT_NONE where it belongs */
void boot_spec_done(struct boot_spec *s);

/* Why something could not be done: boot, a program, a launch. */
struct failure {
	char stage[24];	   /* "agent", "disk", "mount", "main" ... */
	char kind[24];	   /* exec: "not-found", "not-executable", "bad-cwd" ...; else "" */
	int32_t sys;	   /* errno, 0 for none */
	char subject[256]; /* path, name: what it is about */
	char message[512]; /* one sentence */
};

struct session_event {
	uint64_t session;
	bool ended;	 /* else started */
	bool main;	 /* its end ends the sandbox */
	uint32_t code;	 /* 0..255; with signal: 128 + signal */
	uint32_t signal; /* 0: exited by itself */
	uint32_t n_live; /* sessions that are live now */
};

struct shutdown_request {
	uint32_t grace_ms; /* between TERM and KILL */
	uint32_t signal;   /* to main in place of TERM; 0: TERM */
};

struct tty_size {
	uint16_t rows, cols;
};

/* What becomes of a program whose client goes away. */
enum on_disconnect {
	ON_DISCONNECT_KILL,   /* HUP, and KILL of its cgroup after two seconds */
	ON_DISCONNECT_HANGUP, /* HUP; what survives it goes on */
	ON_DISCONNECT_KEEP,   /* nothing: another client may attach */
	ON_DISCONNECT_MAX
};

#define EXEC_CPU_MILLI_MAX 64000 /* 64 CPUs */

struct exec_request {
	struct str_list argv; /* at least one */
	struct str_list env;  /* "K=V", on top of the boot message's */
	char *cwd;	      /* NULL: the boot message's */
	char *user;	      /* NULL: the boot message's */
	bool main;
	bool stdin_open; /* else /dev/null */
	bool tty;
	struct tty_size size; /* tty */
	char *term;	      /* tty: TERM if the guest has none; may be NULL */
	uint64_t timeout_ms;  /* 0: none; TERM, then KILL after kill_after_ms */
	uint64_t kill_after_ms;
	enum on_disconnect on_disconnect;
	bool wait_pipes;	     /* the end of the output is waited for without limit */
	bool no_log;		     /* told to the monitor by exec_started */
	struct exec_rlimit *rlimits; /* owned */
	size_t n_rlimits;
	uint64_t memory_max; /* bytes of the session's cgroup; 0: no limit */
	uint32_t pids_max;   /* 0: no limit */
	uint32_t cpu_milli;  /* thousandths of a CPU; 0: no limit */
	uint64_t time_ns;    /* the host's wall clock, since the epoch; 0: unknown */
};
void exec_request_done(struct exec_request *r);

/* Join a session; the answer is FRAME_STARTED, then output from these offsets on. */
struct attach_request {
	uint64_t session;
	uint64_t out_from, err_from; /* bytes since its start; OFFSET_END: only what comes now */
	bool watch;		     /* no input, signals, resize; never holds the program back */
	bool steal;		     /* take the input from who has it */
	uint64_t time_ns;	     /* as in exec_request */
};
#define OFFSET_END UINT64_MAX

/* Bytes of a channel that are gone, in front of the next ones. */
struct output_gap {
	uint32_t type; /* FRAME_STDOUT, FRAME_STDERR, FRAME_TTY */
	uint64_t bytes;
};

/*
 * The program has taken so many more bytes of its input; told each STDIN_ACK bytes.  With less than
 * STDIN_STUCK bytes beyond what it was told, a client knows that the agent reads its stream; with more,
 * a signal may wait there, and should be sent by a request.
 */
struct stdin_taken {
	uint64_t bytes;
};
#define STDIN_STUCK (192u << 10) /* bytes */
#define STDIN_ACK   (64u << 10)

struct tcp_request {
	uint16_t port;
	uint64_t time_ns; /* as in exec_request */
};

struct exec_started {
	uint64_t session;
	uint32_t pid;		     /* 0: it has ended */
	uint64_t out_from, err_from; /* offsets of the first bytes to come, gaps included */
	bool tty;
	bool main;   /* as the request said */
	bool no_log; /* likewise: its output belongs into no log */
};

struct exec_exited {
	uint32_t code;	 /* 0..255; with signal: 128 + signal */
	uint32_t signal; /* 0: exited by itself */
	bool core, timed_out, oom, pipes_open;
	uint64_t duration_ns;	     /* from the start to the end of the program */
	uint64_t user_us, system_us; /* CPU time of it and its children */
	uint64_t max_rss;	     /* bytes */
};

/* FRAME_ERROR */
struct proto_error {
	char code[24]; /* "protocol", "unsupported", "busy", "stopping", "draining", "watching" */
	uint32_t type; /* of the frame it answers */
};

MUST_CHECK int hello_encode(struct buf *b, const struct hello *x);
MUST_CHECK int hello_decode(const void *payload, size_t len, struct hello *x);
MUST_CHECK int boot_spec_encode(struct buf *b, const struct boot_spec *x); /* with FLAG_MORE */
MUST_CHECK int boot_spec_decode(const void *payload, size_t len, struct boot_spec *x);
MUST_CHECK int failure_encode(struct buf *b, uint16_t type, const struct failure *x);
MUST_CHECK int failure_decode(const void *payload, size_t len, struct failure *x);
MUST_CHECK int session_event_encode(struct buf *b, const struct session_event *x);
MUST_CHECK int session_event_decode(const void *payload, size_t len, struct session_event *x);
MUST_CHECK int shutdown_request_encode(struct buf *b, const struct shutdown_request *x);
MUST_CHECK int shutdown_request_decode(const void *payload, size_t len, struct shutdown_request *x);
MUST_CHECK int exec_request_encode(struct buf *b, const struct exec_request *x);
MUST_CHECK int exec_request_decode(const void *payload, size_t len, struct exec_request *x);
MUST_CHECK int attach_request_encode(struct buf *b, const struct attach_request *x);
MUST_CHECK int attach_request_decode(const void *payload, size_t len, struct attach_request *x);
MUST_CHECK int output_gap_encode(struct buf *b, const struct output_gap *x);
MUST_CHECK int output_gap_decode(const void *payload, size_t len, struct output_gap *x);
MUST_CHECK int stdin_taken_encode(struct buf *b, const struct stdin_taken *x);
MUST_CHECK int stdin_taken_decode(const void *payload, size_t len, struct stdin_taken *x);
MUST_CHECK int tcp_request_encode(struct buf *b, const struct tcp_request *x);
MUST_CHECK int tcp_request_decode(const void *payload, size_t len, struct tcp_request *x);
MUST_CHECK int exec_started_encode(struct buf *b, const struct exec_started *x);
MUST_CHECK int exec_started_decode(const void *payload, size_t len, struct exec_started *x);
MUST_CHECK int exec_exited_encode(struct buf *b, const struct exec_exited *x);
MUST_CHECK int exec_exited_decode(const void *payload, size_t len, struct exec_exited *x);
MUST_CHECK int tty_size_encode(struct buf *b, const struct tty_size *x);
MUST_CHECK int tty_size_decode(const void *payload, size_t len, struct tty_size *x);
MUST_CHECK int signal_encode(struct buf *b, uint32_t signal);
MUST_CHECK int signal_decode(const void *payload, size_t len, uint32_t *signal);
MUST_CHECK int proto_error_encode(struct buf *b, const struct proto_error *x);
MUST_CHECK int proto_error_decode(const void *payload, size_t len, struct proto_error *x);

/* FRAME_PROGRESS: one text item, the stage. */
#define PROGRESS_STAGE_MAX 24 /* bytes, with the NUL */
MUST_CHECK int progress_encode(struct buf *b, const char *stage);
MUST_CHECK int progress_decode(const void *payload, size_t len, char stage[PROGRESS_STAGE_MAX]);

#endif /* PROTO_AGENT_H */
