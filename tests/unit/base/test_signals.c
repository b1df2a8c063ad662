/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "base/signals.h"

TEST(names_and_numbers)
{
	static const struct {
		const char *name;
		int number;
	} cases[] = {
		{ "TERM", 15 }, { "SIGTERM", 15 }, { "sigquit", 3 },	 { "15", 15 },
		{ "64", 64 },	{ "RTMIN", 34 },   { "SIGRTMIN+3", 37 }, { "RTMAX-1", 63 },
		{ "SYS", 31 },	{ "IOT", 6 },	   { "0", 0 },		 { "65", 0 },
		{ "", 0 },	{ "SIG", 0 },	   { "RTMIN-1", 0 },	 { "RTMIN+31", 0 },
		{ "TERMX", 0 }, { "-9", 0 },
	};

	for_cases(c, cases)
		ASSERT_EQ(signal_number(c->name), c->number);
}

TAP_MAIN()
