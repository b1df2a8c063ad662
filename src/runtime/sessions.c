/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "proto/frame.h"
#include "proto/request.h"
#include "runtime/internal.h"

#define REQUEST_MAX 4096	/* bytes of a request's frame */
#define JSON_MAX    (16u << 20) /* bytes */

static int bad_answer(struct err *err)
{
	return err_set(err, ERR_PROTOCOL, "the agent of the guest broke the protocol");
}

int sandbox_ping(struct sandbox *sb, const struct call *call, char **ret_json, struct err *err)
{
	AUTO(buf_done) struct buf request = { .max = REQUEST_MAX };
	AUTO(buf_done) struct buf answer = { .max = FRAME_MAX_PAYLOAD };
	AUTO(buf_done) struct buf json = { .max = JSON_MAX };
	uint64_t start = clock_now_ns();
	struct json_out o;
	int r = frame_add(&request, FRAME_PING, 0, &start, sizeof(start));

	r = agent_call(sb, &request, r, FRAME_PONG, call, &answer, err);
	if (r < 0)
		return r;
	if (answer.len != sizeof(start) || memcmp(answer.data, &start, sizeof(start)) != 0)
		return bad_answer(err);
	json_out_init(&o, &json);
	json_put_object(&o, NULL);
	json_put_u64(&o, "round_trip_us", (clock_now_ns() - start) / 1000);
	json_put_end(&o);
	return json_out_end(&o) < 0 ? err_no_memory(err) : take_json(&json, ret_json, err);
}

static void put_stats(struct json_out *o, const struct guest_stats *s)
{
	json_put_object(o, NULL);
	json_put_u64(o, "uptime_ms", s->uptime_ns / NS_PER_MS);
	json_put_object(o, "memory");
	json_put_u64(o, "total_bytes", s->memory_total);
	json_put_u64(o, "available_bytes", s->memory_available);
	json_put_u64(o, "free_bytes", s->memory_free);
	json_put_u64(o, "swap_total_bytes", s->swap_total);
	json_put_u64(o, "swap_free_bytes", s->swap_free);
	json_put_end(o);
	json_put_object(o, "cpu");
	json_put_u64(o, "count", s->n_cpus);
	json_put_u64(o, "user_ns", s->cpu_user_ns);
	json_put_u64(o, "system_ns", s->cpu_system_ns);
	json_put_u64(o, "idle_ns", s->cpu_idle_ns);
	json_put_u64(o, "steal_ns", s->cpu_steal_ns);
	json_put_array(o, "load_milli");
	for (size_t i = 0; i < 3; i++)
		json_put_u64(o, NULL, s->load_milli[i]);
	json_put_end(o);
	json_put_end(o);
	json_put_object(o, "disk");
	json_put_u64(o, "total_bytes", s->disk_total);
	json_put_u64(o, "free_bytes", s->disk_free);
	json_put_u64(o, "available_bytes", s->disk_available);
	json_put_u64(o, "inodes_total", s->inodes_total);
	json_put_u64(o, "inodes_free", s->inodes_free);
	json_put_end(o);
	json_put_u64(o, "processes", s->n_processes);
	json_put_u64(o, "sessions", s->n_sessions);
	json_put_object(o, "agent");
	json_put_u64(o, "clients", s->n_clients);
	json_put_u64(o, "buffer_bytes", s->buffer_bytes);
	json_put_u64(o, "memory_bytes", s->agent_memory);
	json_put_u64(o, "fds", s->n_agent_fds);
	json_put_end(o);
	json_put_end(o);
}

int sandbox_stats(struct sandbox *sb, const struct call *call, char **ret_json, struct err *err)
{
	AUTO(buf_done) struct buf request = { .max = REQUEST_MAX };
	AUTO(buf_done) struct buf answer = { .max = FRAME_MAX_PAYLOAD };
	AUTO(buf_done) struct buf json = { .max = JSON_MAX };
	struct guest_stats stats;
	struct json_out o;
	int r = frame_add(&request, FRAME_STATS, 0, NULL, 0);

	r = agent_call(sb, &request, r, FRAME_STATS_REPLY, call, &answer, err);
	if (r < 0)
		return r;
	if (guest_stats_decode(answer.data, answer.len, &stats) < 0)
		return bad_answer(err);
	json_out_init(&o, &json);
	put_stats(&o, &stats);
	return json_out_end(&o) < 0 ? err_no_memory(err) : take_json(&json, ret_json, err);
}

