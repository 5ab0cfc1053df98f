/* SPDX-License-Identifier: MIT */
/* Which steps of a run come before another one, whatever others do: vector clocks. */
#ifndef VIRTUAL_CLOCK_H
#define VIRTUAL_CLOCK_H

#include "exhaustive/depend.h"

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

static inline u32 last_known(const struct clock *clock, const struct operation *step)
{
	return clock->cpu[step->cpu] >> (is_drain(step) ? HALF : 0);
}

static inline void set_place(struct clock *clock, const struct operation *step, u32 place)
{
	u64 *word = &clock->cpu[step->cpu];

	*word = is_drain(step) ? (u32)*word | (u64)place << HALF : *word >> HALF << HALF | place;
}

/* What is before the next step of each CPU, and of its drain. */
struct history {
	struct clock done;
	struct clock drained;
	struct clock queued[VIRTUAL_STORES];  /* when a store entered the buffer */
	struct clock room[VIRTUAL_STORES];    /* when it left */
	u32 stores;           /* seen entering */
};

extern struct history histories[VIRTUAL_CPUS];

/*
 * The stores that @cpu has made since the last look, in which nothing has come
 * before it. A store enters a buffer that was full after the one that made room.
 */
static inline void queue_stores(u32 cpu)
{
	struct history *history = &histories[cpu];
	u32 limit = engine.limit;

	for (; history->stores < engine.vcpu[cpu].stores; history->stores++) {
		u32 number = history->stores;

		if (limit && number >= limit)
			clock_join(&history->done,
				   &history->room[(number - limit) % VIRTUAL_STORES]);
		clock_copy(&history->queued[number % VIRTUAL_STORES], &history->done);
	}
}

/* The number of the store that a drain of @cpu would commit. */
static inline u32 oldest_number(u32 cpu)
{
	return engine.vcpu[cpu].stores - engine.vcpu[cpu].count;
}

/* What comes before @step whatever others do. */
static inline void begin_clock(struct clock *clock, const struct operation *step)
{
	const struct history *history = &histories[step->cpu];

	if (is_drain(step)) {
		clock_copy(clock, &history->drained);
		clock_join(clock, &history->queued[oldest_number(step->cpu) % VIRTUAL_STORES]);
		return;
	}
	clock_copy(clock, &history->done);
	if (step->kind == EVENT_KIND_RMW || step->kind == EVENT_KIND_ADD ||
	    step->kind == EVENT_KIND_LOCK || step->kind == EVENT_KIND_UNLOCK ||
	    step->kind == EVENT_KIND_SYNC)
		clock_join(clock, &history->drained);
}

/* What comes after @step. */
static inline void file_clock(const struct clock *clock, const struct operation *step)
{
	struct history *history = &histories[step->cpu];

	if (is_drain(step)) {
		clock_copy(&history->drained, clock);
		clock_copy(&history->room[oldest_number(step->cpu) % VIRTUAL_STORES], clock);
	} else {
		clock_copy(&history->done, clock);
	}
}

#endif
