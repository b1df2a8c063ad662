/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_STATS_H
#define AGENT_STATS_H

#include "proto/request.h"

/*
 * The figures of the guest, from the texts of /proc.  What a text does not say stays 0.
 */
void stats_meminfo(const char *text, struct guest_stats *s);
/* @ticks: per second, of the CPU times */
void stats_cpu(const char *text, long ticks, struct guest_stats *s);
void stats_loadavg(const char *text, struct guest_stats *s);

/* For a worker: writes a struct guest_stats to @fd, but for what the agent itself counts. */
void stats_read(const void *arg, int fd);

#endif /* AGENT_STATS_H */
