/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SIGNALS_H
#define BASE_SIGNALS_H

#include "base/err.h"

/* Number of Linux for "TERM", "SIGTERM", "15", "RTMIN+3", "RTMAX-1"; any case. 0: there is none. */
MUST_CHECK int signal_number(const char *text);

#endif /* BASE_SIGNALS_H */
