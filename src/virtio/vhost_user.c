/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: vhost-user, the back end
 *
 * QEMU owns the virtio registers; it tells us over a socket where guest memory and rings lie
 * and hands us the eventfds.  A ring is
 *
 *   stopped	after creation and after GET_VRING_BASE; its addresses may be set
 *   started	it has a kick descriptor
 *   served	started, enabled and the device not broken: only now dev->queues[] is filled, so
 *		that outside this state each virtq call of the device fails
 *
 * Whatever changes memory or addresses under a served ring takes it out of service first.
 * Chains that a device then still holds point into the old mapping: the device is reset, and
 * their descriptors are taken again later (chains complete in order, or none is held).
 *
 * QEMU says nothing when the driver resets the device, it only stops the rings.  It does the
 * same when the VM is stopped, but ours never is, so the end of the last ring is a reset.
 */
#include "virtio/vhost_user.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "virtio/vhost_user_conn.h"
#include "virtio/vhost_user_mem.h"
#include "virtio/vhost_user_msg.h"

#define MSGS_PER_CALL 16 /* messages that one event takes, so that queues get their turn */

#define TRANSPORT_FEATURES                                                                         \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC) |                              \
	 BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VU_F_PROTOCOL_FEATURES))

struct ring {
	struct vhost_user *vu;
	uint16_t index;
	uint64_t desc, used, avail; /* the front end's addresses */
	uint16_t size;		    /* descriptors */
	uint16_t base;		    /* avail index where serving starts, or started */
	bool started, enabled;
	bool again;		      /* call handle_queue() from the timer */
	bool call_due;		      /* an interrupt waits for a call descriptor */
	int kick_fd, call_fd, err_fd; /* owned eventfds; -1: none */
	loop_id kick_id;
};

struct vhost_user {
	struct loop *loop;	   /* borrowed */
	struct virtio_device *dev; /* borrowed */
	vhost_user_closed_fn closed;
	void *user; /* borrowed */
	struct vu_conn conn;
	loop_id fd_id, again_id;
	uint64_t features, protocol_features; /* acknowledged */
	bool broken;			      /* nothing is served until a reset */
	struct vu_mem mem;
	struct ring rings[VIRTIO_MAX_QUEUES];
};

static struct virtq *queue_of(const struct ring *r)
{
	return &r->vu->dev->queues[r->index];
}

/* #syscalls:sandbox write */
static void signal_fd(int fd)
{
	uint64_t one = 1;

	/* It can only fail when the counter is full, and then the other side is due anyway. */
	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
		return;
}

/* Queues */

static void run_again(void *user);

static int schedule(struct ring *r)
{
	struct vhost_user *vu = r->vu;

	r->again = true;
	/* A timer that is due at once runs after all descriptors of a batch had their turn. */
	return vu->again_id ? 0 : loop_add_timer(vu->loop, 0, run_again, vu, &vu->again_id);
}

/*
 * The device gives up what it holds: its chains, when it must, are taken again later.
 */
static void drop_requests(struct vhost_user *vu)
{
	bool held = false;

	for (uint16_t i = 0; i < vu->dev->ops->n_queues; i++)
		held |= vu->dev->queues[i].last_avail != vu->dev->queues[i].next_used;
	if (!held)
		return;
	vu->dev->ops->reset(vu->dev);
	for (uint16_t i = 0; i < vu->dev->ops->n_queues; i++)
		vu->dev->queues[i].last_avail = vu->dev->queues[i].next_used;
}

static void ring_pause(struct ring *r)
{
	struct virtq *q = queue_of(r);

	if (!virtq_ready(q))
		return;
	drop_requests(r->vu);
	r->base = q->next_used;
	r->again = false;
	*q = (struct virtq){ 0 };
}

