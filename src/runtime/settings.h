/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SETTINGS_H
#define RUNTIME_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "image/image.h"
#include "registry/registry.h"

/*
 * MSB_HOME/config.json: what a person has set for all sandboxes of a home.  The keys are in
 * docs/api/config.md.
 */
#define SETTINGS_MAX_BYTES (1u << 20)

/* Owned by it. */
struct settings {
	char *engine;		     /* "auto", "kvm", "qemu"; NULL: not set */
	uint32_t cpus;		     /* 0: not set */
	uint64_t memory_mib;	     /* 0: not set */
	struct registry_host *hosts; /* registries.HOST */
	size_t n_hosts;
	bool max_size_set; /* else half of the file system */
	uint64_t max_size; /* bytes of all images; 0: no limit */
	char **keep;	   /* full references that no cleaning removes; NULL-terminated */
	size_t n_keep;
	bool keep_blobs; /* keep compressed layers too */
	struct image_limits limits;
};
void settings_done(struct settings *s);
static inline void settings_done_auto(struct settings *s)
{
	settings_done(s);
}

/**
 * settings_parse() - Check the text of config.json
 * @what:	Its path, for messages; borrowed
 * @user_dir:	For "~/" in paths; NULL: unknown
 * @err:	INVALID: @what, the path of the key, the value, a suggestion
 */
MUST_CHECK int settings_parse(const char *what, const void *text, size_t len, const char *user_dir,
			      struct settings *ret_settings, struct err *err);
/* The file of that home; a missing one sets nothing. @err: as above, and IO */
MUST_CHECK int settings_read(const char *home, const char *user_dir, struct settings *ret_settings,
			     struct err *err);

/* It is a host as full references have it: "docker.io", "localhost:5000". */
bool registry_name_valid(const char *host);

#endif /* RUNTIME_SETTINGS_H */
