/* SPDX-License-Identifier: Apache-2.0 */
/* A front end of a few lines, over a socketpair; the back end's loop has a thread of its own. */
#include "tap.h"

#include <dirent.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "virtio/vhost_user.h"
#include "virtio/vhost_user_msg.h"

#define MEM_SIZE   0x10000 /* bytes of guest memory; in its file behind one page */
#define MEM_GPA	   0x100000
#define MEM_USER   0x7f0000000000
#define QSIZE	   8
#define EVENT_IDX  (1ull << VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT   (1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define FLAG_PF	   (1ull << VU_F_PROTOCOL_FEATURES)
#define VERSION_1  (1ull << 32)
#define NEED_REPLY 8u

/* A device that writes one byte into each chain, four chains a call; no room: it is broken. */
struct fake {
	struct virtio_device dev;
	struct virtq_chain chain;
	int resets; /* atomic */
};

static int fake_handle_queue(struct virtio_device *dev, uint16_t q)
{
	struct fake *f = (struct fake *)dev;

	for (int i = 0; i < 4; i++) {
		int r = virtq_pop(&dev->queues[q], &f->chain);

		if (r <= 0)
			return r < 0 ? r : VIRTIO_INTERRUPT;
		if (f->chain.n_in == 0)
			return -EPROTO;
		*(uint8_t *)f->chain.iov[f->chain.n_out].iov_base = 0xaa;
		r = virtq_push(&dev->queues[q], f->chain.head, 1);
		if (r < 0)
			return r;
	}
	return VIRTIO_INTERRUPT | VIRTIO_AGAIN;
}

static void fake_config_read(struct virtio_device *dev, uint32_t offset, void *buf, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = (uint8_t)(offset + i + 1);
}

static void fake_reset(struct virtio_device *dev)
{
	__atomic_add_fetch(&((struct fake *)dev)->resets, 1, __ATOMIC_RELAXED);
}

static void fake_free(struct virtio_device *dev)
{
}

static const struct virtio_ops fake_ops = {
	.name = "fake",
	.id = 63,
	.n_queues = 2,
	.queue_size = QSIZE,
	.features = 1,
	.config_size = 8,
	.config_read = fake_config_read,
	.handle_queue = fake_handle_queue,
	.reset = fake_reset,
	.free = fake_free,
};

struct bench {
	struct fake fake;
	struct loop *loop;
	struct vhost_user *vu;
	pthread_t thread;
	int fd, error, n_closed;
	int mem_fd, kick, call, err;
	uint8_t *ram;
};

static void on_closed(void *user, int error)
{
	struct bench *b = user;

	b->error = error;
	b->n_closed++;
	loop_stop(b->loop);
}

static void *run(void *user)
{
	struct bench *b = user;

	ASSERT_EQ(loop_run(b->loop), 0);
	return NULL;
}

static int memory_file(size_t size, unsigned seals)
{
	int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ASSERT(fd >= 0);
	ASSERT_EQ(ftruncate(fd, (off_t)size), 0);
	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void bench_start(struct bench *b)
{
	int sv[2];

	*b = (struct bench){ .fake.dev.ops = &fake_ops };
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	b->fd = sv[1];
	b->mem_fd = memory_file(0x1000 + MEM_SIZE, F_SEAL_SHRINK);
	b->ram = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, b->mem_fd, 0x1000);
	ASSERT(b->ram != MAP_FAILED);
	b->kick = eventfd(0, EFD_CLOEXEC);
	b->call = eventfd(0, EFD_CLOEXEC);
	b->err = eventfd(0, EFD_CLOEXEC);
	ASSERT_EQ(loop_new(&b->loop), 0);
	ASSERT_EQ(vhost_user_new(b->loop, &b->fake.dev, sv[0], on_closed, b, &b->vu), 0);
	ASSERT_EQ(pthread_create(&b->thread, NULL, run, b), 0);
}

static bool guest_mapped(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	bool found = false;

	ASSERT(f);
	while (fgets(line, sizeof(line), f))
		found |= strstr(line, "memfd:guest") != NULL;
	fclose(f);
	return found;
}

