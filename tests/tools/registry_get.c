/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_get [OPTION...] HOST REPOSITORY manifest REFERENCE
 *                                          blob DIGEST SIZE [FROM]
 *                                          threads DIGEST SIZE
 * registry_get [OPTION...] HOST check|store USER SECRET
 * registry_get [OPTION...] HOST forget
 * registry_get [OPTION...] list
 *
 * The registry client without a program around it, for tests.  Content goes to standard output;
 * what is known of it, pauses, and a failure as "error REASON NUMBER STAGE: MESSAGE" go to
 * standard error.  SIGUSR1 cancels.
 */
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/num.h"
#include "registry/registry.h"

#define MAX_HOSTS   4
#define MAX_MIRRORS 8
#define N_THREADS   4

static struct cancel *cancel;

static void on_signal(int sig)
{
	cancel_fire(cancel);
}

struct setup {
	struct registry_options options;
	struct registry_host hosts[MAX_HOSTS];
	char *mirrors[MAX_HOSTS][MAX_MIRRORS + 1];
	struct registry_times times;
};

/* NAME=MS */
static int set_time(struct registry_times *t, char *text)
{
	const struct {
		const char *name;
		uint64_t *field;
	} names[] = {
		{ "connect", &t->connect_ms },
		{ "stall", &t->stall_ms },
		{ "retry", &t->retry_ms },
		{ "retry_max", &t->retry_max_ms },
		{ "after_max", &t->retry_after_max_ms },
		{ "helper", &t->helper_ms },
	};
	char *value = strchr(text, '=');

	if (!value)
		return -EINVAL;
	*value++ = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i].name, text) == 0)
			return parse_u64(value, INT64_MAX, names[i].field);
	}
	return -EINVAL;
}

/* KEY=VALUE of the host that --host named last */
static int set_host(struct setup *s, char *text)
{
	size_t index = s->options.n_hosts - 1, n = 0;
	struct registry_host *h = &s->hosts[index];
	const struct {
		const char *name;
		char **field;
	} names[] = {
		{ "ca_file", &h->ca_file },
		{ "client_cert", &h->client_cert },
		{ "client_key", &h->client_key },
		{ "user", &h->user },
		{ "password_file", &h->password_file },
	};
	char *value = strchr(text, '=');

	if (s->options.n_hosts == 0 || !value)
		return -EINVAL;
	*value++ = '\0';
	if (strcmp(text, "insecure") == 0)
		h->insecure = true;
	if (strcmp(text, "mirror") == 0) {
		while (s->mirrors[index][n])
			n++;
		s->mirrors[index][n] = value;
		h->mirrors = s->mirrors[index];
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i].name, text) == 0)
			*names[i].field = value;
	}
	return 0;
}

