/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_CREDENTIALS_H
#define REGISTRY_CREDENTIALS_H

#include "registry/login.h"
#include "registry/registry.h"

#define CREDENTIALS_FROM_MAX 256 /* bytes of the name of a source, with the NUL */

/* Whose login is looked for. All borrowed. */
struct credentials_of {
	const char *host;
	const char *repository; /* "" for the registry as a whole */
	bool given; /* the login in struct registry_options is for it, and then no other */
};

/**
 * credentials_find() - Look up a login: call, auth.json, config.json, Docker's files, containers'
 * @from:	Where it was found, for messages: a file, a helper, "" for the call;
 *		CREDENTIALS_FROM_MAX bytes
 * @err:	CANCELLED; INVALID: our own files are broken
 *
 * Files and helpers of others that fail are a warning.  May run a helper, and so take long.
 * Return: 1, 0: there is none, negative.
 */
MUST_CHECK int credentials_find(const struct registry_options *options,
				const struct credentials_of *of, struct login *ret, char *from,
				struct err *err);

/* Files of others that hold logins, in order. */
enum foreign_file {
	FOREIGN_DOCKER,	     /* $DOCKER_CONFIG/config.json */
	FOREIGN_DOCKER_HOME, /* ~/.docker/config.json, if that is not set */
	FOREIGN_CONTAINERS,  /* $XDG_RUNTIME_DIR/containers/auth.json */
	FOREIGN_CONTAINERS_HOME,
	FOREIGN_FILE_MAX,
};

/* Its path, owned by the caller; NULL: there is no such place here. 0 or -ENOMEM. */
MUST_CHECK int foreign_file(const struct registry_options *options, enum foreign_file which,
			    char **ret_path);

#endif /* REGISTRY_CREDENTIALS_H */
