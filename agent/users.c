/* SPDX-License-Identifier: Apache-2.0 */
#include "users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/defer.h"
#include "base/io.h"
#include "base/num.h"

#define FILE_MAX   (1u << 20)	    /* bytes read of each file */
#define FIELDS_MAX 7		    /* of passwd */
#define ID_MAX	   (UINT32_MAX - 1) /* the last one means "none" to the kernel */

struct text {
	const char *p;
	size_t len;
};

struct line {
	struct text fields[FIELDS_MAX];
	unsigned n;
};

static bool same(struct text t, const char *s, size_t len)
{
	return t.len == len && memcmp(t.p, s, len) == 0;
}

/* The next line of colon-separated fields; false at the end. */
static bool next_line(struct text *rest, struct line *l)
{
	const char *nl, *end;

	if (rest->len == 0)
		return false;
	nl = memchr(rest->p, '\n', rest->len);
	end = nl ? nl : rest->p + rest->len;
	*l = (struct line){ 0 };
	for (const char *p = rest->p; l->n < FIELDS_MAX;) {
		const char *colon = memchr(p, ':', (size_t)(end - p));

		l->fields[l->n++] = (struct text){ p, (size_t)((colon ? colon : end) - p) };
		if (!colon)
			break;
		p = colon + 1;
	}
	end += nl != NULL;
	rest->len -= (size_t)(end - rest->p);
	rest->p = end;
	return true;
}

static bool as_id(struct text t, uint32_t *ret)
{
	uint64_t v;

	if (parse_u64_n(t.p, t.len, 10, ID_MAX, &v) < 0)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static void copy(char *out, size_t size, struct text t)
{
	(void)snprintf(out, size, "%.*s", (int)(t.len < size ? t.len : size - 1), t.p);
}

/* passwd: name:x:uid:gid:gecos:home:shell.  By name first, since a name may look like a number. */
static int find_user(struct text want, struct text passwd, struct user *u)
{
	uint32_t number = 0, uid, gid;
	bool is_number = as_id(want, &number);

	for (int by_number = 0; by_number <= (is_number ? 1 : 0); by_number++) {
		struct text rest = passwd;
		struct line l;

		while (next_line(&rest, &l)) {
			if (l.n < 6 || !as_id(l.fields[2], &uid) || !as_id(l.fields[3], &gid))
				continue;
			if (by_number ? uid != number : !same(l.fields[0], want.p, want.len))
				continue;
			u->uid = uid;
			u->gid = gid;
			copy(u->name, sizeof(u->name), l.fields[0]);
			copy(u->home, sizeof(u->home), l.fields[5]);
			return 0;
		}
	}
	if (!is_number && !same(want, "root", 4))
		return -ENOENT;
	u->uid = number; /* root needs no file */
	u->gid = 0;
	copy(u->name, sizeof(u->name), want);
	(void)snprintf(u->home, sizeof(u->home), "%s", number == 0 ? "/root" : "/");
	return 0;
}

static int find_group(struct text want, struct text group, gid_t *ret)
{
	struct text rest = group;
	struct line l;
	uint32_t gid;

	while (next_line(&rest, &l)) {
		if (l.n >= 3 && same(l.fields[0], want.p, want.len) && as_id(l.fields[2], &gid)) {
			*ret = gid;
			return 0;
		}
	}
	return as_id(want, ret) ? 0 : -ENOENT;
}

static bool is_member(struct text members, const char *name)
{
	size_t name_len = strlen(name);

	while (members.len > 0) {
		const char *comma = memchr(members.p, ',', members.len);
		size_t len = comma ? (size_t)(comma - members.p) : members.len;

		if (same((struct text){ members.p, len }, name, name_len))
			return true;
		len += comma != NULL;
		members.p += len;
		members.len -= len;
	}
	return false;
}

/* group: name:x:gid:member,member */
static void find_supplementary(struct text group, struct user *u)
{
	struct text rest = group;
	struct line l;
	uint32_t gid;

	while (next_line(&rest, &l) && u->n_groups < USER_GROUPS_MAX)
		if (l.n >= 4 && as_id(l.fields[2], &gid) && is_member(l.fields[3], u->name))
			u->groups[u->n_groups++] = gid;
}

int user_find(const char *spec, const char *passwd, size_t passwd_len, const char *group,
	      size_t group_len, struct user *ret)
{
	const char *colon = strchr(spec, ':');
	struct text who = { spec, colon ? (size_t)(colon - spec) : strlen(spec) };
	struct text groups = { group, group_len };
	int r;

	*ret = (struct user){ 0 };
	r = find_user(who, (struct text){ passwd, passwd_len }, ret);
	if (r < 0)
		return r;
	if (!ret->home[0])
		(void)snprintf(ret->home, sizeof(ret->home), "/");
	if (colon)
		return find_group((struct text){ colon + 1, strlen(colon + 1) }, groups, &ret->gid);
	find_supplementary(groups, ret);
	return 0;
}

static int read_file(const char *path, struct buf *out)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	ssize_t n;
	void *p;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0; /* as if it were empty */
	p = buf_room(out, FILE_MAX);
	if (!p)
		return -ENOMEM;
	n = io_read_full(fd, p, FILE_MAX);
	if (n > 0)
		buf_grew(out, (size_t)n);
	return 0;
}

int user_load(const char *spec, struct user *ret)
{
	AUTO(buf_done) struct buf passwd = { .max = FILE_MAX };
	AUTO(buf_done) struct buf group = { .max = FILE_MAX };
	int r = read_file("/etc/passwd", &passwd);

	if (r >= 0)
		r = read_file("/etc/group", &group);
	if (r < 0)
		return r;
	return user_find(spec, (const char *)passwd.data, passwd.len, (const char *)group.data,
			 group.len, ret);
}
