/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_USERS_H
#define AGENT_USERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* Who a program runs as, from the guest's /etc/passwd and /etc/group. */
#define USER_GROUPS_MAX 64   /* supplementary; more are left off */
#define USER_TEXT_MAX	4096 /* bytes of a home folder */

struct user {
	uid_t uid;
	gid_t gid;
	gid_t groups[USER_GROUPS_MAX];
	size_t n_groups;
	char name[256]; /* the number if the guest has no name for it */
	char home[USER_TEXT_MAX];
};

/**
 * user_find() - Look up "name", "uid", "name:group" or "uid:gid"
 * @passwd, @group: Content of the files; may be empty
 * Return: 0, -ENOENT for a name that is not there. A number without an entry is fine.
 */
MUST_CHECK int user_find(const char *spec, const char *passwd, size_t passwd_len, const char *group,
			 size_t group_len, struct user *ret);

/* The same with the files of this root. Blocks: for the child of a session. */
MUST_CHECK int user_load(const char *spec, struct user *ret);

#endif /* AGENT_USERS_H */
