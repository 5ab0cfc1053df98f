/* SPDX-License-Identifier: MIT */
/* Random numbers of a task, from a seed that Python gives it. */
#ifndef TASKS_RANDOM_H
#define TASKS_RANDOM_H

#include <shm_layout/types.h>

/* Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016: xorshift64*. */
static inline u64 random_next(u64 *state)
{
	u64 x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1dUL;
}

/* A number below @limit. */
static inline u32 random_below(u64 *state, u32 limit)
{
	return (random_next(state) >> 32) * limit >> 32;
}

#endif
