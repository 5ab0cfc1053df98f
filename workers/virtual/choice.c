// SPDX-License-Identifier: MIT
/* Choices of data: a value that nothing but the strategy decides. */
#include "choice.h"

#include <choice.h>

/* Several have one place: the default of those before this one is told only now. */
static void write_pick(struct vcpu *cpu, u32 option)
{
	if (cpu->picks_event != cpu->events)
		cpu->picks = 0;
	cpu->picks_event = cpu->events;
	if (!option) {
		cpu->picks++;
		return;
	}
	for (; cpu->picks; cpu->picks--)
		intervene(cpu->id, cpu->events, PICK(0));
	intervene(cpu->id, cpu->events, PICK(option));
}

u32 engine_pick(struct vcpu *cpu, u32 options)
{
	u32 option = 0;

	if (engine.booting || options < 2)
		return 0;
	if (engine.strategy->pick)
		option = engine.strategy->pick(cpu, options);
	count_choice();
	follow_trail(PICK(option));
	if (unlikely(engine.show))
		show_pick(cpu, option, options);
	write_pick(cpu, option);
	return option;
}

static u32 choose_below(struct vcpu *cpu, u32 options)
{
	u32 high, left;

	if (options <= MAX_PICKS)
		return engine_pick(cpu, options);
	high = choose_below(cpu, options / MAX_PICKS + !!(options % MAX_PICKS));
	left = options - high * MAX_PICKS;
	return high * MAX_PICKS + engine_pick(cpu, left < MAX_PICKS ? left : MAX_PICKS);
}

u32 explore_choice(u32 options)
{
	struct vcpu *cpu = engine.cpu;

	if (!cpu)
		return 0;
	cpu->pending.pc = (u64)__builtin_return_address(0);
	return choose_below(cpu, options);
}