static int parse(struct setup *s, int argc, char **argv)
{
	enum {
		USER = 1,
		SECRET,
		CA,
		INSECURE,
		HOME,
		USER_DIR,
		DOCKER,
		RUNTIME,
		PATH,
		TIME,
		HOST,
		SET
	};
	static const struct option table[] = {
		{ "user", 1, NULL, USER },
		{ "secret", 1, NULL, SECRET },
		{ "ca-cert", 1, NULL, CA },
		{ "insecure", 0, NULL, INSECURE },
		{ "home", 1, NULL, HOME },
		{ "user-dir", 1, NULL, USER_DIR },
		{ "docker", 1, NULL, DOCKER },
		{ "runtime", 1, NULL, RUNTIME },
		{ "path", 1, NULL, PATH },
		{ "time", 1, NULL, TIME },
		{ "host", 1, NULL, HOST },
		{ "set", 1, NULL, SET },
		{ NULL },
	};
	struct registry_options *o = &s->options;
	int c, r = 0;

	while (r == 0 && (c = getopt_long(argc, argv, "+", table, NULL)) != -1) {
		if (c == USER)
			o->user = optarg;
		else if (c == SECRET)
			o->secret = optarg;
		else if (c == CA)
			o->ca_file = optarg;
		else if (c == INSECURE)
			o->insecure = true;
		else if (c == HOME)
			o->home_fd = open(optarg, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		else if (c == USER_DIR)
			o->user_dir = optarg;
		else if (c == DOCKER)
			o->docker_config = optarg;
		else if (c == RUNTIME)
			o->runtime_dir = optarg;
		else if (c == PATH)
			o->path = optarg;
		else if (c == TIME)
			r = set_time(&s->times, optarg);
		else if (c == HOST)
			s->hosts[o->n_hosts++].host = optarg;
		else if (c == SET)
			r = set_host(s, optarg);
		else
			r = -EINVAL;
	}
	return r;
}

static int on_data(void *user, const uint8_t *data, size_t len, struct err *err)
{
	int r = io_write_full(1, data, len);

	return r < 0 ? err_sys(err, -r, "standard output") : 0;
}

static void on_retry(void *user, const char *why, uint64_t wait_ms)
{
	fprintf(stderr, "retry %llu %s\n", (unsigned long long)wait_ms, why);
}

static int manifest(struct registry *r, char **args, struct err *err)
{
	AUTO(buf_done) struct buf body = { 0 };
	AUTO_FREE char *type = NULL;

	if (registry_manifest(r, args[0], 4096, &body, &type, err) < 0)
		return -1;
	fprintf(stderr, "type %s\nsource %s\n", type, registry_source(r));
	if (args[1] && strcmp(args[1], "lie") == 0) { /* what came is called a lie, once */
		fprintf(stderr, "distrust %d\n", registry_distrust(r));
		args[1] = NULL;
		return manifest(r, args, err);
	}
	return on_data(NULL, body.data, body.len, err);
}

static int blob(struct registry *r, char **args, struct err *err)
{
	struct registry_sink sink = { .data = on_data, .retry = on_retry };
	uint64_t size, from = 0;
	int res;

	if (!args[1] || parse_u64(args[1], INT64_MAX, &size) < 0 ||
	    (args[2] && parse_u64(args[2], INT64_MAX, &from) < 0))
		return err_set(err, ERR_INVALID, "size, from");
	res = registry_blob(r, args[0], from, size, &sink, err);
	fprintf(stderr, "source %s\n", registry_source(r));
	return res;
}

struct job {
	struct registry *r;
	const char *digest;
	uint64_t size, got;
	int res;
	struct err err;
};

static int count(void *user, const uint8_t *data, size_t len, struct err *err)
{
	struct job *j = user;

	j->got += len;
	return 0;
}

static void *work(void *arg)
{
	struct job *j = arg;
	struct registry_sink sink = { .user = j, .data = count };

	j->res = registry_blob(j->r, j->digest, 0, j->size, &sink, &j->err);
	return NULL;
}

static int threads(struct registry *r, char **args, struct err *err)
{
	struct job jobs[N_THREADS] = { 0 };
	pthread_t ids[N_THREADS];

	for (size_t i = 0; i < N_THREADS; i++) {
		jobs[i].r = r;
		jobs[i].digest = args[0];
		if (!args[1] || parse_u64(args[1], INT64_MAX, &jobs[i].size) < 0 ||
		    pthread_create(&ids[i], NULL, work, &jobs[i]) != 0)
			return err_set(err, ERR_INTERNAL, "no thread");
	}
	for (size_t i = 0; i < N_THREADS; i++) {
		(void)pthread_join(ids[i], NULL);
		printf("%d %llu\n", jobs[i].res, (unsigned long long)jobs[i].got);
		if (jobs[i].res < 0)
			*err = jobs[i].err;
	}
	return err->code == ERR_NONE ? 0 : -1;
}

static int on_login(void *user, const char *host, const char *name, const char *source)
{
	printf("%s %s %s\n", host, name, source);
	return 0;
}

/* Return: 0, negative; 2: no such command. */
static int run(const struct registry_options *o, int n, char **args, struct err *err)
{
	AUTO(registry_close) struct registry *r = NULL;
	const char *verb = n > 1 ? args[1] : "";

	if (n == 1 && strcmp(args[0], "list") == 0)
		return registry_login_list(o, on_login, NULL, err);
	if (n == 2 && strcmp(verb, "forget") == 0)
		return registry_login_forget(o->home_fd, args[0], err);
	if (n == 4 && strcmp(verb, "check") == 0)
		return registry_login_check(o, args[0], args[2], args[3], err);
	if (n == 4 && strcmp(verb, "store") == 0)
		return registry_login_store(o->home_fd, args[0], args[2], args[3], err);
	if (n < 4)
		return 2;
	if (registry_open(o, args[0], args[1], &r, err) < 0)
		return -1;
	if (strcmp(args[2], "manifest") == 0)
		return manifest(r, args + 3, err);
	if (strcmp(args[2], "blob") == 0)
		return blob(r, args + 3, err);
	return strcmp(args[2], "threads") == 0 ? threads(r, args + 3, err) : 2;
}

int main(int argc, char **argv)
{
	struct setup s = { .options = { .home_fd = -1 },
			   .times = { .connect_ms = 30000,
				      .stall_ms = 30000,
				      .stall_bytes = 1024,
				      .retry_ms = 1,
				      .retry_max_ms = 8,
				      .retry_after_max_ms = 300000,
				      .helper_ms = 30000 } };
	struct err err = ERR_INIT;
	int r;

	if (parse(&s, argc, argv) < 0 || cancel_new(&cancel) < 0)
		return 2;
	(void)signal(SIGUSR1, on_signal);
	s.options.hosts = s.hosts;
	s.options.times = &s.times;
	s.options.cancel = cancel;
	r = run(&s.options, argc - optind, argv + optind, &err);
	if (r < 0)
		fprintf(stderr, "error %s %d %s: %s\n", err.reason, (int)err.number, err.stage,
			err.msg);
	cancel_free(cancel);
	return r < 0 ? 1 : r;
}
