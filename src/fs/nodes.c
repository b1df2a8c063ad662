/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: what the guest knows
 *
 * Nodes are found by number and by identity, handles by number.  One lock covers the three
 * tables and all counts; it is never held over a call into a back end, so objects and files
 * that fall out of a table are released after it is dropped.
 *
 * A node lives while the guest remembers it (n_lookup) or somebody uses it (refs).  Only in
 * the first case it is found by its number: a guest that forgets a node in use ends its own
 * access, nobody else's.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "fs/internal.h"

#define TABLE_FIRST_SLOTS 256

#define node_of_id(l)	((struct fs_node *)((char *)(l)-offsetof(struct fs_node, by_id)))
#define node_of_key(l)	((struct fs_node *)((char *)(l)-offsetof(struct fs_node, by_key)))
#define handle_of_id(l) ((struct fs_handle *)((char *)(l)-offsetof(struct fs_handle, by_id)))

/* The finaliser of splitmix64: numbers that count up are spread over all slots. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static uint64_t key_hash(const struct fs_obj *o)
{
	return mix(o->ino ^ mix(o->dev ^ mix((uintptr_t)o->backend)));
}

static bool key_same(const struct fs_obj *a, const struct fs_obj *b)
{
	return a->backend == b->backend && a->dev == b->dev && a->ino == b->ino &&
	       a->btime_ns == b->btime_ns;
}

static struct fs_link *table_chain(const struct fs_table *t, uint64_t hash)
{
	return t->n_slots ? t->slots[hash & (t->n_slots - 1)] : NULL;
}

/* Make room for one more, so that table_add() cannot fail. */
static int table_reserve(struct fs_table *t)
{
	size_t n_slots = t->n_slots ? 2 * t->n_slots : TABLE_FIRST_SLOTS;
	struct fs_link **slots;

	if (t->n < t->n_slots)
		return 0;
	slots = calloc(n_slots, sizeof(struct fs_link *));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_slots; i++) {
		struct fs_link *l = t->slots[i];

		while (l) {
			struct fs_link *next = l->next;
			struct fs_link **slot = &slots[l->hash & (n_slots - 1)];

			l->next = *slot;
			*slot = l;
			l = next;
		}
	}
	free(t->slots);
	t->slots = slots;
	t->n_slots = n_slots;
	return 0;
}

static void table_add(struct fs_table *t, struct fs_link *l, uint64_t hash)
{
	struct fs_link **slot = &t->slots[hash & (t->n_slots - 1)];

	l->hash = hash;
	l->next = *slot;
	*slot = l;
	t->n++;
}

static void table_remove(struct fs_table *t, struct fs_link *gone)
{
	struct fs_link **l = &t->slots[gone->hash & (t->n_slots - 1)];

	while (*l && *l != gone)
		l = &(*l)->next;
	if (*l) {
		*l = gone->next;
		t->n--;
	}
}

static struct fs_node *find_node(struct fs_server *fs, uint64_t id)
{
	if (id == FUSE_ROOT_ID)
		return fs->root;
	for (struct fs_link *l = table_chain(&fs->by_id, mix(id)); l; l = l->next)
		if (node_of_id(l)->id == id)
			return node_of_id(l);
	return NULL;
}

static struct fs_node *find_key(struct fs_server *fs, const struct fs_obj *obj)
{
	for (struct fs_link *l = table_chain(&fs->by_key, key_hash(obj)); l; l = l->next)
		if (key_same(&node_of_key(l)->obj, obj))
			return node_of_key(l);
	return NULL;
}

struct fs_node *node_get(struct fs_server *fs, uint64_t id)
{
	struct fs_node *node;

	pthread_mutex_lock(&fs->lock);
	node = find_node(fs, id);
	if (node)
		node->refs++;
	pthread_mutex_unlock(&fs->lock);
	return node;
}

static void node_free(struct fs_node *node)
{
	if (!node)
		return;
	node->obj.backend->ops->put(&node->obj);
	free(node);
}

/* Under the lock: the node if nothing holds it any more, for node_free(). */
static struct fs_node *node_if_dead(struct fs_server *fs, struct fs_node *node)
{
	return node != fs->root && node->refs == 0 && node->n_lookup == 0 ? node : NULL;
}

/* Under the lock: the guest does not know the node any more. */
static void node_unhash(struct fs_server *fs, struct fs_node *node)
{
	node->n_lookup = 0;
	table_remove(&fs->by_id, &node->by_id);
	table_remove(&fs->by_key, &node->by_key);
}

void node_put(struct fs_server *fs, struct fs_node *node)
{
	struct fs_node *dead;

	if (!node)
		return;
	pthread_mutex_lock(&fs->lock);
	node->refs--;
	dead = node_if_dead(fs, node);
	pthread_mutex_unlock(&fs->lock);
	node_free(dead);
}

