// SPDX-License-Identifier: MIT
/*
 * Python chooses: the question goes to the_explore->ask_*, a byte 'a' to the
 * status pipe; the answer comes with a byte on the control pipe. Slow, for
 * experiments. the_explore->progress is the number of runs before this one.
 */
#include "jobs/job.h"

#include <unistd.h>

static void ask(u64 enabled, u32 cpu)
{
	char byte = 'a';

	the_explore->ask_enabled = enabled;
	the_explore->ask_current = cpu;
	for (u64 left = enabled; left; left &= left - 1) {
		u32 agent = __builtin_ctzl(left);
		struct pending room, *pending = agent_pending(agent, &room);

		the_explore->ask_pending[agent].addr = pending->addr;
		the_explore->ask_pending[agent].size = pending->size;
		the_explore->ask_pending[agent].kind = pending->kind;
	}
	if (write(status_fd, &byte, 1) != 1 || read(control_fd, &byte, 1) != 1)
		_exit(0);
}

static void refuse(void)
{
	the_explore->result.diverged = engine.nr_choices + 1;
	engine_end(RUN_DIVERGED);
}

static u32 python_choose(u64 enabled)
{
	u32 answer;

	ask(enabled, engine.current);
	answer = the_explore->answer;
	if (answer >= AGENTS || !(enabled >> answer & 1))
		refuse();
	return answer;
}

static u32 python_pick(struct vcpu *cpu, u32 options)
{
	u32 answer;

	the_explore->ask_options = options;
	ask(0, cpu->id);
	answer = the_explore->answer;
	if (!IS_PICK(answer) || OPTION_OF(answer) >= options)
		refuse();
	return OPTION_OF(answer);
}

const struct strategy python_strategy = {
	.name = "python",
	.choose = python_choose,
	.pick = python_pick,
};
