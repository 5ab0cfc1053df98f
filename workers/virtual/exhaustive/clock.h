/* SPDX-License-Identifier: MIT */
/* Which steps of a run come before another one, whatever others do: vector clocks. */
#ifndef VIRTUAL_CLOCK_H
#define VIRTUAL_CLOCK_H

#include <shm_layout/explore.h>

/* For each CPU two halves: its own steps, and above its drains. Place of the last one + 1. */
struct clock { u64 cpu[VIRTUAL_CPUS]; };

#define HALF 32
#define TOPS 0x8000000080000000UL

extern u32 clock_words;       /* of a clock that are in use */

static inline void clock_copy(struct clock *to, const struct clock *from)
{
	u32 count = clock_words;

	for (u32 n = 0; n < count; n++)
		to->cpu[n] = from->cpu[n];
}

/* Both halves of each word at once. */
static inline void clock_join(struct clock *to, const struct clock *from)
{
	u32 count = clock_words;

	for (u32 n = 0; n < count; n++) {
		u64 a = to->cpu[n], b = from->cpu[n], tops = ((a | TOPS) - b) & TOPS;
		u64 keep = (tops - (tops >> (HALF - 1))) | tops;

		to->cpu[n] = (a & keep) | (b & ~keep);
	}
}

/* Some step of each half has come at the place that @first says: is one of them before? */
static inline bool clock_has_any(const struct clock *clock, const struct clock *first)
{
	u32 count = clock_words;
	u64 tops = 0;

	for (u32 n = 0; n < count; n++)
		tops |= ((clock->cpu[n] | TOPS) - first->cpu[n]) & TOPS;
	return tops;
}

#endif