int node_intern(struct fs_server *fs, struct fs_obj *obj, uint64_t *ret_id)
{
	struct fs_node *node = calloc(1, sizeof(*node)), *known = NULL;
	int r = node ? 0 : -ENOMEM;

	pthread_mutex_lock(&fs->lock);
	if (r == 0) {
		known = find_key(fs, obj);
		if (known) {
			known->n_lookup++;
			*ret_id = known->id;
		} else {
			r = table_reserve(&fs->by_id);
			if (r == 0)
				r = table_reserve(&fs->by_key);
		}
	}
	if (r == 0 && !known) {
		node->id = fs->next_id++;
		node->obj = *obj;
		node->n_lookup = 1;
		table_add(&fs->by_id, &node->by_id, mix(node->id));
		table_add(&fs->by_key, &node->by_key, key_hash(obj));
		*ret_id = node->id;
		node = NULL; /* the table's now */
	}
	pthread_mutex_unlock(&fs->lock);
	if (r < 0 || known)
		obj->backend->ops->put(obj);
	free(node);
	return r;
}

/*
 * Roots of mounts are never forgotten.  Drivers before Linux 6.8 forget the entry of a
 * submount while the submount is still in use.
 */
static bool is_mount_root(const struct fs_server *fs, const struct fs_node *node)
{
	for (size_t i = 0; i < fs->n_mounts; i++)
		if (key_same(&fs->roots[i], &node->obj))
			return true;
	return false;
}

void node_forget(struct fs_server *fs, uint64_t id, uint64_t n)
{
	struct fs_node *node, *dead = NULL;

	pthread_mutex_lock(&fs->lock);
	node = find_node(fs, id);
	if (node && node != fs->root) {
		if (n < node->n_lookup) {
			node->n_lookup -= n;
		} else if (is_mount_root(fs, node)) {
			node->n_lookup = 1;
		} else {
			node_unhash(fs, node);
			dead = node_if_dead(fs, node);
		}
	}
	pthread_mutex_unlock(&fs->lock);
	node_free(dead);
}

int handle_add(struct fs_server *fs, struct fs_node *node, struct fs_file *file, bool folder,
	       uint64_t *ret_id)
{
	struct fs_handle *handle = calloc(1, sizeof(*handle));
	int r = -ENOMEM;

	if (handle) {
		handle->node = node;
		handle->file = file;
		handle->folder = folder;
		handle->refs = 1;
		pthread_mutex_lock(&fs->lock);
		r = table_reserve(&fs->handles);
		if (r == 0) {
			handle->id = fs->next_id++;
			node->refs++;
			table_add(&fs->handles, &handle->by_id, mix(handle->id));
			*ret_id = handle->id;
			handle = NULL; /* the table's now */
		}
		pthread_mutex_unlock(&fs->lock);
	}
	if (r < 0)
		file->backend->ops->close(file);
	free(handle);
	return r;
}

static struct fs_handle *find_handle(struct fs_server *fs, const struct fs_node *node, uint64_t id,
				     bool folder)
{
	for (struct fs_link *l = table_chain(&fs->handles, mix(id)); l; l = l->next) {
		struct fs_handle *h = handle_of_id(l);

		if (h->id == id)
			return h->node == node && h->folder == folder ? h : NULL;
	}
	return NULL;
}

struct fs_handle *handle_get(struct fs_server *fs, const struct fs_node *node, uint64_t id,
			     bool folder)
{
	struct fs_handle *h;

	pthread_mutex_lock(&fs->lock);
	h = find_handle(fs, node, id, folder);
	if (h)
		h->refs++;
	pthread_mutex_unlock(&fs->lock);
	return h;
}

void handle_put(struct fs_server *fs, struct fs_handle *h)
{
	bool dead;

	if (!h)
		return;
	pthread_mutex_lock(&fs->lock);
	dead = --h->refs == 0;
	pthread_mutex_unlock(&fs->lock);
	if (!dead)
		return;
	h->file->backend->ops->close(h->file);
	node_put(fs, h->node);
	free(h);
}

int handle_release(struct fs_server *fs, const struct fs_node *node, uint64_t id, bool folder)
{
	struct fs_handle *h;

	pthread_mutex_lock(&fs->lock);
	h = find_handle(fs, node, id, folder);
	if (h)
		table_remove(&fs->handles, &h->by_id);
	pthread_mutex_unlock(&fs->lock);
	handle_put(fs, h);
	return h ? 0 : -EBADF;
}

/* Any entry of a table; NULL if it is empty. Taking all of them this way is linear. */
static struct fs_link *table_any(const struct fs_table *t, size_t *slot)
{
	for (; *slot < t->n_slots; ++*slot)
		if (t->slots[*slot])
			return t->slots[*slot];
	return NULL;
}

void tables_clear(struct fs_server *fs)
{
	struct fs_link *l;
	size_t slot = 0;

	do {
		pthread_mutex_lock(&fs->lock);
		l = table_any(&fs->handles, &slot);
		if (l)
			table_remove(&fs->handles, l);
		pthread_mutex_unlock(&fs->lock);
		if (l)
			handle_put(fs, handle_of_id(l));
	} while (l);
	slot = 0;
	do {
		struct fs_node *dead = NULL;

		pthread_mutex_lock(&fs->lock);
		l = table_any(&fs->by_id, &slot);
		if (l) {
			node_unhash(fs, node_of_id(l));
			dead = node_if_dead(fs, node_of_id(l));
		}
		pthread_mutex_unlock(&fs->lock);
		node_free(dead);
	} while (l);
}

void tables_done(struct fs_server *fs)
{
	free(fs->by_id.slots);
	free(fs->by_key.slots);
	free(fs->handles.slots);
}