/* Fill the virtq if the ring's state lets it be served. -EINVAL: it does not lie in memory. */
static int ring_serve(struct ring *r)
{
	struct vhost_user *vu = r->vu;
	struct virtq *q = queue_of(r);
	struct virtq new = {
		.mem = &vu->mem.guest,
		.size = r->size,
		.last_avail = r->base,
		.next_used = r->base,
		.avail_seen = r->base,
		.signalled = r->base,
		.event_idx = vu->features & BIT(VIRTIO_RING_F_EVENT_IDX),
		.indirect = vu->features & BIT(VIRTIO_RING_F_INDIRECT_DESC),
	};
	uint64_t size = r->size;

	if (!r->started || !r->enabled || vu->broken || virtq_ready(q))
		return 0;
	if (size == 0 || vu_mem_translate(&vu->mem, r->desc, &new.desc) < 0 ||
	    vu_mem_translate(&vu->mem, r->avail, &new.avail) < 0 ||
	    vu_mem_translate(&vu->mem, r->used, &new.used) < 0)
		return -EINVAL;
	if (new.desc % 16 != 0 || new.avail % 2 != 0 || new.used % 4 != 0 ||
	    !mem_at(new.mem, new.desc, sizeof(struct vring_desc) * size) ||
	    !mem_at(new.mem, new.avail, 6 + sizeof(uint16_t) * size) ||
	    !mem_at(new.mem, new.used, 6 + sizeof(struct vring_used_elem) * size))
		return -EINVAL;
	*q = new;
	return schedule(r); /* the driver may have kicked before we listened */
}

static int serve_all(struct vhost_user *vu)
{
	int result = 0;

	for (uint16_t i = 0; i < vu->dev->ops->n_queues; i++) {
		int r = ring_serve(&vu->rings[i]);

		if (r < 0 && result == 0)
			result = r;
	}
	return result;
}

static void pause_all(struct vhost_user *vu)
{
	for (uint16_t i = 0; i < vu->dev->ops->n_queues; i++)
		ring_pause(&vu->rings[i]);
}

static void ring_interrupt(struct ring *r)
{
	if (!virtq_wants_interrupt(queue_of(r)))
		return;
	if (r->call_fd < 0)
		r->call_due = true;
	else
		signal_fd(r->call_fd);
}

/* The driver broke the rules: nothing is served any more, and the front end hears of it. */
static void set_broken(struct vhost_user *vu)
{
	if (vu->broken)
		return;
	log_guest("%s: broken by its driver, needs a reset", vu->dev->ops->name);
	vu->broken = true;
	pause_all(vu);
	for (uint16_t i = 0; i < vu->dev->ops->n_queues; i++)
		signal_fd(vu->rings[i].err_fd);
}

static int ring_process(struct ring *r)
{
	struct vhost_user *vu = r->vu;
	int what;

	if (!virtq_ready(queue_of(r)))
		return 0;
	what = vu->dev->ops->handle_queue(vu->dev, r->index);
	if (what < 0) {
		set_broken(vu);
		return 0;
	}
	if (what & VIRTIO_INTERRUPT)
		ring_interrupt(r);
	return what & VIRTIO_AGAIN && virtq_ready(queue_of(r)) ? schedule(r) : 0;
}

/* Ending */

static void ring_stop(struct ring *r)
{
	ring_pause(r);
	r->started = false;
	loop_remove(r->vu->loop, &r->kick_id);
	close_auto(&r->kick_fd);
}

static bool any_started(const struct vhost_user *vu)
{
	for (uint16_t i = 0; i < vu->dev->ops->n_queues; i++)
		if (vu->rings[i].started)
			return true;
	return false;
}

static void reset_device(struct vhost_user *vu)
{
	vu->dev->ops->reset(vu->dev);
	vu->broken = false;
}

/*
 * Close and unmap all; harmless a second time.  The device drops its requests, but no driver asked
 * it to: that the transport is gone tells it so.
 */
static void hang_up(struct vhost_user *vu)
{
	vu->dev->transport = NULL;
	for (uint16_t i = 0; i < vu->dev->ops->n_queues; i++) {
		struct ring *r = &vu->rings[i];

		ring_stop(r);
		close_auto(&r->call_fd);
		close_auto(&r->err_fd);
	}
	reset_device(vu);
	loop_remove(vu->loop, &vu->again_id);
	loop_remove(vu->loop, &vu->fd_id);
	vu_conn_done(&vu->conn);
	vu_mem_done(&vu->mem);
}

/* The last thing that a handler does: closed() may free @vu. */
static void fail(struct vhost_user *vu, int error)
{
	hang_up(vu);
	vu->closed(vu->user, error);
}

static void run_again(void *user)
{
	struct vhost_user *vu = user;

	vu->again_id = 0;
	for (uint16_t i = 0; i < vu->dev->ops->n_queues; i++) {
		struct ring *r = &vu->rings[i];
		int e;

		if (!r->again)
			continue;
		r->again = false;
		e = ring_process(r);
		if (e < 0) {
			fail(vu, e);
			return;
		}
	}
}

