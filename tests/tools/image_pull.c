/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_pull [--force] [--platform P] [--mirror URL]... HOME REFERENCE: pull an image into the
 * store below HOME and open it; an event a line.  SIGTERM cancels.  For tests and measuring.
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "image/pull.h"

#define MIRRORS_MAX 8

static struct cancel *cancel; /* for the signal's handler */

static void on_signal(int number)
{
	cancel_fire(cancel);
}

static void on_event(void *user, const struct pull_event *e)
{
	printf("%s %u/%u %llu/%llu %s\n", pull_event_name(e->type), e->layer, e->layers,
	       (unsigned long long)e->done, (unsigned long long)e->total,
	       e->message ? e->message : "");
	(void)fflush(stdout);
}

static int pull(struct store_run *run, const char *text, const struct pull_options *options,
		struct err *err)
{
	AUTO(image_free) struct image *img = NULL;
	AUTO_FREE char *full = NULL;
	struct load_result r = { .images = calloc(1, sizeof(*r.images)) };
	int rc;

	if (!r.images)
		return err_no_memory(err);
	rc = image_ref_parse(text, &full, err);
	if (rc == 0)
		rc = image_pull(run, full, options, r.images, err);
	if (rc == 0) {
		r.n_images = 1;
		printf("image %s %s %llu\n", r.images->manifest_digest, r.images->config_digest,
		       (unsigned long long)r.images->size);
		rc = image_open(run, r.images->manifest_digest, NULL, &img, err);
	}
	load_result_done(&r);
	return rc;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = { { "force", no_argument, NULL, 'f' },
						      { "platform", required_argument, NULL, 'p' },
						      { "mirror", required_argument, NULL, 'm' },
						      { NULL, 0, NULL, 0 } };
	AUTO(store_close) struct store *s = NULL;
	AUTO(store_run_close) struct store_run *run = NULL;
	AUTO_FREE char *host = NULL;
	AUTO_CLOSE int home = -1;
	char *mirrors[MIRRORS_MAX + 1] = { NULL };
	struct registry_host entry = { .mirrors = mirrors };
	struct registry_options how = { .hosts = &entry, .n_hosts = 1 };
	struct pull_options options = { .registry = &how, .on_event = on_event };
	struct err err = ERR_INIT;
	unsigned n = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (c == 'f')
			options.force = true;
		else if (c == 'p')
			options.platform = optarg;
		else if (c == 'm' && n < MIRRORS_MAX)
			mirrors[n++] = optarg;
		else
			return 2;
	}
	if (argc - optind != 2 || cancel_new(&cancel) < 0 || signal(SIGTERM, on_signal) == SIG_ERR)
		return 2;
	host = strndup(argv[optind + 1], strcspn(argv[optind + 1], "/"));
	home = open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (home < 0 || !host)
		return 2;
	entry.host = host;
	how.home_fd = home;
	how.cancel = options.cancel = cancel;
	if (store_open(home, NULL, &s, &err) < 0 || store_run_open(s, cancel, &run, &err) < 0 ||
	    pull(run, argv[optind + 1], &options, &err) < 0) {
		fprintf(stderr, "error %s in %s: %s\n", err.reason, err.stage, err.msg);
		return 1;
	}
	return 0;
}
