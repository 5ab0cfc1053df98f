// SPDX-License-Identifier: MIT
/* Two copies: an NMI that came into their writer reads the one that is not being written. */
#include <explore.h>
#include <kernel/seqlock.h>

static seqcount_latch_t latch = SEQCNT_LATCH_ZERO(latch);
static struct pair { u64 first, second; } copy[2];

static void look(void)
{
	u64 one, other;
	u32 start;

	do {
		const struct pair *pair;

		start = read_seqcount_latch(&latch);
		pair = &copy[start & 1];
		one = READ_ONCE(pair->first);
		other = READ_ONCE(pair->second);
	} while (read_seqcount_latch_retry(&latch, start));
	claim(one == other, one, other);
}

static void write_copy(struct pair *pair)
{
	WRITE_ONCE(pair->first, 1);
	WRITE_ONCE(pair->second, 1);
}

TASK(0, writer)
{
	write_seqcount_latch_begin(&latch);
	write_copy(&copy[0]);
	write_seqcount_latch(&latch);
	write_copy(&copy[1]);
	write_seqcount_latch_end(&latch);
}

NMI(0, 1, nmi)
{
	look();
}

TASK(1, reader)
{
	look();
}
