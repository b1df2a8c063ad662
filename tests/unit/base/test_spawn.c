/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "base/io.h"
#include "base/spawn.h"

static int run(const struct spawn_args *args)
{
	int pidfd, status;
	pid_t pid = spawn(args, &pidfd);

	ASSERT(pid > 0);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	(void)close(pidfd);
	ASSERT(WIFEXITED(status));
	return WEXITSTATUS(status);
}

TEST(the_child_has_the_map_and_no_other_descriptor)
{
	char *argv[] = { "/bin/sh", "-c",
			 "echo $(ls /proc/self/fd | sort -n) >&9; echo ${X-unset} >&9", NULL };
	char *env[] = { "X=1", "PATH=/usr/bin:/bin", NULL };
	int out[2], other = open("/dev/zero", O_RDONLY); /* not close-on-exec */
	struct spawn_fd fds[2];
	char text[256] = "";
	struct spawn_args args = {
		.path = "/bin/sh", .argv = argv, .envp = env, .fds = fds, .n_fds = 1
	};

	ASSERT(other >= 0 && pipe(out) == 0);
	fds[0] = (struct spawn_fd){ out[1], 9 };
	ASSERT_EQ(run(&args), 0);
	(void)close(out[1]);
	ASSERT(io_read_full(out[0], text, sizeof(text) - 1) > 0);
	/* 1 is the pipe of $(...), 3 the folder that ls reads */
	ASSERT_STR(text, "0 1 2 3 9\n1\n");
}

TEST(crossed_numbers)
{
	char *argv[] = { "/bin/sh", "-c", "read a <&3; read b <&4; test $a$b = 43", NULL };
	int p3[2], p4[2];
	struct spawn_fd fds[2];
	struct spawn_args args = { .path = "/bin/sh", .argv = argv, .fds = fds, .n_fds = 2 };

	ASSERT(pipe(p3) == 0 && pipe(p4) == 0);
	ASSERT(write(p3[1], "3\n", 2) == 2 && write(p4[1], "4\n", 2) == 2);
	ASSERT(dup2(p3[0], 4) == 4 || 1);
	fds[0] = (struct spawn_fd){ p4[0], 3 };
	fds[1] = (struct spawn_fd){ p3[0], 4 };
	ASSERT_EQ(run(&args), 0);
}

TEST(a_program_that_cannot_be_executed_is_reported)
{
	char *argv[] = { "x", NULL };
	struct spawn_args args = { .path = "/nonexistent/x", .argv = argv };
	int pidfd = -7;

	ASSERT_EQ(spawn(&args, &pidfd), -ENOENT);
	ASSERT_EQ(pidfd, -7);
	args.path = "/dev/null";
	ASSERT_EQ(spawn(&args, &pidfd), -EACCES);
}

TEST(dies_with_its_parent)
{
	char *argv[] = { "/bin/sh", "-c", "echo $$ >&3; read never <&4", NULL };
	int out[2], in[2], status;
	char text[32] = "";
	pid_t parent;

	ASSERT(pipe(out) == 0 && pipe(in) == 0);
	parent = fork();
	if (parent == 0) {
		struct spawn_fd fds[2] = { { out[1], 3 }, { in[0], 4 } };
		struct spawn_args args = { .path = "/bin/sh",
					   .argv = argv,
					   .fds = fds,
					   .n_fds = 2,
					   .die_with_parent = true };
		int pidfd;

		if (spawn(&args, &pidfd) < 0)
			_exit(1);
		pause();
		_exit(0);
	}
	(void)close(out[1]);
	ASSERT(read(out[0], text, sizeof(text) - 1) > 0);
	ASSERT_EQ(kill(parent, SIGKILL), 0);
	ASSERT_EQ(waitpid(parent, &status, 0), parent);
	/* Its pipe closes when it is gone; the test's alarm is the deadline. */
	ASSERT_EQ(read(out[0], text, sizeof(text)), 0);
}

TAP_MAIN()
