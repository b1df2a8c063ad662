/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/prompt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/defer.h"
#include "cli/common.h"

static void signal_set(sigset_t *set)
{
	(void)sigemptyset(set);
	(void)sigaddset(set, SIGINT);
	(void)sigaddset(set, SIGTERM);
	(void)sigaddset(set, SIGHUP);
}

static int failed(struct msb_error *err, const char *why)
{
	(void)common_error(err, MSB_E_INVALID_CONFIG, "%s", why);
	return -1;
}

/* A line, in the terminal's own line mode. */
static int read_line(int signal_fd, char *out, size_t size, struct msb_error *err)
{
	struct pollfd fds[2] = { { .fd = STDIN_FILENO, .events = POLLIN },
				 { .fd = signal_fd, .events = POLLIN } };
	struct signalfd_siginfo info;
	ssize_t n;

	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents && read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
			return -(int)info.ssi_signo;
		if (!fds[0].revents)
			continue;
		n = read(STDIN_FILENO, out, size);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return failed(err, "the input ended");
		if (out[n - 1] != '\n')
			return failed(err, "what was typed is too long");
		out[n - 1] = '\0';
		return (int)n - 1;
	}
}

int prompt_line(const char *label, bool hidden, char *out, size_t size, struct msb_error *err)
{
	struct termios before, quiet;
	AUTO_CLOSE int signal_fd = -1;
	sigset_t set, mask;
	int n;

	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return failed(err, "standard input is no terminal");
	signal_set(&set);
	(void)sigprocmask(SIG_BLOCK, &set, &mask);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	(void)fputs(label, stderr);
	if (hidden)
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	n = read_line(signal_fd, out, size, err);
	if (hidden) {
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
		(void)fputc('\n', stderr);
	}
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
	return n;
}
