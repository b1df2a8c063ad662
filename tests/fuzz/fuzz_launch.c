/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a launch spec; what is read must be written as it was read. */
#include <stdint.h>
#include <stdlib.h>

#include "proto/launch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(buf_done) struct buf b = { .max = 16u << 20 };
	struct launch_spec s, t;

	if (launch_spec_decode(data, size, &s) < 0)
		return 0;
	if (launch_spec_encode(&b, &s) < 0 || launch_spec_decode(b.data, b.len, &t) < 0 ||
	    t.n_extents != s.n_extents || t.n_mounts != s.n_mounts)
		abort();
	launch_spec_done(&s);
	launch_spec_done(&t);
	return 0;
}
