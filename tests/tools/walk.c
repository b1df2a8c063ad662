/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk DIR...: what lstat(), readlink(), listxattr() and read() tell of every file below each DIR,
 * a line each.  Static, so that the same program looks at a tree in a guest and at one here.
 *
 *	PATH TYPE MODE UID:GID MTIME.NS SIZE MAJOR:MINOR NLINK INODE TARGET SHA256 NAME=VALUE...
 *
 * PATH is relative to DIR; in texts and values a byte that is no plain letter is %HH; "-" stands
 * for what a type does not have.  Other mounts are left out.  An empty line follows the last file
 * of a DIR.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define TEXT_MAX  (64 * 1024) /* bytes; names and values of attributes: XATTR_SIZE_MAX of Linux */
#define PATH_SIZE 4352	      /* bytes; PATH_MAX of Linux and a name */

static void fail(const char *what, const char *path)
{
	fprintf(stderr, "walk: %s '%s': %m\n", what, path);
	exit(1);
}

/* SHA-256 as in FIPS 180-4. */
struct sha256 {
	uint32_t h[8];
	uint64_t len; /* bytes */
	uint8_t block[64];
};

static uint32_t ror(uint32_t v, unsigned n)
{
	return v >> n | v << (32 - n);
}

/* One round; the caller renames the variables instead of moving their values. */
static inline void sha256_round(uint32_t a, uint32_t b, uint32_t c, uint32_t *d, uint32_t e,
				uint32_t f, uint32_t g, uint32_t *h, uint32_t input)
{
	uint32_t t = *h + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + ((e & f) ^ (~e & g)) + input;

	*d += t;
	*h = t + (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
}

static void sha256_block(struct sha256 *s)
{
	static const uint32_t k[64] = {
		0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
		0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
		0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
		0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
		0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
		0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
		0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
		0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
		0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
		0xc67178f2,
	};
	uint32_t w[64];
	uint32_t a = s->h[0], b = s->h[1], c = s->h[2], d = s->h[3];
	uint32_t e = s->h[4], f = s->h[5], g = s->h[6], h = s->h[7];

	for (unsigned i = 0; i < 16; i++)
		w[i] = (uint32_t)s->block[4 * i] << 24 | (uint32_t)s->block[4 * i + 1] << 16 |
		       (uint32_t)s->block[4 * i + 2] << 8 | s->block[4 * i + 3];
	for (unsigned i = 16; i < 64; i++)
		w[i] = (ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10) + w[i - 7] +
		       (ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 16];
	for (unsigned i = 0; i < 64; i += 8) {
		sha256_round(a, b, c, &d, e, f, g, &h, k[i] + w[i]);
		sha256_round(h, a, b, &c, d, e, f, &g, k[i + 1] + w[i + 1]);
		sha256_round(g, h, a, &b, c, d, e, &f, k[i + 2] + w[i + 2]);
		sha256_round(f, g, h, &a, b, c, d, &e, k[i + 3] + w[i + 3]);
		sha256_round(e, f, g, &h, a, b, c, &d, k[i + 4] + w[i + 4]);
		sha256_round(d, e, f, &g, h, a, b, &c, k[i + 5] + w[i + 5]);
		sha256_round(c, d, e, &f, g, h, a, &b, k[i + 6] + w[i + 6]);
		sha256_round(b, c, d, &e, f, g, h, &a, k[i + 7] + w[i + 7]);
	}
	s->h[0] += a;
	s->h[1] += b;
	s->h[2] += c;
	s->h[3] += d;
	s->h[4] += e;
	s->h[5] += f;
	s->h[6] += g;
	s->h[7] += h;
}

static void sha256_add(struct sha256 *s, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t at = s->len % 64, n = 64 - at < len ? 64 - at : len;

		memcpy(s->block + at, data, n);
		s->len += n;
		if (at + n == 64)
			sha256_block(s);
		data += n;
		len -= n;
	}
}

