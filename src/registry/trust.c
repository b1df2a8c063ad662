/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/dir.h"
#include "base/log.h"
#include "registry/endpoint.h"
#include "registry/file.h"

#define CA_FILE_MAX (4ul * 1024 * 1024)	 /* bytes of one */
#define CA_ALL_MAX  (16ul * 1024 * 1024) /* bytes with those of the system */
#define PEM_BEGIN   "-----BEGIN CERTIFICATE-----"

/* Add a file of certificates. -EINVAL: there is none in it. */
static int add_ca(struct buf *ca, int dir_fd, const char *path)
{
	AUTO(buf_done) struct buf text = { 0 };
	int r = small_file_read(dir_fd, path, CA_FILE_MAX, &text);

	if (r < 0)
		return r;
	if (!memmem(text.data, text.len, PEM_BEGIN, strlen(PEM_BEGIN)))
		return -EINVAL;
	r = buf_add(ca, text.data, text.len);
	return r < 0 ? r : buf_add_u8(ca, '\n');
}

static int add_named_ca(struct endpoint *e, const char *path, struct err *err)
{
	int r = path ? add_ca(&e->ca, AT_FDCWD, path) : 0;

	if (r == -EINVAL)
		return err_set(err, ERR_INVALID, "'%s' holds no certificate in PEM form", path);
	return r < 0 ? err_sys(err, -r, "certificates for %s: read '%s'", e->name, path) : 0;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && strcmp(name + n - m, suffix) == 0;
}

static int set_client(struct endpoint *e, const char *cert, const char *key)
{
	e->client_cert = strdup(cert);
	e->client_key = strdup(key);
	return e->client_cert && e->client_key ? 0 : -ENOMEM;
}

/* NAME.cert goes with NAME.key; the first that is found is taken. */
static int add_client(struct endpoint *e, const char *dir, const char *cert)
{
	AUTO_FREE char *cert_path = NULL;
	AUTO_FREE char *key_path = NULL;

	if (e->client_cert)
		return 0;
	if (asprintf(&cert_path, "%s/%s", dir, cert) < 0) {
		cert_path = NULL;
		return -ENOMEM;
	}
	if (asprintf(&key_path, "%.*skey", (int)(strlen(cert_path) - strlen("cert")), cert_path) <
	    0) {
		key_path = NULL;
		return -ENOMEM;
	}
	return set_client(e, cert_path, key_path);
}

/*
 * certs.d/HOST as Docker has it: *.crt are authorities, *.cert and *.key clients.  A file of
 * others that cannot be used is a warning.
 */
static int add_certs_d(struct endpoint *e, const char *etc, const char *who)
{
	AUTO(closedir) DIR *dir = NULL;
	AUTO_FREE char *path = NULL;
	struct dirent *entry;
	int r;

	if (asprintf(&path, "%s/%s/certs.d/%s", etc, who, e->name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = dir_open(AT_FDCWD, path, &dir);
	if (r < 0)
		return r == -ENOMEM ? r : 0; /* not there, or not for us */
	while ((entry = readdir(dir))) {
		r = 0;
		if (has_suffix(entry->d_name, ".crt"))
			r = add_ca(&e->ca, dirfd(dir), entry->d_name);
		else if (has_suffix(entry->d_name, ".cert"))
			r = add_client(e, path, entry->d_name);
		if (r == -ENOMEM)
			return r;
		if (r < 0)
			log_warn("%s/%s is no file of certificates", path, entry->d_name);
	}
	return 0;
}

int trust_load(struct endpoint *e, const struct registry_options *options, const struct http *http,
	       const struct registry_host *config, const char *etc, struct err *err)
{
	static const char *const who[] = { "containers", "docker" };
	int r;

	buf_init(&e->ca, CA_ALL_MAX);
	r = add_named_ca(e, options->ca_file, err);
	if (r == 0 && config)
		r = add_named_ca(e, config->ca_file, err);
	if (r < 0)
		return r;
	if (config && config->client_cert &&
	    set_client(e, config->client_cert,
		       config->client_key ? config->client_key : config->client_cert) < 0)
		return err_no_memory(err);
	for (size_t i = 0; i < sizeof(who) / sizeof(who[0]); i++) {
		if (add_certs_d(e, etc, who[i]) < 0)
			return err_no_memory(err);
	}
	e->tls.client_cert = e->client_cert;
	e->tls.client_key = e->client_key;
	if (e->ca.len == 0)
		return 0;
	e->tls.own_ca = &e->ca;
	return http_add_system_ca(http, &e->ca) < 0 ? err_no_memory(err) : 0;
}
