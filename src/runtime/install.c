/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: where the files of a boot are
 *
 * msb-sandbox, the initramfs, the kernel, its modules and the built-in images are looked for in
 * MSB_LIBEXEC alone if that is set; else beside this library (dladdr), in two layouts: installed
 * (PREFIX/lib/.../libmicrosandbox.so with PREFIX/lib/microsandbox or PREFIX/libexec/microsandbox)
 * and the build folder (BUILD/src/lib with BUILD/libexec/microsandbox).
 * MSB_KERNEL overrules for the kernel; modules.erofs lies beside the kernel.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/internal.h"

#define QEMU_PROGRAM "qemu-system-x86_64"

/* Below the folder of the library; the first that has the file is taken. */
static const char *const places[] = {
	".",
	"microsandbox",
	"../microsandbox",
	"../libexec/microsandbox",
	"../../libexec/microsandbox",
	NULL,
};

void runtime_files_done(struct runtime_files *f)
{
	free(f->monitor);
	free(f->qemu);
	if (f->kernel >= 0)
		(void)close(f->kernel);
	if (f->initramfs >= 0)
		(void)close(f->initramfs);
	if (f->modules >= 0)
		(void)close(f->modules);
	*f = (struct runtime_files){ .kernel = -1, .initramfs = -1, .modules = -1 };
}

/*
 * Folder of the file that holds this code: the library, or a program that links it statically.
 * NULL if it is unknown, or MSB_LIBEXEC takes its place.  Owned by the caller.
 */
static char *own_folder(const struct home *home)
{
	AUTO_FREE char *real = NULL;
	char *slash;
	Dl_info info;

	if (home->libexec || !dladdr((void *)(uintptr_t)own_folder, &info) || !info.dli_fname)
		return NULL;
	real = realpath(info.dli_fname, NULL);
	if (!real) /* a program that was started by a name without a path */
		real = realpath("/proc/self/exe", NULL);
	slash = real ? strrchr(real, '/') : NULL;
	if (!slash)
		return NULL;
	*slash = '\0';
	return TAKE_PTR(real);
}

/* Path of the file @name if it is there. */
static char *file_in(const char *folder, const char *place, const char *name)
{
	AUTO_FREE char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s/%s/%s", folder, place, name) < 0) {
		path = NULL;
		return NULL;
	}
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? TAKE_PTR(path) : NULL;
}

/* Path of the file @name; @own as from own_folder(). */
static char *file_path(const struct home *home, const char *own, const char *name)
{
	char *path = NULL;

	if (home->libexec)
		return file_in(home->libexec, ".", name);
	for (size_t i = 0; own && !path && places[i]; i++)
		path = file_in(own, places[i], name);
	return path;
}

char *runtime_file_path(const struct home *home, const char *name)
{
	AUTO_FREE char *own = own_folder(home);

	return file_path(home, own, name);
}

static int find_file(const struct home *home, const char *own, const char *name, const char *what,
		     char **ret_path, struct err *err)
{
	char *path = file_path(home, own, name);

	if (path) {
		*ret_path = path;
		return 0;
	}
	if (home->libexec)
		err_set(err, ERR_UNAVAILABLE, "%s is not installed: no '%s' in '%s' (MSB_LIBEXEC)",
			what, name, home->libexec);
	else
		err_set(err, ERR_UNAVAILABLE,
			"%s is not installed: no '%s' beside the library; set MSB_LIBEXEC to its "
			"folder",
			what, name);
	return err_detail(err, ERR_NR_NOT_INSTALLED, name);
}

static int open_file(const char *path, const char *what, int *ret_fd, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		err_sys(err, errno, "open %s '%s'", what, path);
		return err_detail(err, ERR_NR_NOT_INSTALLED, path);
	}
	*ret_fd = fd;
	return 0;
}

/* modules.erofs in the folder of the kernel; a kernel without modules has none. */
static int open_modules(const char *kernel, int *ret_fd, struct err *err)
{
	const char *slash = strrchr(kernel, '/');
	AUTO_FREE char *path = NULL;
	int fd;

	if (asprintf(&path, "%.*smodules.erofs", slash ? (int)(slash - kernel + 1) : 0, kernel) <
	    0) {
		path = NULL;
		return err_no_memory(err);
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		return err_sys(err, errno, "open the kernel's modules '%s'", path);
	*ret_fd = fd;
	return 0;
}

static int find_kernel(const struct home *home, const char *own, struct runtime_files *f,
		       struct err *err)
{
	AUTO_FREE char *path = NULL;
	int r;

	if (home->kernel) {
		path = strdup(home->kernel);
		if (!path)
			return err_no_memory(err);
	} else {
		r = find_file(home, own, "vmlinux", "the guest kernel", &path, err);
		if (r < 0)
			return r;
	}
	r = open_file(path, "the guest kernel", &f->kernel, err);
	return r < 0 ? r : open_modules(path, &f->modules, err);
}

static int find_qemu(const struct home *home, char **ret_path, struct err *err)
{
	const char *p = home->search ? home->search : "/usr/local/bin:/usr/bin:/bin";

	for (;; p++) {
		size_t n = strcspn(p, ":");
		AUTO_FREE char *path = NULL;

		if (n > 0 && asprintf(&path, "%.*s/" QEMU_PROGRAM, (int)n, p) < 0) {
			path = NULL;
			return err_no_memory(err);
		}
		if (path && access(path, X_OK) == 0) {
			*ret_path = TAKE_PTR(path);
			return 0;
		}
		p += n;
		if (!*p)
			break;
	}
	err_set(err, ERR_UNAVAILABLE,
		"engine qemu needs " QEMU_PROGRAM ", which is not installed; on Debian: apt "
		"install qemu-system-x86");
	return err_detail(err, ERR_NR_NO_ENGINE, QEMU_PROGRAM);
}

int runtime_files_find(const struct home *home, const struct spec *spec,
		       struct runtime_files *ret_files, struct err *err)
{
	AUTO(runtime_files_done)
	struct runtime_files f = { .kernel = -1, .initramfs = -1, .modules = -1 };
	AUTO_FREE char *own = own_folder(home);
	AUTO_FREE char *initramfs = NULL;
	bool kvm = spec->engine == SPEC_ENGINE_KVM ||
		   (spec->engine == SPEC_ENGINE_AUTO && home->engine &&
		    strcmp(home->engine, "kvm") == 0);
	int r;

	if (kvm) {
		err_set(err, ERR_UNAVAILABLE,
			"engine kvm is not part of this version; use engine qemu");
		return err_detail(err, ERR_NR_NO_ENGINE, "kvm");
	}
	r = find_qemu(home, &f.qemu, err);
	if (r == 0)
		r = find_file(home, own, "msb-sandbox", "msb-sandbox", &f.monitor, err);
	if (r == 0)
		r = find_kernel(home, own, &f, err);
	if (r == 0)
		r = find_file(home, own, "initramfs.cpio", "the initramfs", &initramfs, err);
	if (r == 0)
		r = open_file(initramfs, "the initramfs", &f.initramfs, err);
	if (r < 0)
		return r;
	*ret_files = f;
	f = (struct runtime_files){ .kernel = -1, .initramfs = -1, .modules = -1 };
	return 0;
}
