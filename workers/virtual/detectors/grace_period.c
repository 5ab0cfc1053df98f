// SPDX-License-Identifier: MIT
/*
 * Ghost state of RCU: when a grace period ends, no reader may be left that had
 * begun before it did.
 *
 * A grace period begins for its caller where it asks for one and what it has
 * removed is out of its store buffer, and ends where it goes on. A reader of
 * PREEMPT_OFF_READERS begins where its CPU turns preemption or interrupts off
 * while both are on, or takes an interrupt, and ends where both are on again.
 * These words are the CPU's own and in no store buffer, and no load of the section
 * is made before: so a reader that counts as older may have read what the caller
 * had not yet removed, and code that is right knows of it, since it asks that very
 * CPU. What looks like a reader and by contract is none (a context switch, idle,
 * RCU's own interrupt) is told by machine_quiescent().
 *
 * A reader of RUDE_READERS is the same, and ends where its CPU switches tasks; what looks like
 * one is one, and all that an idle task does until it switches.
 *
 * A reader of another domain begins when its lock function says that it has. It
 * says so where nothing of the section can have been read before, so after its
 * barrier if it has one: a count that is still in the store buffer is then no
 * excuse.
 *
 * Two moments of different CPUs between which nothing happens are ordered as the
 * run has them. An exhaustive search takes one run of each class, so it sees what
 * a reader could notice: that it read before the removal, and again after the end.
 */
#include "detectors/lock_order.h"
#include "detectors/report.h"
#include "detectors/section.h"

#include <machine.h>

#undef current

#define MAX_READERS 64
#define MAX_CALLBACKS 256
#define ANY_TASK (~0u)        /* of a reader that another task may end */
#define MAX_COOKIES 64

struct reader {
	u64 domain;
	u64 began;
	u32 task;
	u32 nesting;          /* 0 = none now */
	struct lock_place place;
};

static struct reader readers[MAX_READERS];
static struct { u64 domain, head, queued; } callbacks[MAX_CALLBACKS];
static struct { u64 domain, cookie, taken; } cookies[MAX_COOKIES]; /* the oldest is replaced */
static u32 nr_readers, nr_callbacks, nr_cookies;
/* Without preemption: when each CPU last passed a quiescent state; 0 = it idles. */
static u64 regions[VIRTUAL_CPUS];

struct section sections[VIRTUAL_CPUS];
u64 last_moment;

void sections_begin(void)
{
	for (u32 n = 0; n < VIRTUAL_CPUS; n++)
		sections[n] = (struct section){ 0 };
	nr_readers = nr_callbacks = nr_cookies = 0;
	last_moment = 1;
	for (u32 n = 0; n < VIRTUAL_CPUS; n++)
		regions[n] = !the_machine->cpu[n].in_eqs;
}

static bool is_in_section(const struct vcpu *cpu)
{
	const struct cpu *context = &the_machine->cpu[cpu->id];

	return context->preempt_count || context->irq_off;
}

struct side section_side(const struct vcpu *cpu)
{
	const struct section *section = &sections[cpu->id];
	struct side side = { .cpu = cpu->id };
	u32 count = 0;

	if (!section->began || !is_in_section(cpu))
		return side;
	side.task = section->task;
	side.tsc = section->step;
	side.stack[count++] = section->pc;
	if (section->caller && !is_machine_text(section->caller))
		side.stack[count++] = section->caller;
	return side;
}

static void __attribute__((noreturn)) report_reader(u32 cpu, u64 domain, const struct side *other,
						    u64 frame)
{
	virtual_finding(FINDING_SHORT_GRACE_PERIOD, 0, frame, other,
			(const u64[6]){ cpu, domain });
}

static void check_sections(u64 began, u64 frame)
{
	for (u32 n = 0; n < engine.nr_cpus; n++) {
		const struct vcpu *cpu = &engine.vcpu[n];
		struct side side;

		/* This CPU runs who has waited. */
		if (cpu == engine.cpu || sections[n].began >= began || !sections[n].began)
			continue;
		side = section_side(cpu);
		if (side.tsc)
			report_reader(n, 0, &side, frame);
	}
}

