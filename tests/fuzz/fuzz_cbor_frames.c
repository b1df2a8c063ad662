/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a stream of frames, as either end reads them. */
#include <stdint.h>
#include <stdlib.h>

#include "proto/agent.h"
#include "proto/cbor.h"
#include "proto/file.h"
#include "proto/frame.h"
#include "proto/launch.h"
#include "proto/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read must be written as it was read, but for keys that nobody knows. */
static void again(const struct exec_request *x)
{
	AUTO(buf_done) struct buf b = { .max = FRAME_HEADER + FRAME_MAX_PAYLOAD };
	struct exec_request y;
	struct frame f;

	if (exec_request_encode(&b, x) < 0 || frame_next(b.data, b.len, &f) <= 0 ||
	    exec_request_decode(f.payload, f.len, &y) < 0 || y.argv.n != x->argv.n)
		abort();
	exec_request_done(&y);
}

static int decode_control(const struct frame *f)
{
	struct hello hello;
	struct proto_error error;
	struct failure failure;
	struct session_event event;
	struct shutdown_request shutdown;
	char stage[PROGRESS_STAGE_MAX];

	switch (f->type) {
	case FRAME_HELLO:
		return hello_decode(f->payload, f->len, &hello);
	case FRAME_ERROR:
		return proto_error_decode(f->payload, f->len, &error);
	case FRAME_PROGRESS:
		return progress_decode(f->payload, f->len, stage);
	case FRAME_BOOT_FAILED:
	case FRAME_FAILED:
	case FRAME_LAUNCH_FAILED:
		return failure_decode(f->payload, f->len, &failure);
	case FRAME_SESSION:
		return session_event_decode(f->payload, f->len, &event);
	case FRAME_SHUTDOWN:
		return shutdown_request_decode(f->payload, f->len, &shutdown);
	default:
		return 1;
	}
}

static int decode_exec(const struct frame *f)
{
	struct boot_spec boot;
	struct exec_request exec;
	struct exec_started started;
	struct exec_exited exited;
	struct tty_size size;
	uint32_t signal;
	int r;

	switch (f->type) {
	case FRAME_BOOT:
		r = boot_spec_decode(f->payload, f->len, &boot);
		boot_spec_done(&boot);
		return r;
	case FRAME_OPEN_EXEC:
		r = exec_request_decode(f->payload, f->len, &exec);
		if (r >= 0)
			again(&exec);
		exec_request_done(&exec);
		return r;
	case FRAME_STARTED:
		return exec_started_decode(f->payload, f->len, &started);
	case FRAME_EXITED:
		return exec_exited_decode(f->payload, f->len, &exited);
	case FRAME_RESIZE:
		return tty_size_decode(f->payload, f->len, &size);
	case FRAME_SIGNAL:
		return signal_decode(f->payload, f->len, &signal);
	default:
		return 1;
	}
}

/* Of all that a client may send, and what it is answered. */
static int decode_request(const struct frame *f)
{
	struct attach_request attach;
	struct output_gap gap;
	struct stdin_taken taken;
	struct tcp_request tcp;
	struct requests_open open;
	struct session_list list;
	struct guest_stats stats;
	struct kill_request kill;
	struct drain_request drain;
	struct clock_request clock;
	struct wait_port_request port;
	int r;

	switch (f->type) {
	case FRAME_OPEN_ATTACH:
		return attach_request_decode(f->payload, f->len, &attach);
	case FRAME_GAP:
		return output_gap_decode(f->payload, f->len, &gap);
	case FRAME_STDIN_TAKEN:
		return stdin_taken_decode(f->payload, f->len, &taken);
	case FRAME_OPEN_TCP:
		return tcp_request_decode(f->payload, f->len, &tcp);
	case FRAME_OPEN_REQUESTS:
		return requests_open_decode(f->payload, f->len, &open);
	case FRAME_SESSION_LIST:
		r = session_list_decode(f->payload, f->len, &list);
		session_list_done(&list);
		return r;
	case FRAME_STATS_REPLY:
		return guest_stats_decode(f->payload, f->len, &stats);
	case FRAME_KILL:
		return kill_request_decode(f->payload, f->len, &kill);
	case FRAME_DRAIN:
		return drain_request_decode(f->payload, f->len, &drain);
	case FRAME_CLOCK:
		return clock_request_decode(f->payload, f->len, &clock);
	case FRAME_WAIT_PORT:
		return wait_port_request_decode(f->payload, f->len, &port);
	default:
		return 1;
	}
}

static int decode_file(const struct frame *f)
{
	struct file_request request;
	struct file_entry entry;
	struct file_warning warning;
	int r;

	switch (f->type) {
	case FRAME_OPEN_FILE:
		r = file_request_decode(f->payload, f->len, &request);
		if (r == 0 && *request.path != '/')
			abort();
		file_request_done(&request);
		return r;
	case FRAME_FILE_ENTRY:
		return file_entry_decode(f->payload, f->len, &entry);
	case FRAME_FILE_WARNING:
		return file_warning_decode(f->payload, f->len, &warning);
	default:
		return 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame f;
	int64_t n;

	while ((n = frame_next(data, size, &f)) > 0) {
		struct launch_progress progress;
		struct stop_request stop;
		struct cbor c = cbor_over(f.payload, f.len);

		while (cbor_skip(&c) == 0)
			;
		if (decode_control(&f) > 0 && decode_exec(&f) > 0 && decode_request(&f) > 0 &&
		    decode_file(&f) > 0) {
			IGNORE_RESULT(launch_progress_decode(f.payload, f.len, &progress));
			IGNORE_RESULT(stop_request_decode(f.payload, f.len, &stop));
		}
		data += n;
		size -= (size_t)n;
	}
	return 0;
}
