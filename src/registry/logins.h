/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_LOGINS_H
#define REGISTRY_LOGINS_H

/* In MSB_HOME, in the form of docker_config.h, 0600. registry.h has the functions. */
#define LOGINS_FILE "auth.json"

#endif /* REGISTRY_LOGINS_H */