static void on_kick(void *user, uint32_t events)
{
	struct ring *r = user;
	uint64_t count;
	int e = 0;

	if (read(r->kick_fd, &count, sizeof(count)) < 0)
		e = errno == EAGAIN || errno == EINTR ? 0 : -errno;
	else
		e = ring_process(r);
	if (e < 0)
		fail(r->vu, e);
}

/* Messages. Each handler: 0, or -errno when the front end asked for what cannot be. */

static int ring_of(struct vhost_user *vu, uint32_t index, struct ring **ret_ring)
{
	if (index >= vu->dev->ops->n_queues)
		return -EINVAL;
	*ret_ring = &vu->rings[index];
	return 0;
}

static void reply_u64(struct vu_reply *reply, uint64_t value)
{
	reply->set = true;
	reply->len = sizeof(value);
	memcpy(reply->payload, &value, sizeof(value));
}

static int set_features(struct vhost_user *vu, uint64_t features)
{
	if (features & ~(vu->dev->ops->features | TRANSPORT_FEATURES))
		return -EINVAL;
	if (any_started(vu))
		return features == vu->features ? 0 : -EBUSY;
	vu->features = features;
	return 0;
}

static uint64_t protocol_offer(const struct vhost_user *vu)
{
	/* QEMU has the tag of a file system itself, and warns of an offer that it cannot use. */
	bool has_config = vu->dev->ops->config_size > 0 && vu->dev->ops->id != VIRTIO_ID_FS;

	/*
	 * Not STATUS: QEMU sends status 0 also when it only stops the VM, and a reset there
	 * would cut what the guest still uses.
	 */
	return BIT(VU_PROTOCOL_F_MQ) | BIT(VU_PROTOCOL_F_REPLY_ACK) |
	       BIT(VU_PROTOCOL_F_RESET_DEVICE) | (has_config ? BIT(VU_PROTOCOL_F_CONFIG) : 0);
}

static int set_protocol_features(struct vhost_user *vu, uint64_t features)
{
	if (features & ~protocol_offer(vu))
		return -EINVAL;
	vu->protocol_features = features;
	return 0;
}

static int set_mem_table(struct vhost_user *vu, const struct vu_msg *msg)
{
	struct vu_mem mem;
	int r = vu_mem_map(msg, &mem);

	if (r < 0)
		return r;
	pause_all(vu);
	vu_mem_done(&vu->mem);
	vu->mem = mem;
	return serve_all(vu);
}

static int set_vring_num(struct ring *r, uint32_t num)
{
	/*
	 * Not ops->queue_size: QEMU's virtio-mmio (7.2) offers 1024 whatever the device says, and
	 * vhost-user has no message that would tell it.
	 */
	if (num == 0 || num > VIRTQ_MAX_SIZE || (num & (num - 1)) != 0)
		return -EINVAL;
	if (r->started)
		return num == r->size ? 0 : -EBUSY;
	r->size = (uint16_t)num;
	return 0;
}

static int set_vring_addr(struct ring *r, const struct vu_msg *msg)
{
	ring_pause(r);
	r->desc = msg->addr.desc;
	r->used = msg->addr.used;
	r->avail = msg->addr.avail;
	return ring_serve(r);
}

static int set_vring_base(struct ring *r, uint32_t num)
{
	if (num > UINT16_MAX)
		return -EINVAL;
	if (r->started)
		return -EBUSY;
	r->base = (uint16_t)num;
	return 0;
}

static void get_vring_base(struct ring *r, struct vu_reply *reply)
{
	uint32_t state[2];

	ring_stop(r);
	/* QEMU never stops the VM here, so it is the driver that let the last ring go. */
	if (!any_started(r->vu))
		reset_device(r->vu);
	state[0] = r->index;
	state[1] = r->base;
	reply->set = true;
	reply->len = sizeof(state);
	memcpy(reply->payload, state, sizeof(state));
}

/*
 * Take the descriptor of a SET_VRING_* message: an eventfd.  Those have no file type, which
 * tells them from pipes and sockets, where a write could block or raise SIGPIPE.
 */