static void put_session(struct json_out *o, const struct session_info *s)
{
	static const char *const phases[] = { "running", "ending", "ended" };
	static const char *const disconnects[] = { "kill", "hangup", "keep" };
	static_assert(sizeof(phases) / sizeof(phases[0]) == SESSION_PHASE_MAX, "names of phases");
	static_assert(sizeof(disconnects) / sizeof(disconnects[0]) == ON_DISCONNECT_MAX,
		      "names of on_disconnect");

	json_put_object(o, NULL);
	json_put_u64(o, "session", s->session);
	json_put_str(o, "state", phases[s->phase]);
	json_put_str(o, "command", s->command);
	json_put_u64(o, "pid", s->pid);
	json_put_bool(o, "main", s->main);
	json_put_bool(o, "tty", s->tty);
	json_put_bool(o, "input_taken", s->input_taken);
	json_put_u64(o, "clients", s->n_clients);
	json_put_str(o, "on_disconnect", disconnects[s->on_disconnect]);
	put_time(o, "started_at", s->started_ns);
	put_time(o, "ended_at", s->ended_ns);
	if (s->phase == PHASE_RUNNING) {
		json_put_null(o, "exit_code");
	} else {
		json_put_u64(o, "exit_code", s->code);
		json_put_u64(o, "signal", s->signal);
		json_put_bool(o, "timed_out", s->timed_out);
		json_put_bool(o, "oom", s->oom);
	}
	json_put_u64(o, "stdout_bytes", s->out_bytes);
	json_put_u64(o, "stdout_kept", s->out_kept);
	json_put_u64(o, "stderr_bytes", s->err_bytes);
	json_put_u64(o, "stderr_kept", s->err_kept);
	json_put_end(o);
}

int sandbox_sessions(struct sandbox *sb, const struct call *call, char **ret_json, struct err *err)
{
	AUTO(buf_done) struct buf request = { .max = REQUEST_MAX };
	AUTO(buf_done) struct buf answer = { .max = FRAME_MAX_PAYLOAD };
	AUTO(buf_done) struct buf json = { .max = JSON_MAX };
	struct session_list list;
	struct json_out o;
	int r = frame_add(&request, FRAME_SESSIONS, 0, NULL, 0);

	r = agent_call(sb, &request, r, FRAME_SESSION_LIST, call, &answer, err);
	if (r < 0)
		return r;
	r = session_list_decode(answer.data, answer.len, &list);
	if (r < 0)
		return r == -ENOMEM ? err_no_memory(err) : bad_answer(err);
	json_out_init(&o, &json);
	json_put_array(&o, NULL);
	for (size_t i = list.n_items; i > 0; i--) /* the agent has the newest first */
		put_session(&o, &list.items[i - 1]);
	json_put_end(&o);
	session_list_done(&list);
	return json_out_end(&o) < 0 ? err_no_memory(err) : take_json(&json, ret_json, err);
}

int sandbox_kill_session(struct sandbox *sb, const struct kill_request *kill,
			 const struct call *call, struct err *err)
{
	AUTO(buf_done) struct buf request = { .max = REQUEST_MAX };
	AUTO(buf_done) struct buf answer = { .max = FRAME_MAX_PAYLOAD };

	return agent_call(sb, &request, kill_request_encode(&request, kill), FRAME_DONE, call,
			  &answer, err);
}

int sandbox_signal(struct sandbox *sb, uint64_t session, unsigned signo, bool all,
		   const struct call *call, struct err *err)
{
	struct kill_request request = { .session = session,
					.signal = signo,
					.scope = all ? KILL_CGROUP : KILL_GROUP };

	if (signo < 1 || signo > 64)
		return err_set(err, ERR_INVALID, "there is no signal %u", signo);
	return sandbox_kill_session(sb, &request, call, err);
}

int sandbox_wait_port(struct sandbox *sb, uint16_t port, bool udp, const struct call *call,
		      struct err *err)
{
	struct wait_port_request wait = { .port = port,
					  .udp = udp,
					  .timeout_ms = WAIT_PORT_MS_MAX };
	struct call unlimited = { .cancel = call_cancel(call), .has_deadline = true };
	AUTO(buf_done) struct buf request = { .max = REQUEST_MAX };
	AUTO(buf_done) struct buf answer = { .max = FRAME_MAX_PAYLOAD };

	return agent_call(sb, &request, wait_port_request_encode(&request, &wait), FRAME_DONE,
			  &unlimited, &answer, err);
}
