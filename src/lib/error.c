/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/internal.h"

#define SAME(internal, public)                                                                     \
	static_assert((int)(internal) == (int)(public), "base/err.h and <microsandbox.h> differ")
SAME(ERR_NR_NO_DEFAULT_COMMAND, MSB_E_NO_DEFAULT_COMMAND);
SAME(ERR_NR_SANDBOX_NOT_FOUND, MSB_E_SANDBOX_NOT_FOUND);
SAME(ERR_NR_IMAGE_NOT_FOUND, MSB_E_IMAGE_NOT_FOUND);
SAME(ERR_NR_PATH_NOT_FOUND, MSB_E_PATH_NOT_FOUND);
SAME(ERR_NR_SANDBOX_EXISTS, MSB_E_SANDBOX_ALREADY_EXISTS);
SAME(ERR_NR_PATH_EXISTS, MSB_E_PATH_EXISTS);
SAME(ERR_NR_PATH_DENIED, MSB_E_PATH_DENIED);
SAME(ERR_NR_FS, MSB_E_FS);
SAME(ERR_NR_REGISTRY_AUTH, MSB_E_REGISTRY_AUTH);
SAME(ERR_NR_BUSY, MSB_E_BUSY);
SAME(ERR_NR_STILL_RUNNING, MSB_E_SANDBOX_STILL_RUNNING);
SAME(ERR_NR_NOT_RUNNING, MSB_E_SANDBOX_NOT_RUNNING);
SAME(ERR_NR_DRAINING, MSB_E_SANDBOX_DRAINING);
SAME(ERR_NR_IMAGE_IN_USE, MSB_E_IMAGE_IN_USE);
SAME(ERR_NR_NO_ENGINE, MSB_E_NO_ENGINE);
SAME(ERR_NR_NO_MEMORY, MSB_E_NO_MEMORY);
SAME(ERR_NR_NO_SPACE, MSB_E_NO_SPACE);
SAME(ERR_NR_BOOT_FAILED, MSB_E_BOOT_FAILED);
SAME(ERR_NR_NOT_INSTALLED, MSB_E_NOT_INSTALLED);
SAME(ERR_NR_UNREACHABLE, MSB_E_UNREACHABLE);
SAME(ERR_NR_PROTOCOL, MSB_E_PROTOCOL);
SAME(ERR_NR_IMAGE, MSB_E_IMAGE);
SAME(ERR_NR_LOG_GAP, MSB_E_LOG_GAP);
SAME(ERR_NR_IO, MSB_E_IO);
SAME(ERR_NR_DATABASE, MSB_E_DATABASE);
SAME(ERR_NR_EXEC_TIMEOUT, MSB_E_EXEC_TIMEOUT);
SAME(ERR_NR_OUTPUT_LIMIT, MSB_E_OUTPUT_LIMIT);
SAME(ERR_NR_EXEC_FAILED, MSB_E_EXEC_FAILED);
SAME(ERR_NR_EXEC_LOST, MSB_E_EXEC_LOST);

static const int32_t numbers[] = {
	[ERR_NONE] = 0,
	[ERR_INTERNAL] = MSB_E_INTERNAL,
	[ERR_INVALID] = MSB_E_INVALID_CONFIG,
	[ERR_NOT_FOUND] = MSB_E_NOT_FOUND,
	[ERR_EXISTS] = MSB_E_ALREADY_EXISTS,
	[ERR_DENIED] = MSB_E_DENIED,
	[ERR_BUSY] = MSB_E_BUSY,
	[ERR_TIMEOUT] = MSB_E_TIMEOUT,
	[ERR_UNAVAILABLE] = MSB_E_UNAVAILABLE,
	[ERR_PROTOCOL] = MSB_E_PROTOCOL,
	[ERR_IO] = MSB_E_IO,
	[ERR_CANCELLED] = MSB_E_CANCELLED,
};
static_assert(sizeof(numbers) / sizeof(numbers[0]) == ERR_CODE_MAX,
	      "numbers[] does not match enum err_code");

