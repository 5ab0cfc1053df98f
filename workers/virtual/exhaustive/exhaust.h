/* SPDX-License-Identifier: MIT */
/* Searches that leave nothing out, or say what. */
#ifndef VIRTUAL_EXHAUST_H
#define VIRTUAL_EXHAUST_H

#include "strategies/strategy.h"

/* The choices with which every run begins, those of data too, and who sleeps at each. */
struct exhaust_root {
	const u8 *agent;
	const u64 *sleep;
	u32 count;
};

extern struct exhaust_root exhaust_root;

/*
 * split.c: sleep sets look at the first node below the root, and that is all.
 * @enabled: who can go; @sleeping: who need not.
 */
extern bool exhaust_split;
void split_here(u64 enabled, u64 sleeping) __attribute__((noreturn));
void split_at_pick(u32 options, u64 sleeping) __attribute__((noreturn));

/* bounded.c: the preemptions that a run may cost, and whether one would have cost more. */
#define NO_LIMIT (~0u)
extern u32 bounded_limit;
extern bool bounded_cut;
extern const struct strategy bounded_strategy;

/* stateful.c: different states seen; true = the table is full, so more was left out. */
extern u64 stateful_states __attribute__((weak));
extern bool stateful_full __attribute__((weak));

#endif
