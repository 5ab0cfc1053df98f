// SPDX-License-Identifier: MIT
#include "strategies/interest.h"

#include <string.h>

#define HASH_FACTOR 0x9e3779b97f4a7c15UL

struct word *shared_words[MAX_WORDS];
u32 nr_shared_words;

static struct word words[MAX_WORDS];
static const struct strategy *watched;

void interest_forget(void)
{
	memset(words, 0, sizeof(words));
	nr_shared_words = 0;
}

/* NULL: there is no room for another one. */
static struct word *find_word(u64 addr)
{
	u32 place = addr * HASH_FACTOR >> 32;

	for (u32 n = 0; n < MAX_WORDS; n++, place++) {
		struct word *word = &words[place % MAX_WORDS];

		if (!word->addr)
			word->addr = addr;
		if (word->addr == addr)
			return word;
	}
	return NULL;
}

static void count_access(u32 agent)
{
	u64 addr = word_of(agent);
	struct word *word = addr ? find_word(addr) : NULL;

	if (!word)
		return;
	word->cpus |= 1UL << AGENT_OF_CPU(agent);
	if (word->now[agent] < UINT16_MAX)
		word->now[agent]++;
}

/* Asked at every step: not even one without a choice is missed. */
static u32 watch(u64 enabled)
{
	u32 agent = __builtin_ctzl(enabled);

	if (enabled & (enabled - 1))
		agent = watched->choose(enabled);

	count_access(agent);
	return agent;
}

static u32 watch_pick(struct vcpu *cpu, u32 options)
{
	return watched->pick(cpu, options);
}

static const struct strategy watching = {
	.name = "watching",
	.every_step = true,
	.choose = watch,
	.pick = watch_pick,
};

static void end_run(void)
{
	nr_shared_words = 0;
	for (u32 n = 0; n < MAX_WORDS; n++) {
		struct word *word = &words[n];

		for (u32 agent = 0; agent < ACCESSING; agent++) {
			if (word->now[agent] > word->most[agent])
				word->most[agent] = word->now[agent];
			word->now[agent] = 0;
		}
		if (word->cpus & (word->cpus - 1))
			shared_words[nr_shared_words++] = word;
	}
}

enum run_end interest_run(void)
{
	enum run_end end;

	watched = engine.strategy;
	engine.strategy = &watching;
	end = engine_run();
	engine.strategy = watched;
	end_run();
	return end;
}
