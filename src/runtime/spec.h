/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SPEC_H
#define RUNTIME_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/defer.h"
#include "base/err.h"
#include "diskimg/diskimg.h"
#include "proto/agent.h"
#include "proto/launch.h"
#include "runtime/pull.h"

/*
 * What a caller may ask for: the sandbox spec and the exec request, both JSON, checked here and
 * nowhere else.  The keys are in docs/api/spec.md.
 */
#define SPEC_MAX_LEN	    (4u << 20) /* bytes of JSON */
#define SPEC_MAX_MOUNTS	    64
#define SPEC_MAX_CPUS	    64
#define SPEC_MIN_MEMORY_MIB 32
#define SPEC_MAX_MEMORY_MIB (16u << 20) /* 16 TiB */

enum spec_engine { SPEC_ENGINE_AUTO, SPEC_ENGINE_KVM, SPEC_ENGINE_QEMU, SPEC_ENGINE_MAX };
extern const char *const spec_engine_names[]; /* NULL-terminated */
enum spec_root {
	SPEC_ROOT_MANAGED,
	SPEC_ROOT_TMPFS,
	SPEC_ROOT_NONE,
	SPEC_ROOT_DIRECT,
	SPEC_ROOT_DISK,
	SPEC_ROOT_MAX
};
/* What the image of a spec is; a path is a folder or a disk, which spec_resolve() finds out. */
enum spec_image {
	SPEC_IMAGE_OCI,
	SPEC_IMAGE_PATH,
	SPEC_IMAGE_BIND,
	SPEC_IMAGE_DISK,
	SPEC_IMAGE_MAX
};

/* One bind mount. */
struct spec_mount {
	char *target; /* absolute path in the guest */
	char *source; /* folder on the host; absolute once resolved */
	bool read_only, nosuid, noexec, nodev;
};

struct spec_label {
	char *key, *value;
};

/* A checked spec.  Strings are owned by it. */
struct spec {
	char *name;  /* NULL: to be generated */
	char *image; /* reference, or the path of a folder or of a disk image */
	enum spec_image image_kind;
	struct pull_how pull;	       /* how the image is fetched; not in the normal form */
	enum disk_format image_format; /* of a disk image, as the next two; DISK_ANY: found out */
	uint32_t image_partition;      /* 0: found out */
	const char *image_fstype;      /* static; NULL: found out */
	enum spec_engine engine;
	uint32_t cpus;
	uint64_t memory_mib;
	enum spec_root root;
	/*
	 * managed: of the disk, where 0 is that of the disk image; tmpfs: 0 is the kernel's default.
	 */
	uint64_t root_size_mib;
	char *root_path;			 /* SPEC_ROOT_DISK: a raw file with ext4 */
	struct str_list env;			 /* "K=V" */
	char *workdir, *user, *hostname, *shell; /* NULL: the default */
	bool entrypoint_set, cmd_set;		 /* else the image's */
	struct str_list entrypoint, cmd;
	struct spec_label *labels;
	size_t n_labels;
	struct spec_mount *mounts; /* parents first */
	size_t n_mounts;
	enum launch_capture capture;
	struct exec_rlimit *rlimits; /* of every program */
	size_t n_rlimits;
	bool ephemeral;
	bool reuse;   /* a stopped sandbox of this name with an equal spec is booted again */
	bool replace; /* one of that name is ended and deleted first; not in the normal form */
	uint64_t replace_timeout_ms;		   /* grace of that end; 0: it is killed */
	uint64_t max_duration_ms, idle_timeout_ms; /* 0: none */
	int stop_signal;			   /* to main; 0: the image's, else TERM */
	bool detached; /* it outlives its creator; not in the normal form */
	uint64_t start_timeout_ms, stop_timeout_ms;
};
void spec_done(struct spec *spec);
static inline void spec_done_auto(struct spec *spec)
{
	spec_done(spec);
}

/* What config.json says about specs that do not; 0: the built-in value. */
struct spec_defaults {
	uint32_t cpus;
	uint64_t memory_mib;
};

/**
 * spec_parse() - Check a spec; looks at nothing but its text
 * @defaults:	NULL: the built-in ones
 * @err:	INVALID: the path of the key, the value, a suggestion
 */
MUST_CHECK int spec_parse(const void *text, size_t len, const struct spec_defaults *defaults,
			  struct spec *ret_spec, struct err *err);

/**
 * spec_resolve() - Look at the host: local paths become absolute, and must exist
 * @home_dir:	For "~/"; NULL if unknown
 * @err:	INVALID, NOT_FOUND, DENIED, with the path
 */
MUST_CHECK int spec_resolve(struct spec *spec, const char *home_dir, struct err *err);

/* Whether it may name a sandbox. INVALID. */
MUST_CHECK int spec_name_check(const char *name, struct err *err);

/*
 * The spec as JSON with all defaults but without what is the caller's wish for now, `reuse` and
 * `detached`: equal texts mean equal sandboxes.
 */
MUST_CHECK int spec_normal(const struct spec *spec, char **ret_json, struct err *err);

/* What a sandbox knows about commands; all borrowed. */
struct exec_defaults {
	const struct str_list *entrypoint, *cmd;
	const char *shell;
};

/* How output is collected. */
#define COLLECT_DEFAULT (16ull << 20) /* bytes of each output */
struct exec_collect {
	uint64_t max;	    /* bytes of each output that are kept */
	bool overflow_ends; /* more ends the program; else it is dropped */
};

/**
 * exec_parse() - Check an exec request and make it the agent's
 * @ret_collect: NULL: output is not collected, and what is asked about it is refused
 * @err:	INVALID; number 201 if there is no default command
 */
MUST_CHECK int exec_parse(const char *text, const struct exec_defaults *defaults,
			  struct exec_request *ret_request, struct exec_collect *ret_collect,
			  struct err *err);
/* The same for an attach request. */
MUST_CHECK int attach_parse(const char *text, struct attach_request *ret_request, struct err *err);

#endif /* RUNTIME_SPEC_H */
