// SPDX-License-Identifier: MIT
/* No CPU can go on: who waits for what, and is it a cycle? */
#include "detectors/report.h"

/* What was said about a CPU's wait before it began; it counts if the place is the same. */
static struct {
	u64 addr;
	u32 what;
	u32 owner;
} notes[VIRTUAL_CPUS];

void report_note(u32 what, u64 addr, u32 owner)
{
	u32 cpu = engine.cpu->id;

	notes[cpu].addr = addr;
	notes[cpu].what = what;
	notes[cpu].owner = owner;
}

static void describe(struct waiting *waiting, struct vcpu *cpu)
{
	const struct pending *pending = &cpu->pending;
	struct side side;

	virtual_side_of(&side, cpu);
	*waiting = (struct waiting){
		.cpu = cpu->id,
		.what = WAITING_WORD,
		.waits_for = AGENT_NOBODY,
		.task = side.task,
		.object = pending->addr,
		.pc = side.stack[0],
		.caller = { side.stack[1], side.stack[1] ? side.stack[2] : 0,
			    side.stack[1] && side.stack[2] ? side.stack[3] : 0 },
	};
	switch (pending->kind) {
	case EVENT_KIND_LOCK:
		waiting->what = WAITING_MUTEX;
		waiting->value = load_word(pending->addr, 4);
		waiting->waits_for = waiting->value - 1;
		break;
	case EVENT_KIND_JOIN:
		waiting->what = WAITING_JOIN;
		waiting->waits_for = pending->value;
		break;
	case EVENT_KIND_RELAX:
		waiting->what = WAITING_ANYTHING;
		break;
	default:
		if (pending->size)
			waiting->value = load_word(pending->addr, pending->size);
	}
	if (pending->kind == EVENT_KIND_AWAIT && notes[cpu->id].addr == pending->addr) {
		waiting->what = notes[cpu->id].what;
		waiting->waits_for = notes[cpu->id].owner;
	}
	if (waiting->waits_for >= engine.nr_cpus)
		waiting->waits_for = AGENT_NOBODY;
}

static struct waiting *waiting_of(u32 cpu)
{
	struct explore_result *result = &the_explore->result;

	for (u32 n = 0; n < result->nr_waiting; n++) {
		if (result->waiting[n].cpu == cpu)
			return &result->waiting[n];
	}
	return NULL;
}

/* Who would have to act for @waiting, if that one waits as well. */
static struct waiting *next_of(const struct waiting *waiting)
{
	struct explore_result *result = &the_explore->result;

	if (!waiting->owner)
		return waiting_of(waiting->waits_for);
	for (u32 n = 0; n < result->nr_waiting; n++) {
		if (result->waiting[n].task == waiting->owner - 1)
			return &result->waiting[n];
	}
	return NULL;
}

/* Follow who waits for whom from @waiting: the first one that is met twice is in a cycle. */
static struct waiting *last_of_chain(struct waiting *waiting)
{
	u64 seen = 0;

	for (;;) {
		struct waiting *next = next_of(waiting);

		seen |= 1UL << (waiting - the_explore->result.waiting);
		if (!next || seen >> (next - the_explore->result.waiting) & 1)
			return next ? next : waiting;
		waiting = next;
	}
}

static void mark_cycle(struct waiting *first)
{
	struct waiting *waiting = first;

	do {
		waiting->in_cycle = 1;
		waiting = next_of(waiting);
	} while (waiting != first);
}

/* It is a task that waits, and its CPU may do something else. */
static void place_side(struct side *side, const struct waiting *waiting)
{
	side->task = waiting->task;
	side->stack[0] = waiting->pc;
	for (u32 n = 0; n < ARRAY_SIZE(waiting->caller); n++)
		side->stack[n + 1] = waiting->caller[n];
	side->stack[ARRAY_SIZE(waiting->caller) + 1] = 0;
}

static void __attribute__((noreturn)) report_waiting(enum finding_kind kind, struct waiting *first)
{
	struct finding *finding = &the_explore->result.finding;
	struct waiting *second = next_of(first);

	*finding = (struct finding){ .kind = FINDING_NONE };
	virtual_side_of(&finding->here, &engine.vcpu[first->cpu]);
	if (program->find_waiting)
		place_side(&finding->here, first);
	if (first->waits_for < VIRTUAL_CPUS)
		virtual_side_of(&finding->other, &engine.vcpu[first->waits_for]);
	if (program->find_waiting && second)
		place_side(&finding->other, second);
	if (kind == FINDING_DEADLOCK) {
		finding->value[0] = first->task;
		finding->value[1] = first->what;
		finding->value[2] = first->object;
		for (u32 n = 0; n < the_explore->result.nr_waiting; n++)
			finding->value[3] += the_explore->result.waiting[n].in_cycle;
	} else {
		finding->value[0] = first->what;
		finding->value[1] = first->object;
		finding->value[2] = first->value;
		finding->value[3] = the_explore->result.nr_waiting;
	}
	/* A lock whose owner has ended is nobody's cycle, but it is a lock. */
	if (!second && first->waits_for < VIRTUAL_CPUS)
		finding->other.stack[0] = 0;
	finding->kind = kind;
	engine_end(RUN_FAILED);
}

static bool is_lock(const struct waiting *waiting)
{
	return waiting->what == WAITING_MUTEX || waiting->what == WAITING_SPINLOCK ||
	       waiting->what == WAITING_WRITE_LOCK || waiting->what == WAITING_READ_LOCK;
}

static void find_waiting(struct explore_result *result)
{
	result->nr_waiting = 0;
	if (program->find_waiting) {
		result->nr_waiting = program->find_waiting(result->waiting);
		return;
	}
	for (u64 left = engine.blocked; left; left &= left - 1) {
		struct vcpu *cpu = &engine.vcpu[__builtin_ctzl(left)];

		/* One without a task waits for nothing. */
		if (cpu->pending.kind != EVENT_KIND_IDLE)
			describe(&result->waiting[result->nr_waiting++], cpu);
	}
}

void report_deadlock(void)
{
	struct explore_result *result = &the_explore->result;
	struct waiting *last = NULL;

	find_waiting(result);
	if (!result->nr_waiting)
		virtual_report(FINDING_DEADLOCK, 0, NULL, engine.cpu->fiber->index);
	for (u32 n = 0; n < result->nr_waiting; n++) {
		last = last_of_chain(&result->waiting[n]);
		if (next_of(last)) {
			mark_cycle(last);
			report_waiting(FINDING_DEADLOCK, last);
		}
	}
	/* No cycle: somebody waits for what will not come, a lock never given back or news. */
	for (u32 n = 0; n < result->nr_waiting; n++) {
		last = last_of_chain(&result->waiting[n]);
		if (is_lock(last))
			report_waiting(FINDING_DEADLOCK, last);
	}
	report_waiting(FINDING_LOST_WAKEUP, last);
}
