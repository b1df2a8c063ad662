/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "sandbox/agent_channel.h"
#include "sandbox/control.h"

/* What a hostile agent, and a client of the control socket, can send. */
static void on_event(void *user)
{
}
static void on_progress(void *user, const char *stage)
{
}
static void on_failed(void *user, const struct failure *why)
{
}
static void on_session(void *user, const struct session_event *event)
{
}
static void on_lost(void *user, const char *why)
{
	loop_stop(user);
}

static const struct agent_events events = { on_event,	on_progress, on_event, on_failed,
					    on_session, on_event,    on_lost };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_request request;
	struct loop *loop = NULL;
	struct agent_channel *c = NULL;
	size_t used;
	int fd;

	if (control_parse(data, size, &request, &used) > 0 && used > size)
		abort();
	if (size > 65536 || loop_new(&loop) < 0 ||
	    agent_channel_new(loop, io_memfd("boot", "b", 1), &events, loop, &c) < 0)
		goto out;
	fd = agent_channel_accept(c);
	if (fd < 0)
		abort();
	if (send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 && shutdown(fd, SHUT_WR) == 0 &&
	    loop_run(loop) < 0)
		abort();
	(void)close(fd);
out:
	agent_channel_free(c);
	loop_free(loop);
	return 0;
}
