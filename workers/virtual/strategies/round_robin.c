// SPDX-License-Identifier: MIT
/* Fair turns: every agent that can go does, one after the other; in run n, n + 1 steps each. */
#include "strategies/strategy.h"

static u32 turn, steps_left, length;

static void round_robin_begin(u64 run)
{
	turn = 0;
	length = run + 1;
	steps_left = length;
}

static u32 round_robin_choose(u64 enabled)
{
	u64 after;

	if (steps_left && enabled >> turn & 1) {
		steps_left--;
		return turn;
	}
	after = turn + 1 < AGENTS ? enabled >> (turn + 1) << (turn + 1) : 0;
	turn = __builtin_ctzl(after ? after : enabled);
	steps_left = length - 1;
	return turn;
}

const struct strategy round_robin_strategy = {
	.name = "round-robin",
	.begin = round_robin_begin,
	.choose = round_robin_choose,
};