static int take_eventfd(struct vu_msg *msg, int *ret_fd)
{
	struct stat st;
	int r;

	if (msg->file.fd < 0) {
		*ret_fd = -1;
		return 0;
	}
	if (fstat(msg->file.fd, &st) < 0)
		return -errno;
	if (st.st_mode & S_IFMT)
		return -EINVAL;
	r = io_set_nonblock(msg->file.fd, 1);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(msg->fds[0]);
	return 0;
}

static int set_vring_kick(struct ring *r, struct vu_msg *msg)
{
	AUTO_CLOSE int fd = -1;
	int e = take_eventfd(msg, &fd);

	if (e < 0)
		return e;
	if (fd < 0)
		return -EOPNOTSUPP; /* it would have us poll */
	ring_stop(r);
	e = loop_add_fd(r->vu->loop, fd, EPOLLIN, on_kick, r, &r->kick_id);
	if (e < 0)
		return e;
	r->kick_fd = TAKE_FD(fd);
	r->started = true;
	if (!(r->vu->features & BIT(VU_F_PROTOCOL_FEATURES)))
		r->enabled = true;
	return ring_serve(r);
}

static int set_vring_call(struct ring *r, struct vu_msg *msg)
{
	int fd, e = take_eventfd(msg, &fd);

	if (e < 0)
		return e;
	close_auto(&r->call_fd);
	r->call_fd = fd;
	if (fd >= 0 && r->call_due) {
		r->call_due = false;
		signal_fd(fd);
	}
	return 0;
}

static int set_vring_err(struct ring *r, struct vu_msg *msg)
{
	int fd, e = take_eventfd(msg, &fd);

	if (e < 0)
		return e;
	close_auto(&r->err_fd);
	r->err_fd = fd;
	return 0;
}

static int set_vring_enable(struct ring *r, uint32_t on)
{
	if (on > 1)
		return -EINVAL;
	r->enabled = on;
	if (!on)
		ring_pause(r);
	return ring_serve(r);
}

/* What lies past the device's own config space reads as zeros: QEMU asks for its own struct. */
static void get_config(struct vhost_user *vu, const struct vu_msg *msg, struct vu_reply *reply)
{
	const struct virtio_ops *ops = vu->dev->ops;
	uint32_t offset = msg->config.offset, len = msg->config.len, header[3] = { offset, len, 0 };

	memcpy(reply->payload, header, sizeof(header));
	memset(reply->payload + sizeof(header), 0, len);
	reply->set = true;
	reply->len = (uint32_t)sizeof(header) + len;
	if (!ops->config_read || offset >= ops->config_size)
		return;
	if (len > ops->config_size - offset)
		len = ops->config_size - offset;
	ops->config_read(vu->dev, offset, reply->payload + sizeof(header), len);
}

static void reset_all(struct vhost_user *vu)
{
	for (uint16_t i = 0; i < vu->dev->ops->n_queues; i++) {
		ring_stop(&vu->rings[i]);
		vu->rings[i].enabled = false;
		vu->rings[i].base = 0;
	}
	reset_device(vu);
}

static int handle_ring(struct vhost_user *vu, struct vu_msg *msg, struct vu_reply *reply)
{
	struct ring *r;
	int e = ring_of(vu, msg->state.index, &r);

	if (e < 0)
		return e;
	switch ((int)msg->request) {
	case VU_SET_VRING_NUM:
		return set_vring_num(r, msg->state.num);
	case VU_SET_VRING_ADDR:
		return set_vring_addr(r, msg);
	case VU_SET_VRING_BASE:
		return set_vring_base(r, msg->state.num);
	case VU_GET_VRING_BASE:
		get_vring_base(r, reply);
		return 0;
	case VU_SET_VRING_KICK:
		return set_vring_kick(r, msg);
	case VU_SET_VRING_CALL:
		return set_vring_call(r, msg);
	case VU_SET_VRING_ERR:
		return set_vring_err(r, msg);
	case VU_SET_VRING_ENABLE:
		return set_vring_enable(r, msg->state.num);
	}
	return -EPROTO;
}