/* Whatever a CPU does since it last passed a quiescent state is a reader. */
static void check_regions(u64 began, u64 frame)
{
	for (u32 n = 0; n < engine.nr_cpus && the_machine->config.preempt == PREEMPT_NONE; n++) {
		const struct vcpu *cpu = &engine.vcpu[n];
		struct side side = { .cpu = n, .task = cpu->fiber->index, .tsc = engine.steps };

		if (cpu == engine.cpu || !regions[n] || regions[n] >= began)
			continue;
		side.stack[0] = cpu->pending.pc;
		report_reader(n, (u64)RCU_READERS, &side, frame);
	}
}

/*
 * Code that has preemption or interrupts off since before, on a CPU that has not switched since;
 * and whatever an idle task does. A CPU that is down does nothing, once its idle task has it.
 */
static void check_rude(u64 began, u64 frame)
{
	for (u32 n = 0; n < engine.nr_cpus; n++) {
		const struct vcpu *cpu = &engine.vcpu[n];
		const struct section *section = &sections[n];
		bool idle = cpu->fiber->index == n;
		struct side side = { .cpu = n, .task = cpu->fiber->index, .tsc = section->step };

		if (cpu == engine.cpu || section->switched >= began ||
		    (idle ? !the_machine->cpu[n].online
			  : !is_in_section(cpu) || section->entered >= began))
			continue;
		side.stack[0] = idle ? cpu->pending.pc : section->pc;
		report_reader(n, (u64)RUDE_READERS, &side, frame);
	}
}

static void check_readers(u64 domain, u64 began, u64 frame)
{
	for (u32 n = 0; n < nr_readers; n++) {
		const struct reader *reader = &readers[n];

		struct side side;

		if (!reader->nesting || reader->domain != domain || reader->began >= began ||
		    reader->task == engine.cpu->fiber->index)
			continue;
		side = lock_side(&reader->place);
		report_reader(side.cpu, domain, &side, frame);
	}
}

static void check(u64 domain, u64 began, u64 frame)
{
	/* What began before this run did is not known. */
	if (!began)
		return;
	if (domain == (u64)RUDE_READERS)
		check_rude(began, frame);
	if (domain != (u64)PREEMPT_OFF_READERS)
		check_readers(domain, began, frame);
	if (domain == (u64)PREEMPT_OFF_READERS || domain == (u64)RCU_READERS)
		check_sections(began, frame);
	if (domain == (u64)RCU_READERS)
		check_regions(began, frame);
}

static bool is_run(void)
{
	return engine.cpu && !engine.booting;
}

u64 machine_grace_period_begins(const void *domain)
{
	return is_run() ? ++last_moment : 0;
}

noinline void machine_grace_period_ends(const void *domain, u64 began)
{
	if (is_run())
		check((u64)domain, began, (u64)__builtin_frame_address(0));
}

void machine_quiescent(bool surely)
{
	if (engine.cpu && (surely || !the_machine->cpu[engine.cpu->id].preempt_count))
		sections[engine.cpu->id].began = 0;
}

void machine_region_ends(bool goes_on)
{
	if (engine.cpu)
		regions[engine.cpu->id] = goes_on ? ++last_moment : 0;
}

static struct reader *reader_of(u64 domain, u32 task)
{
	for (u32 n = 0; n < nr_readers; n++) {
		if (readers[n].domain == domain && readers[n].task == task)
			return &readers[n];
	}
	if (nr_readers == MAX_READERS)
		return NULL;
	readers[nr_readers] = (struct reader){ .domain = domain, .task = task };
	return &readers[nr_readers++];
}

