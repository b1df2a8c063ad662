/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is a file of logins, the answer of a helper, and that of a token server.  Nothing of it
 * is left in the buffer, and what is taken fits into a header.
 */
#include <assert.h>
#include <string.h>

#include "registry/docker_config.h"
#include "registry/helper.h"
#include "registry/host_key.h"
#include "registry/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text)
{
	for (; text && *text; text++)
		assert((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static int on_entry(void *user, const char *host, const char *name, const char *helper)
{
	check(name);
	assert(!helper || helper_name_valid(helper));
	assert(host || helper);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(docker_config_done) struct docker_config c = { 0 };
	AUTO(login_done) struct login l = { 0 };
	AUTO_FREE char *text = strndup((const char *)data, size);
	AUTO_FREE char *clean = NULL;
	char *copy = malloc(size + 1);
	struct token t = { 0 };
	struct err err = ERR_INIT;

	assert(copy && text);
	(void)host_key_fits(text, "docker.io", "library/x");
	clean = host_key_clean(text);
	assert(clean);
	memcpy(copy, data, size);
	if (docker_config_find("f", copy, size, "r.io", "a/b", &c, &err) == 0) {
		check(c.login.user);
		check(c.login.password);
		check(c.login.identity_token);
		check(c.login.bearer_token);
		assert(!c.helper || helper_name_valid(c.helper));
		assert(!c.store || helper_name_valid(c.store));
	}
	memcpy(copy, data, size);
	IGNORE_RESULT(docker_config_list("f", copy, size, on_entry, NULL, &err)); /* any answer */
	memcpy(copy, data, size);
	IGNORE_RESULT(helper_parse("h", copy, size, &l, &err)); /* any answer */
	check(l.password);
	memcpy(copy, data, size);
	if (token_parse("t", copy, size, &t, &err) == 0)
		check(t.text);
	for (size_t i = 0; i < size; i++)
		assert(copy[i] == 0);
	secret_free(t.text);
	free(copy);
	return 0;
}
