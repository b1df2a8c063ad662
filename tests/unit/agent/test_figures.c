/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <sys/socket.h>

#include "base/clock.h"
#include "hostclock.h"
#include "ports.h"
#include "stats.h"

static const char tcp[] =
	"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
	"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n"
	"   1: 0100007F:1F91 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0\n"
	"  10: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 0A 0\n"
	"   garbage : : :\n"
	"  11: 0100007F:FFFF 00000000:0000 0A";

TEST(ports)
{
	static const struct {
		const char *name;
		uint16_t port;
		bool udp, found;
	} cases[] = {
		{ "listens", 8080, false, true },
		{ "a connection, nobody listens", 8081, false, false },
		{ "any UDP socket", 8081, true, true },
		{ "IPv6", 53, false, true },
		{ "last line without an end", 65535, false, true },
		{ "not there", 1, false, false },
	};

	for_cases(c, cases)
		ASSERT_EQ(ports_find(tcp, strlen(tcp), c->port, c->udp), c->found);
	for (size_t cut = 0; cut < strlen(tcp); cut++) /* never read behind the end */
		(void)ports_find(tcp, cut, 9, false);
}

TEST(a_port_that_nobody_takes_is_a_time_out)
{
	struct wait_port_request req = { .port = 1 };
	int fds[2], r = 0;

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ports_wait(&req, fds[0]);
	ASSERT_EQ(read(fds[1], &r, sizeof(r)), sizeof(r));
	ASSERT_EQ(r, -ETIMEDOUT);
}

TEST(figures_of_proc)
{
	struct guest_stats s = { 0 };

	stats_meminfo(
		"MemTotal:         496692 kB\nMemFree:          400000 kB\n"
		"MemAvailable:     450000 kB\nSwapTotal:           1024 kB\nSwapFree: 512 kB\n",
		&s);
	ASSERT_EQ(s.memory_total, 496692ull * 1024);
	ASSERT_EQ(s.memory_free, 400000ull * 1024);
	ASSERT_EQ(s.memory_available, 450000ull * 1024);
	ASSERT_EQ(s.swap_total, 1024 * 1024);
	ASSERT_EQ(s.swap_free, 512 * 1024);
	stats_cpu("cpu  100 20 30 400 50 6 4 7 0 0\ncpu0 1 2\ncpu1 1 2\nintr 1\n", 100, &s);
	ASSERT_EQ(s.cpu_user_ns, 1200 * NS_PER_MS);
	ASSERT_EQ(s.cpu_system_ns, 400 * NS_PER_MS);
	ASSERT_EQ(s.cpu_idle_ns, 4500 * NS_PER_MS);
	ASSERT_EQ(s.cpu_steal_ns, 70 * NS_PER_MS);
	ASSERT_EQ(s.n_cpus, 2);
	stats_loadavg("0.52 1.00 12.345 2/77 1234\n", &s);
	ASSERT_EQ(s.load_milli[0], 520);
	ASSERT_EQ(s.load_milli[1], 1000);
	ASSERT_EQ(s.load_milli[2], 12345);
	ASSERT_EQ(s.n_processes, 77);
}

TEST(text_that_is_none_gives_no_figures)
{
	static const char *const texts[] = {
		"", "cpu", "cpu ", "MemTotal:", "1.", "..../", "\ncpu"
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct guest_stats s = { 0 };

		stats_meminfo(texts[i], &s);
		stats_cpu(texts[i], 0, &s);
		stats_loadavg(texts[i], &s);
		ASSERT_EQ(s.memory_total, 0);
		ASSERT_EQ(s.cpu_user_ns, 0);
		ASSERT_EQ(s.n_processes, 0);
	}
}

TEST(a_guest_that_is_behind_is_set_at_once)
{
	struct hostclock h = { 0 };

	ASSERT_EQ(hostclock_judge(&h, -(int64_t)(200 * NS_PER_MS)), 200 * NS_PER_MS);
	ASSERT_EQ(hostclock_judge(&h, -(int64_t)(90 * NS_PER_MS)), 0);
	ASSERT_EQ(hostclock_judge(&h, 90 * NS_PER_MS), 0);
}

TEST(a_guest_that_seems_ahead_may_only_be_slow_to_read)
{
	struct hostclock h = { 0 };
	int64_t hour = 3600 * (int64_t)NS_PER_S, s = NS_PER_S;

	ASSERT_EQ(hostclock_judge(&h, hour), -hour);
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(hostclock_judge(&h, (5 - i) * s), 0);
	ASSERT_EQ(hostclock_judge(&h, 0), 0); /* so it was slow */
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(hostclock_judge(&h, (5 - i) * s), 0);
	ASSERT_EQ(hostclock_judge(&h, 4 * s), -3 * s); /* the fastest message is nearest */
	ASSERT_EQ(hostclock_judge(&h, 2 * s), 0);
}

TAP_MAIN()
