// SPDX-License-Identifier: MIT
/*
 * Accesses to frames of other CPUs. That such a frame is left is no operation of
 * its own, so it can be anywhere up to the next one: an access that nothing orders
 * before that may as well come too late.
 */
#include "detectors/race_clock.h"
#include "detectors/report.h"

#define MAX_VISITS 8

struct visit {
	u64 addr;
	u64 pc;
	u32 size;
	u32 cpu;
	u32 clock;            /* of that CPU, then */
};

u32 race_visited;

/* The newest ones to the stacks of each CPU; valid if its bit in race_visited is set. */
static struct {
	struct visit visit[MAX_VISITS];
	u32 count;
} visits[VIRTUAL_CPUS];

void race_visit(struct vcpu *cpu, struct vcpu *owner, u64 addr, u32 size, u64 pc)
{
	struct visit *visit;

	if (!(race_visited >> owner->id & 1))
		visits[owner->id].count = 0;
	race_visited |= 1u << owner->id;
	visit = &visits[owner->id].visit[visits[owner->id].count++ % MAX_VISITS];
	*visit = (struct visit){ addr, pc, size, cpu->id, clocks[cpu->id].at[cpu->id] };
}

/* Where the frame of the code at @pc begins; 0 = all frames are left. */
static u64 frame_of_caller(const struct fiber *fiber, u64 pc)
{
	u64 *frame = __builtin_frame_address(0);

	if (!pc)
		return fiber->stack + fiber->size;
	while ((u64)frame - fiber->stack < fiber->size - 16) {
		if (frame[1] == pc)
			return (u64)(frame + 2);
		frame = (u64 *)frame[0];
	}
	return 0;
}

static void __attribute__((noreturn)) report_visit(struct vcpu *owner, const struct visit *visit,
						   u64 pc)
{
	struct finding *finding = &the_explore->result.finding;

	*finding = (struct finding){
		.here = {
			.cpu = visit->cpu,
			.task = engine.vcpu[visit->cpu].fiber->index,
			.tsc = 1,
			.stack = { visit->pc },
		},
		.value = { visit->addr, visit->size },
	};
	virtual_side(&finding->other, pc, (u64)__builtin_frame_address(0));
	finding->other.cpu = owner->id;
	finding->kind = FINDING_USE_AFTER_FREE;
	engine_end(RUN_FAILED);
}

void race_end(struct vcpu *cpu)
{
	if (race_visited >> cpu->id & 1)
		check_visits(cpu, 0);
}

void check_visits(struct vcpu *cpu, u64 pc)
{
	const struct clock *clock = &clocks[cpu->id];
	u64 sp = frame_of_caller(cpu->fiber, pc);
	u32 count = visits[cpu->id].count;

	for (u32 n = 0; n < count && n < MAX_VISITS; n++) {
		const struct visit *visit = &visits[cpu->id].visit[n];

		if (visit->addr - cpu->fiber->stack < cpu->fiber->size && visit->addr < sp &&
		    visit->clock > clock->at[visit->cpu])
			report_visit(cpu, visit, pc);
	}
}
