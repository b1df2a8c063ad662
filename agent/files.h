/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_FILES_H
#define AGENT_FILES_H

#include "client.h"

/* FRAME_OPEN_FILE: do what it asks for, in a process of its own, which talks to the client itself. */
void files_open(struct client *c, const struct frame *f);

#endif /* AGENT_FILES_H */
