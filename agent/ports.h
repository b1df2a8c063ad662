/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_PORTS_H
#define AGENT_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * ports_find() - Look for a port in the kernel's list of sockets
 * @text:	Content of /proc/net/tcp, tcp6, udp or udp6
 * @udp:	Any socket of the port counts; with TCP only one that listens
 */
bool ports_find(const char *text, size_t len, uint16_t port, bool udp);

/*
 * For a worker: wait until a port of the guest is taken, as the struct wait_port_request at @arg
 * says, or until the pipe @fd has no reader.  Writes an int: 0, -ETIMEDOUT, -errno.
 */
void ports_wait(const void *arg, int fd);

#endif /* AGENT_PORTS_H */
