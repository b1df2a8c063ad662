/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio/vhost_user_mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PAGE 4096u /* bytes; of the x86 guest and host */

static bool overlap(uint64_t a, uint64_t b, const struct vu_region *x, const struct vu_region *y)
{
	return a < b + y->size && b < a + x->size;
}

static int check_region(const struct vu_msg *msg, uint32_t i)
{
	const struct vu_region *r = &msg->mem.regions[i];
	uint64_t end;

	if (r->size == 0 || ((r->gpa | r->size | r->user | r->offset) % PAGE) != 0 ||
	    __builtin_add_overflow(r->gpa, r->size, &end) ||
	    __builtin_add_overflow(r->user, r->size, &end))
		return -EINVAL;
	for (uint32_t j = 0; j < i; j++) {
		const struct vu_region *o = &msg->mem.regions[j];

		if (overlap(r->gpa, o->gpa, r, o) || overlap(r->user, o->user, r, o))
			return -EINVAL;
	}
	return 0;
}

/* #syscalls:sandbox fstat fcntl mmap munmap */
static int map_region(int fd, const struct vu_region *r, uint8_t **ret_host)
{
	uint64_t end;
	struct stat st;
	void *host;
	int seals;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || __builtin_add_overflow(r->offset, r->size, &end) ||
	    st.st_size < 0 || end > (uint64_t)st.st_size)
		return -EINVAL;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return -EINVAL;
	host = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		    (off_t)r->offset);
	if (host == MAP_FAILED)
		return -errno;
	*ret_host = host;
	return 0;
}

/* Put a region where the order of the bases wants it. */
static void insert(struct vu_mem *mem, const struct vu_region *r, void *host)
{
	struct guest_region *g = mem->guest.regions;
	uint32_t at = mem->guest.n_regions++;

	for (; at > 0 && g[at - 1].base > r->gpa; at--) {
		g[at] = g[at - 1];
		mem->user[at] = mem->user[at - 1];
	}
	g[at] = (struct guest_region){ .host = host, .base = r->gpa, .size = r->size };
	mem->user[at] = r->user;
}

int vu_mem_map(const struct vu_msg *msg, struct vu_mem *ret_mem)
{
	struct vu_mem mem = { 0 };

	for (uint32_t i = 0; i < msg->mem.n; i++) {
		uint8_t *host = NULL;
		int r = check_region(msg, i);

		if (r == 0)
			r = map_region(msg->fds[i], &msg->mem.regions[i], &host);
		if (r < 0) {
			vu_mem_done(&mem);
			return r;
		}
		insert(&mem, &msg->mem.regions[i], host);
	}
	*ret_mem = mem;
	return 0;
}

void vu_mem_done(struct vu_mem *mem)
{
	for (uint32_t i = 0; i < mem->guest.n_regions; i++)
		(void)munmap(mem->guest.regions[i].host, mem->guest.regions[i].size);
	mem->guest.n_regions = 0;
}

int vu_mem_translate(const struct vu_mem *mem, uint64_t user, gpa_t *ret_gpa)
{
	for (uint32_t i = 0; i < mem->guest.n_regions; i++) {
		const struct guest_region *r = &mem->guest.regions[i];
		uint64_t off;

		if (!__builtin_sub_overflow(user, mem->user[i], &off) && off < r->size) {
			*ret_gpa = r->base + off;
			return 0;
		}
	}
	return -EINVAL;
}
