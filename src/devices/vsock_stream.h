/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_VSOCK_STREAM_H
#define DEVICES_VSOCK_STREAM_H

#include <linux/virtio_vsock.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/loop.h"
#include "devices/devices.h"
#include "virtio/device.h"

/* Shared by vsock.c (queues, packets) and vsock_stream.c (what one stream does). */

#define VSOCK_BUF_ALLOC (256ul * 1024) /* bytes of a stream that the host has not taken yet */
#define VSOCK_BUCKETS	256	       /* of the table of streams; a power of two */
#define VSOCK_RESETS	1024	       /* RST packets that wait for a buffer; more are dropped */

/* A packet's header in the host's byte order. */
struct vsock_packet {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port;
	uint32_t len; /* bytes of payload */
	uint16_t type, op;
	uint32_t flags;
	uint32_t buf_alloc, fwd_cnt; /* the sender's credit, see virtio 1.2 §5.10.6.3 */
};

enum vsock_state {
	/* Opened by the host: REQUEST waits or was sent. Nothing is read or written. */
	VSOCK_CONNECTING,
	/* Bytes flow, in the directions that have not ended. */
	VSOCK_OPEN,
	/*
	 * Both directions have ended, the descriptor is closed.  SHUTDOWN of both waits or was
	 * sent, and the guest answers it with RST.  Late data is dropped.
	 */
	VSOCK_CLOSING,
	/*
	 * The guest has sent all, closed, and forgot the stream; the host has not taken all yet.
	 * Not in the table any more: the guest may use the ports again.
	 */
	VSOCK_DRAINING,
	VSOCK_STATE_MAX,
};

struct vsock;

struct vsock_stream {
	struct vsock *v;		  /* borrowed */
	LIST_ENTRY(vsock_stream) by_port; /* a bucket, or v->draining */
	TAILQ_ENTRY(vsock_stream) by_turn;
	bool in_ready; /* linked in v->ready */
	enum vsock_state state;
	bool by_host; /* made by vsock_connect() */
	uint32_t guest_port, host_port;

	struct vsock_tap *tap; /* owned; NULL: none */
	int fd;		       /* owned; -1 once closed */
	loop_id id;	       /* 0 once the host hung up: nothing to wait for any more */

	/* from the guest to the host */
	struct buf to_host;    /* what the host did not take at once; at most VSOCK_BUF_ALLOC */
	uint32_t fwd_cnt;      /* bytes that the host took; wraps */
	uint32_t told_fwd_cnt; /* what the guest knows of it */
	bool guest_sent_all;   /* SHUTDOWN_SEND came */
	bool host_gone;	       /* takes nothing any more */
	bool wrote_eof;	       /* shutdown(SHUT_WR) was done */

	/* from the host to the guest */
	uint32_t tx_cnt;		       /* bytes sent; wraps */
	uint32_t peer_buf_alloc, peer_fwd_cnt; /* the guest's last word */
	bool readable;			       /* fd has bytes, or its end; else the loop waits */
	bool host_eof;			       /* and its end was read */
	bool guest_reads_no_more;	       /* SHUTDOWN_RCV came */
	bool credit_asked;		       /* once in a stall */

	/* control packets that wait for a buffer */
	bool want_request, want_response, want_credit_update, want_credit_request;
	bool request_sent;
	uint32_t want_shutdown; /* VIRTIO_VSOCK_SHUTDOWN_* to tell; 0: nothing */
	uint32_t told_shutdown;
};

LIST_HEAD(vsock_bucket, vsock_stream);
TAILQ_HEAD(vsock_turns, vsock_stream);

struct vsock_ports {
	uint32_t guest, host;
};

struct vsock {
	struct virtio_device dev;
	struct loop *loop; /* borrowed */
	uint64_t guest_cid;
	vsock_accept_fn accept;	   /* NULL: all is refused */
	void *accept_user;	   /* borrowed */
	void (*quiet)(void *user); /* may be NULL */
	void *quiet_user;	   /* borrowed */
	void (*down)(void *user);  /* may be NULL */
	void *down_user;	   /* borrowed */
	uint32_t n_by_host;	   /* descriptors of streams that the host made */

	struct vsock_bucket buckets[VSOCK_BUCKETS]; /* owned streams */
	struct vsock_bucket draining;		    /* owned; VSOCK_DRAINING */
	uint32_t n_streams;			    /* of both */
	uint32_t next_port;			    /* host port of the next vsock_connect() */

	/* What waits for a buffer of the rx queue: resets first, then streams in turn. */
	struct vsock_ports resets[VSOCK_RESETS]; /* ring */
	uint32_t reset_head, n_resets;
	struct vsock_turns ready;

	int again_fd; /* owned; eventfd: the budget was spent, go on after other events */
	loop_id again_id;
	bool driver_seen; /* a queue was kicked since the last reset */
	bool broken;	  /* the driver broke the rules: hands off until reset */

	struct virtq_chain chain;	      /* scratch */
	struct iovec payload[VIRTQ_MAX_SIZE]; /* scratch */
};

/* vsock.c */

/* Queue an RST to the guest. */
void vsock_reset_ports(struct vsock *v, uint32_t guest_port, uint32_t host_port);
/* Send what is ready, as far as there are buffers. Outside handle_queue(rx). */
void vsock_pump(struct vsock *v);

/* vsock_stream.c */

/* Make a stream in the table. @fd is owned once this succeeds. 0 or -errno. */
MUST_CHECK int vsock_stream_new(struct vsock *v, uint32_t guest_port, uint32_t host_port, int fd,
				enum vsock_state state, struct vsock_stream **ret_stream);
/* Close its descriptor and forget it. */
void vsock_stream_free(struct vsock_stream *s);
struct vsock_stream *vsock_stream_find(struct vsock *v, uint32_t guest_port, uint32_t host_port);

/* Note what the guest said of its credit. */
void vsock_stream_credit(struct vsock_stream *s, const struct vsock_packet *pkt);
/* A packet of the guest for @s, with its pkt->len bytes of payload; @s may be gone afterwards. */
void vsock_stream_recv(struct vsock_stream *s, const struct vsock_packet *pkt,
		       struct iovec *payload, size_t n_payload);

/* After any change: queue @s if it has something to send, wait for what it needs. */
void vsock_stream_touch(struct vsock_stream *s);

/**
 * vsock_stream_send() - Make the next packet of @s
 * @room:	Where payload goes; changed
 * @pkt:	Operation, length and flags are set
 * Return: 1 with a packet, 0 when there is nothing to send (@s may be gone).  With a packet,
 * @s is in the table and goes to the end of the line by itself.
 */
MUST_CHECK int vsock_stream_send(struct vsock_stream *s, struct iovec *room, size_t n_room,
				 struct vsock_packet *pkt);

#endif /* DEVICES_VSOCK_STREAM_H */