noinline void machine_reader_begins(const void *domain)
{
	struct reader *reader;
	u32 task;

	if (!is_run())
		return;
	task = engine.cpu->fiber->index;
	if (domain == TASK_READERS && the_machine->task[task].class == TASK_IDLE)
		return;
	reader = reader_of((u64)domain, task);
	if (!reader || reader->nesting++)
		return;
	reader->began = ++last_moment;
	lock_note_place(&reader->place, engine.cpu, __builtin_frame_address(0));
}

void machine_reader_ends(const void *domain)
{
	struct reader *reader;

	if (!is_run())
		return;
	reader = reader_of((u64)domain, engine.cpu->fiber->index);
	if (reader && reader->nesting)
		reader->nesting--;
}

u32 grace_period_reader(u64 domain)
{
	for (u32 n = 0; n < nr_readers; n++) {
		const struct reader *reader = &readers[n];

		if (reader->nesting && reader->domain == domain && reader->task != ANY_TASK)
			return reader->task;
	}
	return MAX_TASKS;
}

/* A place for one more of them, as if it were the only one of its task. */
noinline void machine_mover_begins(const void *domain)
{
	struct reader *reader = NULL;

	if (!is_run())
		return;
	for (u32 n = 0; n < nr_readers && !reader; n++) {
		if (readers[n].task == ANY_TASK && !readers[n].nesting)
			reader = &readers[n];
	}
	if (!reader && nr_readers < MAX_READERS)
		reader = &readers[nr_readers++];
	if (!reader)
		return;
	*reader = (struct reader){
		.domain = (u64)domain, .task = ANY_TASK, .nesting = 1, .began = ++last_moment,
	};
	lock_note_place(&reader->place, engine.cpu, __builtin_frame_address(0));
}

/* Which of them ends is not known: those that stay began at that moment or later. */
void machine_mover_ends(const void *domain)
{
	struct reader *oldest = NULL;

	if (!is_run())
		return;
	for (u32 n = 0; n < nr_readers; n++) {
		struct reader *reader = &readers[n];

		if (reader->task != ANY_TASK || !reader->nesting ||
		    reader->domain != (u64)domain)
			continue;
		if (!oldest || reader->began < oldest->began)
			oldest = reader;
	}
	if (oldest)
		oldest->nesting = 0;
}

void machine_callback_queued(const void *domain, const void *head)
{
	if (!is_run() || nr_callbacks == MAX_CALLBACKS)
		return;
	callbacks[nr_callbacks].domain = (u64)domain;
	callbacks[nr_callbacks].head = (u64)head;
	callbacks[nr_callbacks++].queued = ++last_moment;
}

noinline void machine_callback_runs(const void *domain, const void *head)
{
	u64 queued = 0;

	for (u32 n = 0; n < nr_callbacks && is_run(); n++) {
		if (callbacks[n].head != (u64)head || callbacks[n].domain != (u64)domain)
			continue;
		queued = callbacks[n].queued;
		callbacks[n] = callbacks[--nr_callbacks];
		break;
	}
	check((u64)domain, queued, (u64)__builtin_frame_address(0));
}

/* Who has the same number from an earlier moment cannot be told from who has it from the last. */
void machine_cookie_taken(const void *domain, u64 cookie)
{
	u32 n = 0, most = nr_cookies < MAX_COOKIES ? nr_cookies : MAX_COOKIES;

	if (!is_run())
		return;
	while (n < most && (cookies[n].cookie != cookie || cookies[n].domain != (u64)domain))
		n++;
	if (n == most)
		n = nr_cookies++ % MAX_COOKIES;
	cookies[n].domain = (u64)domain;
	cookies[n].cookie = cookie;
	cookies[n].taken = ++last_moment;
}

noinline void machine_cookie_passed(const void *domain, u64 cookie)
{
	u32 most = nr_cookies < MAX_COOKIES ? nr_cookies : MAX_COOKIES;

	for (u32 n = 0; n < most && is_run(); n++) {
		if (cookies[n].cookie == cookie && cookies[n].domain == (u64)domain)
			check((u64)domain, cookies[n].taken, (u64)__builtin_frame_address(0));
	}
}
