/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "image/limits.h"
#include "image/tree.h"

/*
 * DOC: attributes of an archive
 *
 * Kept: user, trusted, security and valid ACLs.  Dropped: what would steer the guest's overlayfs
 * or looks like a mark of ours.
 */

/* On-disk form of system.posix_acl_*: a version, then entries (linux/posix_acl_xattr.h). */
#define ACL_VERSION 2
#define ACL_ENTRY   8
enum {
	ACL_USER_OBJ = 1,
	ACL_USER = 2,
	ACL_GROUP_OBJ = 4,
	ACL_GROUP = 8,
	ACL_MASK = 16,
	ACL_OTHER = 32
};
#define ACL_NO_ID UINT32_MAX

struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};

static struct acl_entry acl_at(const uint8_t *p)
{
	uint16_t tag, perm;
	uint32_t id;

	memcpy(&tag, p, 2);
	memcpy(&perm, p + 2, 2);
	memcpy(&id, p + 4, 4);
	return (struct acl_entry){ le16toh(tag), le16toh(perm), le32toh(id) };
}

/* As posix_acl_valid() of Linux: order of tags, one of each object, a mask if it is needed. */
static bool acl_is_valid(const uint8_t *p, size_t len)
{
	unsigned seen = 0, last = 0;
	uint32_t version;

	if (len < 4 || (len - 4) % ACL_ENTRY != 0)
		return false;
	memcpy(&version, p, 4);
	if (le32toh(version) != ACL_VERSION)
		return false;
	for (size_t at = 4; at < len; at += ACL_ENTRY) {
		struct acl_entry e = acl_at(p + at);
		bool many = e.tag == ACL_USER || e.tag == ACL_GROUP;

		if (e.tag == 0 || e.tag > ACL_OTHER || (e.tag & (e.tag - 1)) || e.perm > 7 ||
		    e.tag < last || (!many && (seen & e.tag)) || (many && e.id == ACL_NO_ID))
			return false;
		seen |= e.tag;
		last = e.tag;
	}
	return (seen & (ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_OTHER)) ==
		       (ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_OTHER) &&
	       (!(seen & (ACL_USER | ACL_GROUP)) || (seen & ACL_MASK));
}

static int acl_perm(const char *text, size_t len, uint16_t *ret)
{
	uint16_t perm = 0;

	for (size_t i = 0; i < len; i++) {
		const char *at = strchr("xwr", text[i]);

		if (text[i] == '-')
			continue;
		if (!at)
			return -EINVAL;
		perm |= (uint16_t)(1u << (at - "xwr"));
	}
	*ret = perm;
	return len ? 0 : -EINVAL;
}

static unsigned acl_tag(const char *text, size_t len, bool named)
{
	static const struct {
		const char *word;
		unsigned plain, named;
	} tags[] = {
		{ "user", ACL_USER_OBJ, ACL_USER },
		{ "group", ACL_GROUP_OBJ, ACL_GROUP },
		{ "mask", ACL_MASK, 0 },
		{ "other", ACL_OTHER, 0 },
	};

	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		if (len && len <= strlen(tags[i].word) && memcmp(text, tags[i].word, len) == 0 &&
		    (len == 1 || len == strlen(tags[i].word)))
			return named ? tags[i].named : tags[i].plain;
	}
	return 0;
}

/* "user:name:rwx:1000" or "user:1000:rwx": star writes the id last, others as the name. */
static int acl_text_entry(const char *text, size_t len, struct acl_entry *e)
{
	const char *part[4] = { text };
	size_t size[4] = { 0 }, n = 1;
	uint64_t id = ACL_NO_ID;

	for (size_t i = 0; i < len; i++) {
		if (text[i] != ':') {
			size[n - 1]++;
			continue;
		}
		if (n == 4)
			return -EINVAL;
		part[n++] = text + i + 1;
	}
	/* "other:r--" and "mask::rwx" are both in use. */
	if (n == 2) {
		part[2] = part[1];
		size[2] = size[1];
		size[1] = 0;
	} else if (n < 2) {
		return -EINVAL;
	}
	e->tag = (uint16_t)acl_tag(part[0], size[0], size[1] > 0);
	if (!e->tag || acl_perm(part[2], size[2], &e->perm) < 0)
		return -EINVAL;
	if (size[1] > 0 && parse_u64_n(n == 4 ? part[3] : part[1], n == 4 ? size[3] : size[1], 10,
				       UINT32_MAX - 1, &id) < 0)
		return -EINVAL;
	e->id = (uint32_t)id;
	return 0;
}

