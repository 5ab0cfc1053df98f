// SPDX-License-Identifier: MIT
/* A reader that no writer disturbed has seen both words of one version. */
#include <explore.h>
#include <kernel/seqlock.h>

static DEFINE_SEQLOCK(lock);
static u64 first, second;     /* both are the number of the version */

TASK(0, writer)
{
	write_seqlock(&lock);
	WRITE_ONCE(first, first + 1);
	WRITE_ONCE(second, second + 1);
	write_sequnlock(&lock);
}

TASK(1, reader)
{
	u64 one, other;
	u32 start;

	do {
		start = read_seqbegin(&lock);
		one = READ_ONCE(first);
		other = READ_ONCE(second);
	} while (read_seqretry(&lock, start));
	claim(one == other, one, other);
}