/* Hang up, if the back end did not, and see that it closed with @error. */
static void bench_end(struct bench *b, int error)
{
	ASSERT_EQ(shutdown(b->fd, SHUT_WR), 0);
	ASSERT_EQ(pthread_join(b->thread, NULL), 0);
	ASSERT_EQ(b->n_closed, 1);
	ASSERT_EQ(b->error, error);
	vhost_user_free(b->vu);
	ASSERT(!b->fake.dev.transport);
	loop_free(b->loop);
	ASSERT_EQ(munmap(b->ram, MEM_SIZE), 0);
	ASSERT(!guest_mapped());
	(void)close(b->fd);
	(void)close(b->mem_fd);
	(void)close(b->kick);
	(void)close(b->call);
	(void)close(b->err);
}

static void send_raw(struct bench *b, const uint32_t *header, const void *payload, uint32_t len,
		     int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	uint8_t bytes[512];
	struct iovec iov = { bytes, 12 + len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	memcpy(bytes, header, 12);
	if (len > 0)
		memcpy(bytes + 12, payload, len);
	if (fd >= 0) {
		struct cmsghdr *c;

		mh.msg_control = control;
		mh.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	ASSERT_EQ(sendmsg(b->fd, &mh, MSG_NOSIGNAL), 12 + len);
}

static void send_msg(struct bench *b, uint32_t request, uint32_t flags, const void *payload,
		     uint32_t len, int fd)
{
	const uint32_t header[3] = { request, 1 | flags, len };

	send_raw(b, header, payload, len, fd);
}

/* Bytes of the payload of the answer. */
static uint32_t receive(struct bench *b, uint32_t request, void *payload, uint32_t len)
{
	uint32_t header[3];

	ASSERT_EQ(recv(b->fd, header, sizeof(header), MSG_WAITALL), sizeof(header));
	ASSERT_EQ(header[0], request);
	ASSERT_EQ(header[1], 5);
	ASSERT(header[2] <= len);
	ASSERT_EQ(recv(b->fd, payload, header[2], MSG_WAITALL), header[2]);
	return header[2];
}

static uint64_t ask(struct bench *b, uint32_t request)
{
	uint64_t v;

	send_msg(b, request, 0, NULL, 0, -1);
	ASSERT_EQ(receive(b, request, &v, sizeof(v)), sizeof(v));
	return v;
}

/* Send with NEED_REPLY; the answer is 0 for done. */
static uint64_t tell(struct bench *b, uint32_t request, const void *payload, uint32_t len, int fd)
{
	uint64_t v;

	send_msg(b, request, NEED_REPLY, payload, len, fd);
	ASSERT_EQ(receive(b, request, &v, sizeof(v)), sizeof(v));
	return v;
}

static uint64_t tell_u64(struct bench *b, uint32_t request, uint64_t v, int fd)
{
	return tell(b, request, &v, sizeof(v), fd);
}

static uint64_t tell_state(struct bench *b, uint32_t request, uint32_t index, uint32_t num)
{
	const uint32_t state[2] = { index, num };

	return tell(b, request, state, sizeof(state), -1);
}

static uint64_t tell_mem(struct bench *b, struct vu_region r, int fd)
{
	const uint64_t payload[5] = { 1, r.gpa, r.size, r.user, r.offset };

	return tell(b, VU_SET_MEM_TABLE, payload, sizeof(payload), fd);
}

static uint32_t get_base(struct bench *b, uint32_t index)
{
	const uint32_t ask_state[2] = { index, 0 };
	uint32_t state[2];

	send_msg(b, VU_GET_VRING_BASE, 0, ask_state, sizeof(ask_state), -1);
	ASSERT_EQ(receive(b, VU_GET_VRING_BASE, state, sizeof(state)), sizeof(state));
	ASSERT_EQ(state[0], index);
	return state[1];
}

static const struct vu_region good_region = { MEM_GPA, MEM_SIZE, MEM_USER, 0x1000 };

static uint64_t tell_addr(struct bench *b, uint64_t desc, uint64_t used, uint64_t avail)
{
	const uint64_t payload[5] = { 0 /* index, flags */, desc, used, avail, 0 };

	return tell(b, VU_SET_VRING_ADDR, payload, sizeof(payload), -1);
}

static void negotiate(struct bench *b, uint64_t features)
{
	const uint64_t wanted = 1ull << VU_PROTOCOL_F_REPLY_ACK | 1ull << VU_PROTOCOL_F_MQ;

	ASSERT_EQ(ask(b, VU_GET_FEATURES), VERSION_1 | FLAG_PF | EVENT_IDX | INDIRECT | 1);
	ASSERT((ask(b, VU_GET_PROTOCOL_FEATURES) & wanted) == wanted);
	send_msg(b, VU_SET_PROTOCOL_FEATURES, 0, &wanted, sizeof(wanted), -1);
	ASSERT_EQ(ask(b, VU_GET_QUEUE_NUM), 2);
	ASSERT_EQ(tell(b, VU_SET_OWNER, NULL, 0, -1), 0);
	ASSERT_EQ(tell_u64(b, VU_SET_FEATURES, features, -1), 0);
	ASSERT_EQ(tell_mem(b, good_region, b->mem_fd), 0);
}

/* All but SET_VRING_ENABLE. */
static void start_ring(struct bench *b, uint16_t base)
{
	ASSERT_EQ(tell_state(b, VU_SET_VRING_NUM, 0, QSIZE), 0);
	ASSERT_EQ(tell_state(b, VU_SET_VRING_BASE, 0, base), 0);
	ASSERT_EQ(tell_addr(b, MEM_USER, MEM_USER + 0x600, MEM_USER + 0x400), 0);
	ASSERT_EQ(tell_u64(b, VU_SET_VRING_KICK, 0, b->kick), 0);
	ASSERT_EQ(tell_u64(b, VU_SET_VRING_CALL, 0, b->call), 0);
	ASSERT_EQ(tell_u64(b, VU_SET_VRING_ERR, 0, b->err), 0);
}

static void offer(struct bench *b, uint16_t flags, int n)
{
	uint16_t *avail = (uint16_t *)(b->ram + 0x400);

	((struct vring_desc *)b->ram)[0] = (struct vring_desc){ MEM_GPA + 0x800, 16, flags, 0 };
	for (int i = 0; i < n; i++)
		avail[2 + (uint16_t)(avail[1] + i) % QSIZE] = 0;
	__atomic_store_n(&avail[1], (uint16_t)(avail[1] + n), __ATOMIC_SEQ_CST);
}

static void poke(int fd)
{
	uint64_t one = 1;

	ASSERT_EQ(write(fd, &one, sizeof(one)), sizeof(one));
}

/* The back end made it non-blocking for both of us. */
static void await(int fd)
{
	uint64_t count;

	ASSERT_EQ(fcntl(fd, F_SETFL, O_RDWR), 0);
	ASSERT_EQ(read(fd, &count, sizeof(count)), sizeof(count));
}

static uint16_t used_idx(struct bench *b)
{
	return __atomic_load_n((uint16_t *)(b->ram + 0x602), __ATOMIC_SEQ_CST);
}

static void await_used(struct bench *b, uint16_t idx)
{
	while (used_idx(b) != idx)
		await(b->call);
}

TEST(a_whole_life)
{
	struct bench b;

	bench_start(&b);
	negotiate(&b, VERSION_1 | FLAG_PF);
	offer(&b, VRING_DESC_F_WRITE, 1);
	start_ring(&b, 0);
	ASSERT_EQ(used_idx(&b), 0); /* disabled */
	ASSERT_EQ(tell_state(&b, VU_SET_VRING_ENABLE, 0, 1), 0);
	await_used(&b, 1); /* no kick was needed */
	ASSERT_EQ(b.ram[0x800], 0xaa);
	offer(&b, VRING_DESC_F_WRITE, 7); /* two calls */
	poke(b.kick);
	await_used(&b, 8);
	ASSERT_EQ(tell_u64(&b, VU_SET_FEATURES, VERSION_1 | FLAG_PF | 1, -1), 1);
	ASSERT_EQ(tell_u64(&b, VU_SET_FEATURES, VERSION_1 | FLAG_PF, -1), 0);
	ASSERT_EQ(tell_mem(&b, good_region, b.mem_fd), 0);
	offer(&b, VRING_DESC_F_WRITE, 1);
	poke(b.kick);
	await_used(&b, 9);
	ASSERT_EQ(get_base(&b, 0), 9);
	offer(&b, VRING_DESC_F_WRITE, 1);
	start_ring(&b, 9);
	await_used(&b, 10);
	ASSERT_EQ(__atomic_load_n(&b.fake.resets, __ATOMIC_RELAXED), 1);
	bench_end(&b, 0);
}

TEST(without_protocol_features_a_ring_is_enabled_at_once)
{
	struct bench b;

	bench_start(&b);
	negotiate(&b, VERSION_1 | EVENT_IDX | INDIRECT);
	start_ring(&b, 0);
	offer(&b, VRING_DESC_F_WRITE, 1); /* used_event is 0: an interrupt for the first */
	poke(b.kick);
	await_used(&b, 1);
	bench_end(&b, 0);
}

TEST(the_end_of_the_last_ring_is_a_reset)
{
	struct bench b;

	bench_start(&b);
	negotiate(&b, VERSION_1);
	start_ring(&b, 0);
	offer(&b, VRING_DESC_F_WRITE, 1);
	poke(b.kick);
	await_used(&b, 1);
	ASSERT_EQ(get_base(&b, 0), 1);
	memset(b.ram, 0, MEM_SIZE);
	start_ring(&b, 0);
	ASSERT_EQ(__atomic_load_n(&b.fake.resets, __ATOMIC_RELAXED), 1);
	ASSERT_EQ(tell(&b, VU_RESET_DEVICE, NULL, 0, -1), 0);
	ASSERT_EQ(__atomic_load_n(&b.fake.resets, __ATOMIC_RELAXED), 2);
	bench_end(&b, 0);
}

TEST(a_broken_driver_costs_its_device_until_a_reset)
{
	struct bench b;

	bench_start(&b);
	negotiate(&b, VERSION_1);
	start_ring(&b, 0);
	offer(&b, 0, 1);
	poke(b.kick);
	await(b.err);
	ASSERT_EQ(used_idx(&b), 0);
	ASSERT_EQ(get_base(&b, 0), 0);
	memset(b.ram, 0, MEM_SIZE);
	start_ring(&b, 0);
	offer(&b, VRING_DESC_F_WRITE, 1);
	poke(b.kick);
	await_used(&b, 1);
	bench_end(&b, 0);
}

TEST(config_space)
{
	struct bench b;
	uint8_t payload[12 + 16] = { 6, 0, 0, 0, 16 };

	bench_start(&b);
	send_msg(&b, VU_GET_CONFIG, 0, payload, sizeof(payload), -1);
	ASSERT_EQ(receive(&b, VU_GET_CONFIG, payload, sizeof(payload)), sizeof(payload));
	ASSERT_EQ(payload[12], 7);
	ASSERT_EQ(payload[13], 8);
	ASSERT_EQ(payload[14], 0); /* past the device's own */
	negotiate(&b, VERSION_1);
	ASSERT_EQ(tell(&b, VU_SET_CONFIG, payload, sizeof(payload), -1), 1);
	bench_end(&b, 0);
}

TEST(memory_that_is_refused)
{
	static const struct {
		const char *name;
		struct vu_region r;
		unsigned seals;
	} cases[] = {
		{ "size 0", { 0, 0, MEM_USER, 0 }, F_SEAL_SHRINK },
		{ "file too short", { 0, 0x2000, MEM_USER, 0xf000 }, F_SEAL_SHRINK },
		{ "offset wraps", { 0, 0x2000, MEM_USER, -0x1000ull }, F_SEAL_SHRINK },
		{ "address wraps", { -0x1000ull, 0x2000, MEM_USER, 0 }, F_SEAL_SHRINK },
		{ "user wraps", { 0, 0x2000, -0x1000ull, 0 }, F_SEAL_SHRINK },
		{ "not aligned", { 0x800, 0x2000, MEM_USER, 0 }, F_SEAL_SHRINK },
		{ "may shrink", { 0, 0x2000, MEM_USER, 0 }, F_SEAL_GROW },
	};
	struct bench b;

	bench_start(&b);
	negotiate(&b, VERSION_1);
	for_cases(c, cases) {
		AUTO_CLOSE int fd = memory_file(0x10000, c->seals);

		ASSERT_EQ(tell_mem(&b, c->r, fd), 1);
	}
	printf("# case no memory file\n");
	ASSERT_EQ(tell_mem(&b, good_region, b.kick), 1);
	bench_end(&b, 0);
}

TEST(rings_that_are_refused)
{
	static const struct {
		const char *name;
		uint64_t desc, used, avail;
	} cases[] = {
		{ "below memory", MEM_USER - 16, MEM_USER + 0x600, MEM_USER + 0x400 },
		{ "past memory", MEM_USER, MEM_USER + MEM_SIZE, MEM_USER + 0x400 },
		{ "end past memory", MEM_USER, MEM_USER + MEM_SIZE - 8, MEM_USER + 0x400 },
		{ "not aligned", MEM_USER + 8, MEM_USER + 0x600, MEM_USER + 0x400 },
		{ "guest address", MEM_GPA, MEM_GPA + 0x600, MEM_GPA + 0x400 },
	};
	struct bench b;
	int pipe_fds[2];

	bench_start(&b);
	negotiate(&b, VERSION_1);
	ASSERT_EQ(tell_state(&b, VU_SET_VRING_NUM, 0, 6), 1);
	ASSERT_EQ(tell_state(&b, VU_SET_VRING_NUM, 0, 2048), 1);
	ASSERT_EQ(tell_state(&b, VU_SET_VRING_NUM, 2, 8), 1);
	ASSERT_EQ(tell_state(&b, VU_SET_VRING_BASE, 0, 65536), 1);
	start_ring(&b, 0);
	ASSERT_EQ(tell_state(&b, VU_SET_VRING_BASE, 0, 1), 1); /* it runs */
	for_cases(c, cases)
		ASSERT_EQ(tell_addr(&b, c->desc, c->used, c->avail), 1);
	ASSERT_EQ(tell_u64(&b, VU_SET_VRING_KICK, 0x100, -1), 1);
	ASSERT_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
	ASSERT_EQ(tell_u64(&b, VU_SET_VRING_KICK, 0, pipe_fds[0]), 1);
	ASSERT_EQ(tell_u64(&b, VU_SET_VRING_CALL, 0, pipe_fds[1]), 1);
	bench_end(&b, 0);
}

static int n_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	ASSERT(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

TEST(messages_that_end_the_connection)
{
	static const struct {
		const char *name;
		uint32_t header[3], payload[2];
		int error;
		bool with_fd;
	} cases[] = {
		{ "version", { VU_SET_OWNER, 2, 0 }, { 0 }, -EPROTO, false },
		{ "a reply", { VU_SET_OWNER, 5, 0 }, { 0 }, -EPROTO, false },
		{ "request 0", { 0, 1, 0 }, { 0 }, -EPROTO, false },
		{ "unknown", { 1000, 1, 0 }, { 0 }, -EPROTO, false },
		{ "not offered", { 6, 1, 8 }, { 0 }, -EPROTO, false },
		{ "too long", { VU_SET_MEM_TABLE, 1, 4096 }, { 0 }, -EPROTO, false },
		{ "too short", { VU_SET_FEATURES, 1, 4 }, { 0 }, -EPROTO, false },
		{ "descriptor for nothing", { VU_SET_OWNER, 1, 0 }, { 0 }, -EPROTO, true },
		{ "no descriptor", { VU_SET_VRING_CALL, 1, 8 }, { 0 }, -EPROTO, false },
		{ "both", { VU_SET_VRING_CALL, 1, 8 }, { 0x100 }, -EPROTO, true },
		{ "regions without files", { VU_SET_MEM_TABLE, 1, 8 }, { 1 }, -EPROTO, false },
		{ "ring 255", { VU_SET_VRING_CALL, 1, 8 }, { 0xff }, -EPROTO, true },
		{ "refused unheard", { VU_SET_FEATURES, 1, 8 }, { 2 }, -EINVAL, false },
	};

	for_cases(c, cases) {
		struct bench b;
		int before = n_open();

		bench_start(&b);
		send_raw(&b, c->header, c->payload, c->header[2] <= 8 ? c->header[2] : 0,
			 c->with_fd ? b.call : -1);
		bench_end(&b, c->error);
		ASSERT_EQ(n_open(), before);
	}
}

TEST(a_message_may_come_in_pieces)
{
	struct bench b;
	const uint32_t m[3] = { VU_GET_QUEUE_NUM, 1, 0 };
	uint64_t n;

	bench_start(&b);
	for (size_t i = 0; i < sizeof(m); i++)
		ASSERT_EQ(send(b.fd, (const char *)m + i, 1, 0), 1);
	ASSERT_EQ(receive(&b, VU_GET_QUEUE_NUM, &n, sizeof(n)), sizeof(n));
	ASSERT_EQ(n, 2);
	ASSERT_EQ(send(b.fd, m, 5, 0), 5);
	bench_end(&b, -EPROTO);
}

TAP_MAIN()
