/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_COMMON_H
#define CLI_COMMON_H

#include <microsandbox.h>

#include "base/buf.h"
#include "cli/command.h"
#include "json/json.h"

/* What several commands do. Negative results have *err set. */

/* Fill *err: code MSB_E_*, one sentence. Returns -code. */
int common_error(struct msb_error *err, int32_t code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Index of @value in @choices (NULL-terminated); 0 for NULL; an error suggests the nearest. */
int common_choice(const char *option, const char *value, const char *const *choices,
		  struct msb_error *err);

/* From @min to @max arguments, and nothing behind "--"; @what names them in the error. */
int common_arguments(const struct opt_rest *rest, int min, int max, const char *what,
		     struct msb_error *err);
int common_no_arguments(const struct opt_rest *rest, struct msb_error *err);

/* The home directory that the global options name; @engine may be NULL. msb_close() it. */
int common_open(const struct cli *cli, const char *engine, struct msb **ret_m,
		struct msb_error *err);

/* Ask on the terminal: 1 = yes, 0 = no. Without a terminal an error that names --yes. */
int common_confirm(const char *question, struct msb_error *err);

/* A remark about images that went to make room, from the "removed" of a load or pull. */
int common_removed(const struct json_at *result, struct msb_error *err);

/* Close @o and give its text, borrowed from @b. */
int common_json(struct json_out *o, struct buf *b, const char **ret_text, struct msb_error *err);

/* The @n items of an array, one on a line. */
int common_jsonl(const struct json_at *array, size_t n, struct msb_error *err);

#define COMMON_JSON_MAX (16u << 20) /* bytes of any JSON that a command builds or reads */

DEFINE_AUTO(struct msb *, msb_close);
DEFINE_AUTO(struct msb_sandbox *, msb_sandbox_close);
DEFINE_AUTO(struct msb_stream *, msb_stream_close);
static inline void msb_free_auto(void *p)
{
	msb_free(*(void **)p);
}

#endif /* CLI_COMMON_H */
