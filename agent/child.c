/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the child
 *
 * Between fork() and execve() the child may block and may fail without harm to the agent:
 * users are looked up here, PATH is searched here.  Every descriptor of the agent is
 * O_CLOEXEC, so nothing has to be closed.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/defer.h"
#include "env.h"
#include "users.h"

#define AGENT_NOFILE 65536   /* descriptors: 1024 sessions have up to 8 each */
#define CHILD_NOFILE 1024    /* the usual soft limit; select() needs it */
#define MAX_NOFILE   1048576 /* hard limit, as containers have it */

void child_set_agent_limits(void)
{
	struct rlimit files = { .rlim_cur = AGENT_NOFILE, .rlim_max = MAX_NOFILE };
	struct rlimit core = { .rlim_cur = 0, .rlim_max = RLIM_INFINITY };

	(void)setrlimit(RLIMIT_NOFILE, &files);
	(void)setrlimit(RLIMIT_CORE, &core);
}

static _Noreturn void report(const struct child_args *c, const char *kind, int sys,
			     const char *subject, const char *what)
{
	struct failure f;

	(void)fail(&f, "main", sys, subject, "%s '%s'", what, subject);
	(void)snprintf(f.kind, sizeof(f.kind), "%s", kind);
	/* Less than PIPE_BUF, so it arrives whole. */
	(void)!write(c->status_fd, &f, sizeof(f));
	_exit(127);
}

static void write_text(const char *path, const char *text)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)!write(fd, text, strlen(text));
}

static void leave_agent(void)
{
	struct rlimit files = { .rlim_cur = CHILD_NOFILE, .rlim_max = MAX_NOFILE };
	sigset_t none;

	(void)setsid();
	write_text("/proc/self/oom_score_adj", "0");
	(void)setrlimit(RLIMIT_NOFILE, &files);
	(void)signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void set_fds(const struct child_args *c, const struct user *u)
{
	for (int i = 0; i <= 2; i++) {
		if (dup2(c->fds[i], i) < 0)
			report(c, "limit", errno, "descriptor", "make");
		/* So that /dev/stdout can be opened by the user. /dev/null stays root's. */
		if (c->req->tty || i > 0 || c->req->stdin_open)
			(void)!fchown(i, u->uid, c->req->tty ? (gid_t)-1 : u->gid);
	}
	if (c->req->tty && ioctl(0, TIOCSCTTY, 0) < 0)
		report(c, "pty", errno, "terminal", "take");
}

static int add_builtin(struct str_list *env, const char *name, const char *value)
{
	AUTO_FREE char *pair = NULL;

	if (asprintf(&pair, "%s=%s", name, value) < 0) {
		pair = NULL;
		return -ENOMEM;
	}
	return str_list_add(env, pair);
}

static int make_env(const struct child_args *c, const struct user *u, struct str_list *env)
{
	char host[256] = "localhost";
	int r;

	(void)gethostname(host, sizeof(host) - 1);
	r = add_builtin(env, "PATH", ENV_PATH);
	if (r >= 0)
		r = add_builtin(env, "HOME", u->home);
	if (r >= 0)
		r = add_builtin(env, "USER", u->name);
	if (r >= 0)
		r = add_builtin(env, "HOSTNAME", host);
	if (r >= 0 && c->req->tty)
		r = add_builtin(env, "TERM", c->req->term ? c->req->term : "xterm");
	if (r >= 0)
		r = env_set_all(env, &c->agent->boot.env);
	if (r >= 0)
		r = env_set_all(env, &c->req->env);
	return r;
}

static void become(const struct child_args *c, const struct user *u, const char *spec)
{
	if (setgroups(u->n_groups, u->groups) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 ||
	    setresuid(u->uid, u->uid, u->uid) < 0)
		report(c, "user", errno, spec, "become user");
}

static void set_rlimits(const struct child_args *c, const struct exec_rlimit *limits, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct rlimit limit = {
			.rlim_cur = limits[i].soft == RLIMIT_NONE ? RLIM_INFINITY
								  : (rlim_t)limits[i].soft,
			.rlim_max = limits[i].hard == RLIMIT_NONE ? RLIM_INFINITY
								  : (rlim_t)limits[i].hard,
		};
		char number[16];

		(void)snprintf(number, sizeof(number), "%u", limits[i].resource);
		if (setrlimit((int)limits[i].resource, &limit) < 0)
			report(c, "limit", errno, number, "set resource limit");
	}
}

static const char *kind_of_exec(int sys, const char *path)
{
	struct stat st;

	switch (sys) {
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
		return "not-found";
	case ENOEXEC:
	case EISDIR:
	case ELIBBAD:
		return "not-executable";
	case EACCES:
	case EPERM:
		if (stat(path, &st) == 0 && (!S_ISREG(st.st_mode) || !(st.st_mode & 0111)))
			return "not-executable";
		return "permission";
	case E2BIG:
		return "bad-args";
	case ENOMEM:
		return "no-memory";
	case EAGAIN:
	case EMFILE:
	case ENFILE:
		return "limit";
	default:
		return "other";
	}
}

static _Noreturn void child_main(const struct child_args *c)
{
	const char *spec = c->req->user		 ? c->req->user
			   : c->agent->boot.user ? c->agent->boot.user
						 : "root";
	const char *cwd = c->req->cwd		   ? c->req->cwd
			  : c->agent->boot.workdir ? c->agent->boot.workdir
						   : "/";
	const char *name = c->req->argv.items[0], *path;
	struct str_list env = { 0 };
	struct user user;
	char *program = NULL;
	int r;

	leave_agent();
	r = user_load(spec, &user);
	if (r < 0)
		report(c, r == -ENOMEM ? "no-memory" : "user", -r, spec, "find user");
	set_fds(c, &user);
	if (make_env(c, &user, &env) < 0)
		report(c, "no-memory", ENOMEM, name, "make the environment of");
	/* Late, so that a low limit hits the program and not us; before root is given up. */
	set_rlimits(c, c->agent->boot.rlimits, c->agent->boot.n_rlimits);
	set_rlimits(c, c->req->rlimits, c->req->n_rlimits);
	become(c, &user, spec);
	if (chdir(cwd) < 0)
		report(c, "bad-cwd", errno, cwd, "enter the working directory");
	path = env_get(&env, "PATH");
	r = env_find_program(name, path ? path : ENV_PATH, &program);
	if (r < 0)
		report(c, r == -EACCES ? "not-executable" : kind_of_exec(-r, name), -r, name,
		       "find program");
	(void)execve(program, c->req->argv.items, env.items);
	report(c, kind_of_exec(errno, program), errno, program, "execute");
}

/*
 * fork() with the child born in its cgroup: moving it there afterwards makes the kernel wait for
 * an RCU grace period, which is 30 ms of a first exec under emulation.
 */
static pid_t fork_into(const struct child_args *args)
{
	AUTO_CLOSE int fd =
		openat(args->agent->cgroup_fd, args->cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct clone_args how = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)fd,
	};

	if (fd < 0)
		return -1;
	return (pid_t)syscall(SYS_clone3, &how, sizeof(how));
}

pid_t child_start(const struct child_args *args)
{
	pid_t pid = args->cgroup ? fork_into(args) : fork();

	if (pid < 0)
		return -errno;
	if (pid == 0)
		child_main(args);
	return pid;
}