static void sha256_print(struct sha256 *s)
{
	uint64_t bits = s->len * 8;
	uint8_t end = 0x80;

	do {
		sha256_add(s, &end, 1);
		end = 0;
	} while (s->len % 64 != 56);
	for (int i = 56; i >= 0; i -= 8) {
		uint8_t byte = (uint8_t)(bits >> i);

		sha256_add(s, &byte, 1);
	}
	for (unsigned i = 0; i < 8; i++)
		printf("%08x", s->h[i]);
}

static void print_content(const char *path)
{
	static uint8_t buf[256 * 1024];
	struct sha256 s = { .h = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
				   0x9b05688c, 0x1f83d9ab, 0x5be0cd19 } };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	if (fd < 0)
		fail("open", path);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		sha256_add(&s, buf, (size_t)n);
	if (n < 0)
		fail("read", path);
	(void)close(fd);
	sha256_print(&s);
}

static void print_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)text[i];

		if (c > ' ' && c < 127 && c != '%' && c != '=')
			putchar(c);
		else
			printf("%%%02x", c);
	}
}

static void print_xattrs(const char *path)
{
	static char names[TEXT_MAX], value[TEXT_MAX];
	ssize_t len = llistxattr(path, names, sizeof(names));

	if (len < 0 && errno != ENOTSUP)
		fail("attributes of", path);
	for (const char *name = names; name < names + len; name += strlen(name) + 1) {
		ssize_t n = lgetxattr(path, name, value, sizeof(value));

		if (n < 0)
			fail(name, path);
		putchar(' ');
		print_text(name, strlen(name));
		putchar('=');
		print_text(value, (size_t)n);
	}
}

static char type_of(mode_t mode)
{
	static const char types[] = "?pc?d?b?-?l?s???"; /* by the four bits of S_IFMT */

	return types[mode >> 12 & 15];
}

static void print_file(const char *path, const struct stat *st)
{
	char target[PATH_SIZE];
	ssize_t n = 0;

	print_text(path[1] ? path + 2 : path, strlen(path[1] ? path + 2 : path));
	printf(" %c %04o %u:%u %lld.%09ld", type_of(st->st_mode), st->st_mode & 07777, st->st_uid,
	       st->st_gid, (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	printf(" %lld %u:%u %lu %llu ", S_ISDIR(st->st_mode) ? 0ll : (long long)st->st_size,
	       major(st->st_rdev), minor(st->st_rdev), (unsigned long)st->st_nlink,
	       (unsigned long long)st->st_ino);
	if (S_ISLNK(st->st_mode)) {
		n = readlink(path, target, sizeof(target));
		if (n < 0)
			fail("readlink", path);
		print_text(target, (size_t)n);
	} else {
		putchar('-');
	}
	putchar(' ');
	if (S_ISREG(st->st_mode))
		print_content(path);
	else
		putchar('-');
	print_xattrs(path);
	putchar('\n');
}

/* @path is "." or "./..." and has room for a name behind its end. */
static void walk(char *path, size_t len, dev_t dev)
{
	struct stat st;
	struct dirent *e;
	DIR *dir;

	if (lstat(path, &st) < 0)
		fail("stat", path);
	if (S_ISDIR(st.st_mode) && len > 1 && st.st_dev != dev)
		return;
	print_file(path, &st);
	if (!S_ISDIR(st.st_mode))
		return;
	dir = opendir(path);
	if (!dir)
		fail("open", path);
	while ((e = readdir(dir)) != NULL) {
		size_t n = strlen(e->d_name);

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (len + n + 2 > PATH_SIZE) {
			errno = ENAMETOOLONG;
			fail("walk", path);
		}
		path[len] = '/';
		memcpy(path + len + 1, e->d_name, n + 1);
		walk(path, len + 1 + n, st.st_dev);
		path[len] = '\0';
	}
	(void)closedir(dir);
}

int main(int argc, char **argv)
{
	char path[PATH_SIZE];

	for (int i = 1; i < argc; i++) {
		if (chdir(argv[i]) < 0)
			fail("chdir", argv[i]);
		path[0] = '.';
		path[1] = '\0';
		walk(path, 1, 0);
		putchar('\n');
	}
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
