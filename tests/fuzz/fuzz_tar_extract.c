/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is an archive of a stranger; it is unpacked into a folder beside one that must stay as it
 * is.  Checksums of headers are put right first.
 */
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remove_tree.h"
#include "tar/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void warn(void *user, const char *path, const char *what)
{
	assert(path && *what);
	++*(unsigned *)user;
}

static void fix_sums(uint8_t *p, size_t size)
{
	for (size_t at = 0; at + 512 <= size; at += 512) {
		unsigned sum = 8 * ' ';
		char text[9];

		if (memcmp(p + at + 257, "ustar", 5) != 0)
			continue;
		for (unsigned i = 0; i < 512; i++)
			sum += i >= 148 && i < 156 ? 0 : p[at + i];
		(void)snprintf(text, sizeof(text), "%06o", sum);
		memcpy(p + at + 148, text, 7);
		p[at + 155] = ' ';
	}
}

static void unpack(int in, uint8_t *copy, size_t size)
{
	unsigned warnings = 0;
	struct tar_unpack_options o = {
		.tame = true, .xattrs = true, .warn = warn, .user = &warnings
	};
	AUTO(tar_unpack_free) struct tar_unpack *u = NULL;
	struct err err = ERR_INIT;

	assert(tar_unpack_new(in, &o, &u, &err) == 0);
	if (tar_unpack_feed(u, copy, size, &err) < 0 || tar_unpack_finish(u, &err) < 0)
		assert(err.code != ERR_NONE && err.msg[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char root[] = "/tmp/msb-fuzz-XXXXXX", path[64];
	AUTO_FREE uint8_t *copy = malloc(size ? size : 1);
	unsigned n = 0;
	DIR *d;
	int in;

	assert(copy && mkdtemp(root));
	memcpy(copy, data, size);
	fix_sums(copy, size);
	(void)snprintf(path, sizeof(path), "%s/in", root);
	assert(mkdir(path, 0700) == 0);
	in = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert(in >= 0);
	unpack(in, copy, size);
	(void)close(in);
	d = opendir(root);
	assert(d);
	while (readdir(d))
		n++;
	assert(n == 3); /* ".", "..", "in" */
	(void)closedir(d);
	remove_tree(AT_FDCWD, root);
	return 0;
}
