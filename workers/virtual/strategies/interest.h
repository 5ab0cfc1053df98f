/* SPDX-License-Identifier: MIT */
/* Words that several CPUs access, and how often: seen in the first runs of a batch. */
#ifndef VIRTUAL_INTEREST_H
#define VIRTUAL_INTEREST_H

#include "strategies/strategy.h"

#define MAX_WORDS 128         /* that are counted; a power of two */
#define ACCESSING AGENT(AGENT_IRQ, 0) /* CPUs and drains: agents that access memory */

struct word {
	u64 addr;             /* 0 = free */
	u64 cpus;             /* that access it */
	u16 most[ACCESSING];  /* accesses of each agent, in one run */
	u16 now[ACCESSING];   /* in this run */
};

/* Those that more than one CPU accesses. */
extern struct word *shared_words[MAX_WORDS];
extern u32 nr_shared_words;

/* A batch begins. */
void interest_forget(void);
/* Do a run of engine.strategy, and count. */
enum run_end interest_run(void);

/* The word that the next step of an agent is about; 0 = none. */
static inline u64 word_of(u32 agent)
{
	struct vcpu *cpu = &engine.vcpu[AGENT_OF_CPU(agent)];

	if (AGENT_KIND(agent) == AGENT_DRAIN)
		return oldest_store(cpu)->addr & ~7UL;
	if (AGENT_KIND(agent) == AGENT_CPU && cpu->pending.size)
		return cpu->pending.addr & ~7UL;
	return 0;
}

#endif
