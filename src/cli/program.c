/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "cli/common.h"
#include "cli/tty.h"

#undef getenv /* TERM describes the terminal that the program gets */

int program_check(const struct program_opts *o, struct keys *ret_keys, struct msb_error *err)
{
	const char *text = o->detach_keys ? o->detach_keys : KEYS_DEFAULT;
	struct keys keys;

	if (o->tty && o->no_tty)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "--tty and --no-tty exclude each other");
	if (keys_parse(text, &keys) < 0)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "--detach-keys: '%s' are no keys; write ctrl-p,ctrl-q or x",
				    text);
	if (ret_keys)
		*ret_keys = keys;
	return 0;
}

bool program_tty(const struct program_opts *o)
{
	return o->tty || (!o->no_tty && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO));
}

void program_put(struct json_out *j, const struct program_opts *o, bool tty, bool detached)
{
	const char *term = getenv("TERM");
	bool input = detached ? o->interactive : !o->no_stdin;
	int rows, cols;

	json_put_str(j, "stdin", input ? "pipe" : "null");
	if (tty) {
		tty_size(&rows, &cols);
		json_put_object(j, "tty");
		json_put_i64(j, "rows", rows);
		json_put_i64(j, "cols", cols);
		if (term)
			json_put_str(j, "term", term);
		json_put_end(j);
	}
	if (o->timeout_ms)
		json_put_u64(j, "timeout_ms", o->timeout_ms);
	if (o->kill_after_ms)
		json_put_u64(j, "kill_after_ms", o->kill_after_ms);
}

void program_put_words(struct json_out *j, const char *key, char *const *words, int n)
{
	json_put_array(j, key);
	for (int i = 0; i < n; i++)
		json_put_str(j, NULL, words[i]);
	json_put_end(j);
}

int program_leave(struct pump *pump, uint64_t *ret_session, struct msb_error *err)
{
	struct pump_end end = { 0 };
	int r;

	pump->leave = true;
	pump->stdin_open = false;
	r = pump_run(pump, &end, err);
	if (r < 0 || !end.started)
		return r < 0 ? r : end.code;
	*ret_session = end.session;
	return 0;
}

static int result_json(int code, const struct pump_end *end, uint64_t start_ns, struct buf *b,
		       const char **ret_text, struct msb_error *err)
{
	struct json_out o;

	json_out_init(&o, b);
	json_put_object(&o, NULL);
	json_put_str(&o, "source", end->exited && !end->detached ? "guest" : "msb");
	json_put_i64(&o, "code", code);
	if (end->signal)
		json_put_i64(&o, "signal", end->signal);
	else
		json_put_null(&o, "signal");
	json_put_bool(&o, "timed_out", end->timed_out);
	json_put_bool(&o, "oom", end->oom);
	json_put_u64(&o, "duration_ms", (clock_now_ns() - start_ns) / NS_PER_MS);
	if (end->session)
		json_put_u64(&o, "session", end->session);
	else
		json_put_null(&o, "session");
	json_put_end(&o);
	return common_json(&o, b, ret_text, err);
}

int program_result(const struct program_opts *o, int code, const struct pump_end *end,
		   uint64_t start_ns, struct msb_error *err)
{
	AUTO(buf_done) struct buf b;
	AUTO_CLOSE int fd = -1;
	struct msb_error failed;
	const char *text = NULL;
	int r;

	if (!o->result)
		return code;
	buf_init(&b, COMMON_JSON_MAX);
	r = result_json(code < 0 ? EXIT_MSB_FAILED : code, end, start_ns, &b, &text, &failed);
	if (r >= 0) {
		fd = open(o->result, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		r = fd < 0 ? -errno : io_write_full(fd, text, b.len);
		if (r < 0)
			r = common_error(&failed, MSB_E_IO, "--result: cannot write '%s': %s",
					 o->result, strerrordesc_np(-r));
	}
	if (r >= 0 || code < 0)
		return code; /* the first failure is told */
	*err = failed;
	return r;
}
