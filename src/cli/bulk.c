/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bulk.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/common.h"
#include "cli/names.h"
#include "cli/out.h"
#include "cli/show.h"

struct work {
	struct bulk_item item;
	const struct bulk *bulk; /* borrowed */
};

static int run_item(void *user, const struct msb_call *call, struct msb_error *err)
{
	struct work *w = user;
	struct msb_call c = *call;
	int r;

	if (!w->bulk->boots)
		c.progress = NULL;
	r = w->bulk->run(&w->item, &c, err);
	if (r < 0)
		names_hint(w->item.m, err);
	return r;
}

static void print_action(const struct work *w, const struct show_job *job)
{
	char text[300];

	if (!w->item.detail[0]) {
		show_action(w->bulk->verb, job);
		return;
	}
	(void)snprintf(text, sizeof(text), "%s (%s)", w->item.name, w->item.detail);
	out_action(w->bulk->verb, text);
}

/* Its line: at once, whatever the others do. */
static void item_ended(struct show_job *job)
{
	const struct work *w = job->user;

	if (job->result < 0)
		out_error(&job->error);
	else if (w->item.line[0])
		printf("%s\n", w->item.line);
	else if (w->bulk->quiet)
		return;
	else if (w->item.remark[0])
		out_remark("%s", w->item.remark);
	else
		print_action(w, job);
	(void)fflush(stdout); /* a reader of lines waits for each; out_finish() tells errors */
}

static int code_of(const struct show_job *jobs, const struct work *work, size_t n)
{
	int code = 0;

	for (size_t i = 0; i < n; i++) {
		if (jobs[i].result < 0 && jobs[i].error.code == MSB_E_TIMEOUT && code == 0)
			code = EXIT_TIMEOUT;
		else if (jobs[i].result < 0 && jobs[i].error.code != MSB_E_TIMEOUT)
			return EXIT_ITEM_FAILED;
		else if (work[i].item.code)
			code = work[i].item.code;
	}
	return code;
}

int bulk_run(const struct cli *cli, const struct bulk *bulk, const struct opt_rest *rest,
	     struct msb_error *err)
{
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(names_done) struct names names = { 0 };
	AUTO_FREE struct show_job *jobs = NULL;
	AUTO_FREE struct work *work = NULL;
	int r = common_open(cli, NULL, &m, err);

	if (r >= 0)
		r = names_select(m, rest, bulk->labels, bulk->command, &names, err);
	if (r < 0)
		return r;
	if (names.n == 0) {
		if (!bulk->quiet)
			out_remark("No sandbox has that label.");
		return 0;
	}
	jobs = calloc(names.n, sizeof(*jobs));
	work = calloc(names.n, sizeof(*work));
	if (!jobs || !work)
		return common_error(err, MSB_E_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < names.n; i++) {
		work[i].item =
			(struct bulk_item){ .m = m, .name = names.items[i], .opts = bulk->opts };
		work[i].bulk = bulk;
		jobs[i] = (struct show_job){ .name = names.items[i],
					     .run = run_item,
					     .user = &work[i],
					     .ended = item_ended };
	}
	r = show_run(jobs, names.n, bulk->quiet ? SHOW_NONE : SHOW_AUTO, err);
	if (r != 0)
		return r < 0 ? r : EXIT_SIGNAL + r;
	return code_of(jobs, work, names.n);
}
