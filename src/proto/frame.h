/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * Frames on every stream of ours: 8 bytes of header (type u16, flags u16, length u32, little
 * endian) and the payload.  Payloads of control frames are CBOR, of data frames raw bytes.
 */
#define FRAME_HEADER	  8
#define FRAME_MAX_PAYLOAD (4u << 20)   /* bytes, any frame */
#define FRAME_MAX_DATA	  (256u << 10) /* bytes, stdin, stdout, stderr, tty */
#define FRAME_FLAG_MORE	  1	       /* the message goes on in the next frame of this type */

enum frame_type {
	/* any stream */
	FRAME_HELLO = 1, /* both ways, first: struct hello */
	FRAME_ERROR = 2, /* both ways: struct proto_error; the stream ends unless `unsupported` */

	/* control stream: agent connects to AGENT_CONTROL_PORT of the host at boot; takes requests too */
	FRAME_BOOT = 16,	/* to agent, once: struct boot_spec, in frames with FLAG_MORE */
	FRAME_PROGRESS = 17,	/* from agent: a boot stage was passed: text */
	FRAME_READY = 18,	/* from agent: sessions may be opened */
	FRAME_BOOT_FAILED = 19, /* from agent: struct failure */
	FRAME_SESSION = 20,	/* from agent: struct session_event */
	FRAME_SHUTDOWN = 21,	/* to agent: struct shutdown_request */
	FRAME_FLUSHED = 22,	/* from agent: disks are clean, the power may be cut */
	FRAME_PING = 23,	/* to agent, request stream too: any payload up to 64 bytes */
	FRAME_PONG = 24,	/* from agent: the same payload */

	/* exec stream: a client connects to AGENT_PORT of the guest */
	FRAME_OPEN_EXEC = 32,	 /* to guest, once: struct exec_request */
	FRAME_STARTED = 33,	 /* from guest: struct exec_started */
	FRAME_FAILED = 34,	 /* from guest, last: struct failure */
	FRAME_STDIN = 35,	 /* to guest: bytes */
	FRAME_STDIN_EOF = 36,	 /* to guest */
	FRAME_STDIN_CLOSED = 37, /* from guest: the program closed its end */
	FRAME_STDOUT = 38,	 /* from guest: bytes */
	FRAME_STDERR = 39,	 /* from guest: bytes */
	FRAME_TTY = 40,		 /* from guest: bytes */
	FRAME_RESIZE = 41,	 /* to guest: struct tty_size */
	FRAME_SIGNAL = 42,	 /* to guest: number */
	FRAME_EXITED = 43,	 /* from guest, last: struct exec_exited */
	FRAME_TIMED_OUT = 44,	 /* from guest: the program is being ended; EXITED follows */
	FRAME_GAP = 45,		 /* from guest: struct output_gap */
	FRAME_OPEN_ATTACH = 46,	 /* to guest, once: struct attach_request */
	FRAME_STDIN_TAKEN = 47,	 /* from guest: struct stdin_taken */

	/* stream to a TCP port of the guest's loopback */
	FRAME_OPEN_TCP = 48,  /* to guest, once: struct tcp_request */
	FRAME_CONNECTED = 49, /* from guest; or FRAME_FAILED */
	FRAME_TCP_DATA = 50,  /* both ways: bytes */
	FRAME_TCP_EOF = 51,   /* both ways: no more bytes this way */

	/* request stream: requests one after the other, each with one answer; see request.h */
	FRAME_OPEN_REQUESTS = 80, /* to guest, once: struct requests_open */
	FRAME_DONE = 81,	  /* from guest: done; or FRAME_FAILED */
	FRAME_SESSIONS = 82,	  /* to guest */
	FRAME_SESSION_LIST = 83,  /* from guest: struct session_list */
	FRAME_STATS = 84,	  /* to guest */
	FRAME_STATS_REPLY = 85,	  /* from guest: struct guest_stats */
	FRAME_KILL = 86,	  /* to guest: struct kill_request */
	FRAME_DRAIN = 87,	  /* to guest: struct drain_request */
	FRAME_CLOCK = 88,	  /* to guest: struct clock_request */
	FRAME_WAIT_PORT = 89,	  /* to guest: struct wait_port_request */
	FRAME_FREEZE = 90,	  /* to guest: the root disk stands still until THAW, or 5 s */
	FRAME_THAW = 91,	  /* to guest */

	/* file stream: one operation; see file.h */
	FRAME_OPEN_FILE = 96,	  /* to guest, once: struct file_request */
	FRAME_FILE_DATA = 97,	  /* both ways: bytes */
	FRAME_FILE_EOF = 98,	  /* to guest: no more bytes */
	FRAME_FILE_ENTRY = 99,	  /* from guest: struct file_entry */
	FRAME_FILE_WARNING = 100, /* from guest: struct file_warning */

	/* ready pipe and control socket of msb-sandbox, see launch.h */
	FRAME_LAUNCH_PROGRESS = 64, /* from monitor: struct launch_progress */
	FRAME_LAUNCH_READY = 65,    /* from monitor; on the control socket to who watches */
	FRAME_LAUNCH_FAILED = 66,   /* from monitor, last: struct failure */
	FRAME_STOP = 67,	    /* to monitor: struct stop_request */
	FRAME_WATCH = 68,	    /* to monitor: LAUNCH_READY once that is so, ENDED at the end */
	FRAME_ENDED = 69,	    /* from monitor: the exit record, JSON */
	FRAME_TOUCH = 70, /* to monitor: the sandbox is in use; the idle time starts anew */
};

/* The type is one of the above, for whatever end. */
bool frame_is_known(uint16_t type);

struct frame {
	uint16_t type, flags;
	const uint8_t *payload; /* borrowed from the buffer it was read from */
	uint32_t len;
};

/* Append a frame with this payload. 0, -EMSGSIZE past FRAME_MAX_PAYLOAD, or buf_add()'s. */
MUST_CHECK int frame_add(struct buf *b, uint16_t type, uint16_t flags, const void *payload,
			 size_t len);

/*
 * A frame whose payload is written in place: frame_begin(), cbor_put_...(), frame_end().
 * frame_begin() gives the position that frame_end() wants.
 */
MUST_CHECK int frame_begin(struct buf *b, uint16_t type, size_t *ret_at);
MUST_CHECK int frame_end(struct buf *b, size_t at);

/**
 * frame_next() - The first whole frame of @len bytes at @data
 * Return: bytes it takes (header and payload), 0 if it is not whole yet, -EPROTO for a length
 * above FRAME_MAX_PAYLOAD. *ret is borrowed from @data.
 */
MUST_CHECK int64_t frame_next(const void *data, size_t len, struct frame *ret);

#endif /* PROTO_FRAME_H */
