/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_REQUEST_H
#define PROTO_REQUEST_H

#include "proto/agent.h"

/*
 * Requests to the agent, on a connection whose first message is FRAME_OPEN_REQUESTS.  Each is
 * answered before the next is read: by its own answer, FRAME_DONE, or FRAME_FAILED with one of
 * the kinds "gone" (the session has ended), "not-found", "timeout", "busy", "other".
 *
 * Conventions are those of agent.h.
 */
struct requests_open {
	uint64_t time_ns; /* the host's wall clock, since the epoch; 0: unknown */
};

enum session_phase { PHASE_RUNNING, PHASE_ENDING, PHASE_ENDED, SESSION_PHASE_MAX };

#define SESSION_COMMAND_MAX 256 /* bytes, with the NUL */

struct session_info {
	uint64_t session;
	enum session_phase phase;
	uint32_t pid; /* 0: it has ended */
	bool main, tty;
	bool input_taken;   /* a client has the input */
	uint32_t n_clients; /* watchers included */
	enum on_disconnect on_disconnect;
	uint64_t started_ns, ended_ns; /* guest's wall clock, since the epoch; ended 0: not yet */
	uint32_t code, signal;	       /* as in exec_exited */
	bool timed_out, oom;
	uint64_t out_bytes, err_bytes;	   /* written so far */
	uint64_t out_kept, err_kept;	   /* of them the last so many can be had */
	char command[SESSION_COMMAND_MAX]; /* argv with spaces between; cut */
};

/* 1024 live and 256 ended sessions, with room for more. */
#define SESSION_LIST_MAX 2048

struct session_list {
	struct session_info *items; /* owned */
	size_t n_items;
};
void session_list_done(struct session_list *l);

/* Told by the guest, hence no base for limits or billing. Bytes unless said otherwise. */
struct guest_stats {
	uint64_t uptime_ns;
	uint64_t memory_total, memory_available, memory_free;
	uint64_t swap_total, swap_free;
	uint64_t cpu_user_ns, cpu_system_ns, cpu_idle_ns, cpu_steal_ns; /* of all CPUs */
	uint32_t n_cpus;
	uint32_t load_milli[3]; /* thousandths; over 1, 5, 15 minutes */
	uint32_t n_processes;
	uint64_t disk_total, disk_free, disk_available; /* of "/" */
	uint64_t inodes_total, inodes_free;
	uint32_t n_sessions;   /* live */
	uint32_t n_clients;    /* connections */
	uint64_t buffer_bytes; /* of rings and input, in the agent */
	uint64_t agent_memory; /* resident set of the agent */
	uint64_t n_agent_fds;
};

enum kill_scope { KILL_GROUP, KILL_CGROUP, KILL_SCOPE_MAX };

struct kill_request {
	uint64_t session;
	uint32_t signal; /* 1 to 64 */
	enum kill_scope scope;
};

struct drain_request {
	bool off; /* take sessions again */
};

struct clock_request {
	uint64_t time_ns; /* since the epoch */
};

struct wait_port_request {
	uint16_t port;
	bool udp;
	uint64_t timeout_ms; /* at most WAIT_PORT_MS_MAX */
};
#define WAIT_PORT_MS_MAX (24ull * 3600 * 1000)

MUST_CHECK int requests_open_encode(struct buf *b, const struct requests_open *x);
MUST_CHECK int requests_open_decode(const void *payload, size_t len, struct requests_open *x);
MUST_CHECK int session_list_encode(struct buf *b, const struct session_list *x);
MUST_CHECK int session_list_decode(const void *payload, size_t len, struct session_list *x);
MUST_CHECK int guest_stats_encode(struct buf *b, const struct guest_stats *x);
MUST_CHECK int guest_stats_decode(const void *payload, size_t len, struct guest_stats *x);
MUST_CHECK int kill_request_encode(struct buf *b, const struct kill_request *x);
MUST_CHECK int kill_request_decode(const void *payload, size_t len, struct kill_request *x);
MUST_CHECK int drain_request_encode(struct buf *b, const struct drain_request *x);
MUST_CHECK int drain_request_decode(const void *payload, size_t len, struct drain_request *x);
MUST_CHECK int clock_request_encode(struct buf *b, const struct clock_request *x);
MUST_CHECK int clock_request_decode(const void *payload, size_t len, struct clock_request *x);
MUST_CHECK int wait_port_request_encode(struct buf *b, const struct wait_port_request *x);
MUST_CHECK int wait_port_request_decode(const void *payload, size_t len,
					struct wait_port_request *x);

#endif /* PROTO_REQUEST_H */
