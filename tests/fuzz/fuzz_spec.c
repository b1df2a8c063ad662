/* SPDX-License-Identifier: Apache-2.0 */
/* A sandbox spec, and the same text as an exec request: a normal form must be its own. */
#include <assert.h>
#include <string.h>

#include "runtime/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_request(const uint8_t *data, size_t size)
{
	const struct str_list none = { 0 };
	const struct exec_defaults defaults = { .entrypoint = &none,
						.cmd = &none,
						.shell = "/bin/sh" };
	struct exec_request req = { 0 };
	struct err err = ERR_INIT;
	AUTO_FREE char *text = calloc(1, size + 1);

	if (!text)
		return;
	memcpy(text, data, size);
	if (exec_parse(text, &defaults, &req, NULL, &err) == 0)
		exec_request_done(&req);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(spec_done) struct spec spec = { 0 };
	AUTO(spec_done) struct spec again = { 0 };
	AUTO_FREE char *normal = NULL;
	AUTO_FREE char *second = NULL;
	struct err err = ERR_INIT;

	if (size > 0)
		one_request(data, size);
	if (spec_parse(data, size, NULL, &spec, &err) < 0)
		return 0;
	assert(spec_normal(&spec, &normal, &err) == 0);
	assert(spec_parse(normal, strlen(normal), NULL, &again, &err) == 0);
	assert(spec_normal(&again, &second, &err) == 0);
	assert(strcmp(normal, second) == 0);
	return 0;
}