const char *msb_code_name(int32_t code)
{
	static const struct {
		int32_t code;
		const char *name;
	} names[] = {
		{ MSB_E_INTERNAL, "internal" },
		{ MSB_E_INVALID_CONFIG, "invalid-config" },
		{ MSB_E_NO_DEFAULT_COMMAND, "no-default-command" },
		{ MSB_E_NOT_FOUND, "not-found" },
		{ MSB_E_SANDBOX_NOT_FOUND, "sandbox-not-found" },
		{ MSB_E_IMAGE_NOT_FOUND, "image-not-found" },
		{ MSB_E_PATH_NOT_FOUND, "path-not-found" },
		{ MSB_E_ALREADY_EXISTS, "already-exists" },
		{ MSB_E_SANDBOX_ALREADY_EXISTS, "sandbox-already-exists" },
		{ MSB_E_PATH_EXISTS, "path-exists" },
		{ MSB_E_DENIED, "denied" },
		{ MSB_E_REGISTRY_AUTH, "registry-auth" },
		{ MSB_E_PATH_DENIED, "path-denied" },
		{ MSB_E_BUSY, "busy" },
		{ MSB_E_SANDBOX_STILL_RUNNING, "sandbox-still-running" },
		{ MSB_E_SANDBOX_NOT_RUNNING, "sandbox-not-running" },
		{ MSB_E_SANDBOX_DRAINING, "sandbox-draining" },
		{ MSB_E_IMAGE_IN_USE, "image-in-use" },
		{ MSB_E_TIMEOUT, "timeout" },
		{ MSB_E_EXEC_TIMEOUT, "exec-timeout" },
		{ MSB_E_UNAVAILABLE, "unavailable" },
		{ MSB_E_NO_ENGINE, "no-engine" },
		{ MSB_E_NO_MEMORY, "no-memory" },
		{ MSB_E_NO_SPACE, "no-space" },
		{ MSB_E_BOOT_FAILED, "boot-failed" },
		{ MSB_E_NOT_INSTALLED, "not-installed" },
		{ MSB_E_UNREACHABLE, "unreachable" },
		{ MSB_E_PROTOCOL, "protocol" },
		{ MSB_E_IMAGE, "image" },
		{ MSB_E_LOG_GAP, "log-gap" },
		{ MSB_E_IO, "io" },
		{ MSB_E_DATABASE, "database" },
		{ MSB_E_FS, "fs" },
		{ MSB_E_CANCELLED, "cancelled" },
		{ MSB_E_EXEC_FAILED, "exec-failed" },
		{ MSB_E_OUTPUT_LIMIT, "output-limit" },
		{ MSB_E_EXEC_LOST, "exec-lost" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].code == code)
			return names[i].name;
	return "unknown";
}

static int32_t number_of(const struct err *err)
{
	if (err->number != ERR_NR_NONE)
		return (int32_t)err->number;
	if (err->sys == ENOSPC || err->sys == EDQUOT)
		return MSB_E_NO_SPACE;
	if (err->sys == ENOMEM)
		return MSB_E_NO_MEMORY;
	return numbers[err->code];
}

/* Cut, but never inside a UTF-8 character. */
static void copy_cut(char *out, size_t size, const char *text)
{
	size_t len = strnlen(text, size - 1);

	if (text[len])
		while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	memcpy(out, text, len);
	out[len] = '\0';
}

int error_out(const struct err *err, struct msb_error *out)
{
	int32_t number = number_of(err);

	if (!out)
		return -number;
	*out = (struct msb_error){ .code = number, .sys = err->sys };
	copy_cut(out->stage, sizeof(out->stage), err->stage);
	copy_cut(out->reason, sizeof(out->reason), err->reason);
	copy_cut(out->subject, sizeof(out->subject), err->subject);
	copy_cut(out->message, sizeof(out->message), err->msg);
	return -number;
}

int error_argument(const char *name, struct msb_error *out)
{
	struct err err = ERR_INIT;

	err_set(&err, ERR_INVALID, "argument '%s' is missing", name);
	return error_out(&err, out);
}
