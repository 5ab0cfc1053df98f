// SPDX-License-Identifier: MIT
/* Findings: written down where they are met, and then the run is over. */
#include "detectors/report.h"

#define HASH_FACTOR 0x9e3779b97f4a7c15UL

bool is_machine_text(u64 pc)
{
	return pc - (u64)machine_text_first < (u64)machine_text_last - (u64)machine_text_first;
}

static bool is_frame(u64 frame)
{
	return frame - engine.stacks < engine.stacks_size - 16 && !(frame & 7);
}

u32 report_walk(u64 *stack, u32 room, u64 pc, u64 frame)
{
	u32 count = 0;
	bool inside = !pc;

	while (is_frame(frame) && count < room) {
		u64 next = ((u64 *)frame)[0], address = ((u64 *)frame)[1];

		if (!address)
			break;
		if (address == pc && !inside) {
			/* All below are ours. */
			inside = true;
			count = 0;
		}
		if (!is_machine_text(address))
			stack[count++] = address;
		if (next <= frame)
			break;
		frame = next;
	}
	if (!inside) {
		/* It has not come from a call: put it before its callers. */
		count = count < room ? count : room - 1;
		for (u32 n = count++; n; n--)
			stack[n] = stack[n - 1];
		stack[0] = pc;
	}
	if (count < room)
		stack[count] = 0;
	return count;
}

static void name_side(struct side *side, const struct vcpu *cpu)
{
	*side = (struct side){
		.cpu = cpu->id,
		.task = cpu->fiber->index,
		.tsc = engine.steps + 1,
	};
}

noinline void virtual_side(struct side *side, u64 pc, u64 frame)
{
	name_side(side, engine.cpu);
	report_walk(side->stack, STACK_FRAMES, pc, frame ? frame : (u64)__builtin_frame_address(0));
}

/* The frame that a CPU is in: a fiber that does not run has pushed it. */
static u64 frame_of(const struct vcpu *cpu)
{
	if (cpu == engine.cpu)
		return (u64)__builtin_frame_address(0);
	return is_frame(cpu->fiber->sp) ? *(u64 *)cpu->fiber->sp : 0;
}

void virtual_side_of(struct side *side, const struct vcpu *cpu)
{
	name_side(side, cpu);
	report_walk(side->stack, STACK_FRAMES, cpu->pending.pc, frame_of(cpu));
}

noinline void virtual_finding(enum finding_kind kind, u64 pc, u64 frame, const struct side *other,
			      const u64 value[6])
{
	struct finding *finding = &the_explore->result.finding;

	*finding = (struct finding){ .kind = FINDING_NONE };
	virtual_side(&finding->here, pc, frame ? frame : (u64)__builtin_frame_address(0));
	if (other)
		finding->other = *other;
	for (u32 n = 0; n < ARRAY_SIZE(finding->value); n++)
		finding->value[n] = value[n];
	finding->kind = kind;
	engine_end(RUN_FAILED);
}

static void copy_text(char *to, const char *from, u32 room)
{
	u32 n;

	for (n = 0; n < room - 1 && from[n]; n++)
		to[n] = from[n];
	to[n] = 0;
}

noinline void report_assertion(const char *text, const char *file, u32 line, u64 pc)
{
	struct explore_result *result = &the_explore->result;

	copy_text(result->assertion, text, sizeof(result->assertion));
	copy_text(result->assertion_file, file, sizeof(result->assertion_file));
	result->assertion_line = line;
	virtual_report(FINDING_CLAIM, pc, NULL, 0, line);
}

static u64 mix(u64 value)
{
	value = (value ^ value >> 31) * HASH_FACTOR;
	return value ^ value >> 29;
}

/* The sides are added, so that it does not matter which of them met it. */
u64 finding_signature(const struct finding *finding)
{
	const struct explore_result *result = &the_explore->result;
	u64 hash = mix(finding->kind), places = mix(finding->here.stack[0]);

	if (finding->kind == FINDING_DEADLOCK || finding->kind == FINDING_LOST_WAKEUP) {
		places = 0;
		for (u32 n = 0; n < result->nr_waiting; n++)
			places += mix(result->waiting[n].pc ^ result->waiting[n].what);
	} else if (finding->kind == FINDING_NO_PROGRESS) {
		/* Which instruction of the loop it was is chance. */
		places = mix(finding->value[3]);
	} else if (finding->other.tsc) {
		places += mix(finding->other.stack[0]);
	}
	hash = mix(hash ^ places);
	return hash ? hash : 1;
}

noinline void report_dead_stack(struct vcpu *cpu, const struct store *store, struct fiber *owner)
{
	struct finding *finding = &the_explore->result.finding;

	*finding = (struct finding){ .value = { store->addr, store->size } };
	name_side(&finding->here, cpu);
	finding->here.stack[0] = store->pc;
	virtual_side_of(&finding->other, &engine.vcpu[owner->cpu]);
	finding->kind = FINDING_USE_AFTER_FREE;
	engine_end(RUN_FAILED);
}
