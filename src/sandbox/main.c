/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msb-sandbox NAME ID: one sandbox.  Started by the library; proto/launch.h says with what.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/defer.h"
#include "base/io.h"
#include "base/log.h"
#include "proto/agent.h"
#include "sandbox/report.h"
#include "sandbox/sandbox.h"

#define SPEC_MAX_BYTES (16u << 20) /* 65536 extents and 4096 mounts fit */

/* What holds from the first moment on, before anything is read. */
static int harden(struct err *err)
{
	struct rlimit files, core = { 0 };
	sigset_t set;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, errno, "give up privileges");
	if (setrlimit(RLIMIT_CORE, &core) < 0)
		return err_sys(err, errno, "forbid core files");
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return err_sys(err, errno, "read the limit of files");
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return err_sys(err, errno, "raise the limit of files");
	return 0;
}

static int read_spec(struct launch_spec *ret_spec, struct err *err)
{
	AUTO_FREE void *data = NULL;
	struct stat st;
	ssize_t n;
	int r;

	if (fstat(LAUNCH_FD_SPEC, &st) < 0)
		return err_sys(err, errno, "read the launch spec");
	if (st.st_size <= 0 || st.st_size > SPEC_MAX_BYTES)
		return err_set(err, ERR_INVALID, "a launch spec of %lld bytes",
			       (long long)st.st_size);
	data = malloc((size_t)st.st_size);
	if (!data)
		return err_sys(err, ENOMEM, "read the launch spec");
	n = io_pread_full(LAUNCH_FD_SPEC, data, (size_t)st.st_size, 0);
	if (n < 0)
		return err_sys(err, (int)-n, "read the launch spec");
	r = launch_spec_decode(data, (size_t)n, ret_spec);
	(void)close(LAUNCH_FD_SPEC);
	return r < 0 ? err_sys(err, -r, "decode the launch spec") : 0;
}

int main(int argc, char **argv)
{
	struct launch_spec spec = { 0 };
	struct err err = ERR_INIT;
	int r;

	if (argc != 3 || fcntl(LAUNCH_FD_READY, F_GETFD) < 0) {
		(void)fprintf(stderr, "msb-sandbox is started by microsandbox, not by hand\n");
		return 2;
	}
	log_setup(argv[2], STDERR_FILENO, LOG_INFO, false);
	r = monitor_identity_write(LAUNCH_FD_LOCK);
	if (r < 0)
		err_sys(&err, -r, "write down who this is");
	if (r == 0)
		r = harden(&err);
	if (r == 0)
		r = read_spec(&spec, &err);
	if (r < 0) {
		struct report report;
		struct failure failure = { .stage = "spec", .sys = err.sys };

		log_error("%s", err.msg);
		(void)snprintf(failure.message, sizeof(failure.message), "%s", err.msg);
		report_init(&report, LAUNCH_FD_READY);
		report_failed(&report, &failure);
		return 1;
	}
	r = sandbox_run(&spec);
	launch_spec_done(&spec);
	return r < 0 ? 1 : 0;
}
