/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_LOG_QUEUE_H
#define SANDBOX_LOG_QUEUE_H

#include "base/err.h"
#include "logs/format.h"

/*
 * What goes into the logs, on its way to the disk: a queue and a thread that writes.  Nothing here
 * waits for the disk: what finds the queue full, or the disk, is dropped and counted, and the log says
 * how many bytes are missing.
 */
struct log_queue;

enum log_name { LOG_OUT, LOG_CONSOLE, LOG_NAME_MAX };

#define LOG_QUEUE_BYTES (1u << 20) /* of records that wait, headers included */

/* Begins a boot in the logs of the folder @dir (borrowed). 0 or -errno. */
MUST_CHECK int log_queue_new(int dir, struct log_queue **ret_queue);
/* Write what waits, end the thread. NULL is fine. */
void log_queue_free(struct log_queue *q);
/* Wait until all that was put is in the files, or lost. */
void log_queue_flush(struct log_queue *q);
/* @r is copied; its boot is of no matter. One thread. */
void log_queue_put(struct log_queue *q, enum log_name log, const struct log_record *r);

#endif /* SANDBOX_LOG_QUEUE_H */
