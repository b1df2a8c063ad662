/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_EROFS_H
#define IMAGE_EROFS_H

#include "image/tree.h"

/* Bytes that a tree points to. */
struct erofs_layer {
	uint64_t data_size;
	int data_fd; /* borrowed; unaligned pieces are read from here; -1: there are none */
	int tree_fd; /* borrowed; copied pieces are read from here; -1: there are none */
};

/**
 * erofs_write() - Metadata of @t for a disk [metadata][data 1][data 2]...
 * @marks:	Keep the marks of a layer; else there must be none
 * @out_fd:	An empty file; written from its start
 * @ret_disk:	Bytes of the disk; where the last data ends
 * @err:	INVALID (limits), IO
 *
 * Consumes the tree: it can only be released afterwards.
 */
MUST_CHECK int erofs_write(struct tree *t, const struct erofs_layer *layers, size_t n_layers,
			   bool marks, int out_fd, uint64_t *ret_disk, struct err *err);

/* Offset of data file @n, and with @n == n_layers the size of the disk. */
uint64_t erofs_data_start(uint64_t meta_size, const struct erofs_layer *layers, size_t n);

/**
 * erofs_check() - Superblock of a file of ours
 * @size:	Of the file
 * @ret_disk:	As erofs_write() told
 * Return: 0, -EINVAL, or what reading said.
 */
MUST_CHECK int erofs_check(int fd, uint64_t size, uint64_t *ret_disk);

/**
 * erofs_read() - Tree of a layer from its tree file
 * @data:	The file, all of it
 * @layer:	Number that its inodes get
 * Return: 0, -EINVAL (damaged), -ENOMEM
 */
MUST_CHECK int erofs_read(const uint8_t *data, size_t size, uint16_t layer, struct tree *t);

/**
 * merge_layer() - Lay @upper over @t, both in one arena
 * @err:	INVALID: a hard link to nothing
 *
 * Afterwards @upper can only be released.
 */
MUST_CHECK int merge_layer(struct tree *t, struct tree *upper, struct err *err);

#endif /* IMAGE_EROFS_H */