static int acl_order(const void *a, const void *b)
{
	const struct acl_entry *x = a, *y = b;

	if (x->tag != y->tag)
		return x->tag < y->tag ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* Text to the binary form; -EINVAL. */
static int acl_from_text(const uint8_t *value, size_t len, uint8_t *out, size_t max,
			 size_t *ret_len)
{
	const char *text = (const char *)value, *end = text + len;
	struct acl_entry list[256];
	size_t n = 0;
	uint32_t version = htole32(ACL_VERSION);

	while (text < end) {
		size_t size = 0;

		while (text + size < end && text[size] != ',' && text[size] != '\n')
			size++;
		while (size > 0 && (*text == ' ' || *text == '\t')) {
			text++;
			size--;
		}
		if (size > 0 && *text != '#') {
			if (n == 256 || acl_text_entry(text, size, &list[n]) < 0)
				return -EINVAL;
			n++;
		}
		text += size + 1;
	}
	if (4 + n * ACL_ENTRY > max)
		return -EINVAL;
	qsort(list, n, sizeof(list[0]), acl_order);
	memcpy(out, &version, 4);
	for (size_t i = 0; i < n; i++) {
		uint16_t tag = htole16(list[i].tag), perm = htole16(list[i].perm);
		uint32_t id = htole32(list[i].id);

		memcpy(out + 4 + i * ACL_ENTRY, &tag, 2);
		memcpy(out + 4 + i * ACL_ENTRY + 2, &perm, 2);
		memcpy(out + 4 + i * ACL_ENTRY + 4, &id, 4);
	}
	*ret_len = 4 + n * ACL_ENTRY;
	return 0;
}

int tree_add_xattr(struct tree *t, struct tree_xattr **list, const char *name, const void *value,
		   size_t len)
{
	size_t n = strlen(name) + 1;
	struct tree_xattr *x = arena_get(t->arena, sizeof(*x) + n + len);
	char *copy;

	if (!x)
		return -ENOMEM;
	copy = (char *)(x + 1);
	memcpy(copy, name, n);
	if (len)
		memcpy(copy + n, value, len);
	x->name = copy;
	x->value = (uint8_t *)copy + n;
	x->len = (uint32_t)len;
	while (*list && strcmp((*list)->name, name) < 0)
		list = &(*list)->next;
	x->next = *list;
	*list = x;
	return 0;
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

enum fate { KEEP, DROP, WARN };

static enum fate fate_of(const char *name)
{
	const char *dot = strchr(name, '.');

	if (begins(name, "trusted.overlay.") || begins(name, "user.overlay."))
		return DROP;
	if (!dot || dot[1] == '\0' || strlen(name) > NAME_BYTES_MAX || begins(dot, ".msb."))
		return WARN;
	if (begins(name, "user.") || begins(name, "trusted.") || begins(name, "security."))
		return KEEP;
	return WARN;
}

static bool is_acl(const char *name)
{
	return strcmp(name, "system.posix_acl_access") == 0 ||
	       strcmp(name, "system.posix_acl_default") == 0;
}

/* 0 and the value to keep, 1: drop it with a warning. */
static int take_acl(const struct tar_entry *e, const struct tar_xattr *x, uint8_t *out, size_t max,
		    size_t *ret_len)
{
	bool is_default = strcmp(x->name, "system.posix_acl_default") == 0;

	if (e->type == TAR_SYMLINK || (is_default && e->type != TAR_DIR))
		return 1;
	if (x->kind == TAR_XATTR_ACL_TEXT) {
		if (acl_from_text(x->value, x->len, out, max, ret_len) < 0)
			return 1;
	} else {
		if (x->len > max)
			return 1;
		memcpy(out, x->value, x->len);
		*ret_len = x->len;
	}
	return acl_is_valid(out, *ret_len) ? 0 : 1;
}

int tree_take_xattrs(struct tree *t, const struct tar_entry *e, struct tree_xattr **ret,
		     struct err *err)
{
	uint8_t acl[4 + 256 * ACL_ENTRY];
	struct tree_xattr *list = NULL;

	for (size_t i = 0; i < e->n_xattrs; i++) {
		const struct tar_xattr *x = &e->xattrs[i];
		const uint8_t *value = x->value;
		size_t len = x->len;

		if (is_acl(x->name)) {
			if (take_acl(e, x, acl, sizeof(acl), &len) != 0) {
				t->n_warnings++;
				continue;
			}
			value = acl;
		} else {
			enum fate fate = fate_of(x->name);

			t->n_warnings += fate == WARN;
			if (fate != KEEP)
				continue;
		}
		if (tree_add_xattr(t, &list, x->name, value, len) < 0)
			return err_no_memory(err);
	}
	*ret = list;
	return 0;
}