static int handle(struct vhost_user *vu, struct vu_msg *msg, struct vu_reply *reply)
{
	switch (msg->request) {
	case VU_GET_FEATURES:
		reply_u64(reply, vu->dev->ops->features | TRANSPORT_FEATURES);
		return 0;
	case VU_SET_FEATURES:
		return set_features(vu, msg->u64);
	case VU_GET_PROTOCOL_FEATURES:
		reply_u64(reply, protocol_offer(vu));
		return 0;
	case VU_SET_PROTOCOL_FEATURES:
		return set_protocol_features(vu, msg->u64);
	case VU_GET_QUEUE_NUM:
		reply_u64(reply, vu->dev->ops->n_queues);
		return 0;
	case VU_SET_OWNER:
		return 0;
	case VU_RESET_OWNER:
	case VU_RESET_DEVICE:
		reset_all(vu);
		return 0;
	case VU_SET_MEM_TABLE:
		return set_mem_table(vu, msg);
	case VU_GET_CONFIG:
		get_config(vu, msg, reply);
		return 0;
	case VU_SET_CONFIG:
		return -EOPNOTSUPP; /* no device of ours has a field that the driver writes */
	case VU_SET_VRING_NUM:
	case VU_SET_VRING_ADDR:
	case VU_SET_VRING_BASE:
	case VU_GET_VRING_BASE:
	case VU_SET_VRING_KICK:
	case VU_SET_VRING_CALL:
	case VU_SET_VRING_ERR:
	case VU_SET_VRING_ENABLE:
		return handle_ring(vu, msg, reply);
	case VU_REQUEST_MAX:
		break;
	}
	return -EPROTO;
}

static int on_message(struct vhost_user *vu)
{
	AUTO(vu_msg_done) struct vu_msg msg = { 0 };
	struct vu_reply reply = { 0 };
	bool ack;
	int e, r = vu_conn_take(&vu->conn, &msg);

	if (r < 0)
		return r;
	/* As it was before the message, which may be the one that changes it. */
	ack = msg.need_reply && (vu->protocol_features & BIT(VU_PROTOCOL_F_REPLY_ACK));
	e = handle(vu, &msg, &reply);
	if (e < 0)
		log_debug("%s: vhost-user %s refused: %d", vu->dev->ops->name,
			  vu_request_name(msg.request), e);
	if (!reply.set && ack) {
		reply_u64(&reply, e < 0 ? 1 : 0);
		e = 0;
	}
	return e == 0 && reply.set ? vu_conn_reply(&vu->conn, msg.request, &reply) : e;
}

static void on_socket(void *user, uint32_t events)
{
	struct vhost_user *vu = user;
	int r = 1;

	/* The loop is level-triggered: what is left brings us back. */
	for (int i = 0; i < MSGS_PER_CALL && r > 0; i++) {
		r = vu_conn_read(&vu->conn);
		if (r > 0) {
			int e = on_message(vu);

			r = e < 0 ? e : r;
		}
	}
	if (r < 0)
		fail(vu, r == -ESHUTDOWN ? 0 : r);
}

/* For the device */

static void transport_interrupt(struct virtio_device *dev, uint16_t q)
{
	struct vhost_user *vu = dev->transport_data;

	ring_interrupt(&vu->rings[q]);
}

static void transport_broken(struct virtio_device *dev)
{
	set_broken(dev->transport_data);
}

static const struct virtio_transport_ops transport_ops = {
	.interrupt = transport_interrupt,
	.broken = transport_broken,
};

int vhost_user_new(struct loop *loop, struct virtio_device *dev, int fd,
		   vhost_user_closed_fn closed, void *user, struct vhost_user **ret_vu)
{
	struct vhost_user *vu = calloc(1, sizeof(*vu));
	int r;

	if (!vu)
		return -ENOMEM;
	*vu = (struct vhost_user){
		.loop = loop, .dev = dev, .closed = closed, .user = user, .conn.fd = fd
	};
	for (uint16_t i = 0; i < VIRTIO_MAX_QUEUES; i++)
		vu->rings[i] = (struct ring){
			.vu = vu, .index = i, .kick_fd = -1, .call_fd = -1, .err_fd = -1
		};
	r = loop_add_fd(loop, fd, EPOLLIN, on_socket, vu, &vu->fd_id);
	if (r < 0) {
		free(vu);
		return r;
	}
	dev->transport = &transport_ops;
	dev->transport_data = vu;
	*ret_vu = vu;
	return 0;
}

void vhost_user_free(struct vhost_user *vu)
{
	if (!vu)
		return;
	hang_up(vu);
	vu->dev->transport_data = NULL;
	free(vu);
}
