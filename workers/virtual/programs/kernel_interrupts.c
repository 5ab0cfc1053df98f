// SPDX-License-Identifier: MIT
/*
 * What interrupts the CPUs of a kernel: cross calls and the like, which are raised;
 * and what comes when it likes: ticks, devices, and NMIs, each so often in a run.
 *
 * A timer that is armed (cpu->timer) comes when it likes, too: time is nobody's clock here, so
 * it may have passed at any moment. So that a timer that is armed again and again does not
 * make a run endless, of each CPU only MAX_TIMERS do so; others wait until nothing else can go on.
 */
#include "programs/kernel.h"

#include "hooks.h"
#include "text/text.h"

#include <error.h>
#include <kernel/irq.h>

#define PC ((u64)__builtin_return_address(0))

/* engine.interrupts.sources(): the tick is bit 0, line n is bit n + 1, the timer comes last. */
#define TICK 0x1u
#define LINE(n) (0x2u << (n))
#define TIMER LINE(IRQ_LINES)

#define SOURCE_TIMER (1 + IRQ_LINES)

#define MAX_TIMERS 8          /* of a CPU and run, that choose their moment */

#define BYTE_OF(line) (0xffUL << (8 * (line)))
#define ONE_OF(line) (1UL << (8 * (line)))

/* As they are when a run begins. */
static struct {
	u64 arrivals;         /* see struct vcpu */
	u64 devices, nmis;    /* masks of their bytes in it */
	u32 lines;            /* how many have a handler */
} cpus[VIRTUAL_CPUS];

static struct explored_interrupt interrupts[MAX_EXPLORED_INTERRUPTS];
static u32 nr_interrupts;

u32 machine_take_nmis(void)
{
	u32 *pending = &this_cpu()->nmi_pending, taken;

	if (!*pending)
		return 0;
	hook_rmw((u64)pending, sizeof(*pending), PC);
	taken = *pending;
	*pending = 0;
	hook_rmw_done((u64)pending, sizeof(*pending), ORDER_FULL, PC);
	return taken;
}

static bool irqs_enabled(u32 cpu)
{
	return !cpu_at(cpu)->irq_off;
}

/*
 * On the fiber of the task that is interrupted, which may not be resumed for
 * long. A processor turns interrupts off before the handler's first instruction, and
 * the return from it fetches anew before the next one comes.
 */
static void take_irq(u32 id)
{
	struct vcpu *cpu = &engine.vcpu[id];
	struct pt_regs regs = {
		.ip = cpu->pending.pc,
		.bp = (u64)__builtin_frame_address(0),
	};

	kernel_irqs_off(cpu, regs.ip);
	do_irq(&regs);
	if (!text_is_patched_somewhere())
		return;
	kernel_irqs_off(cpu, regs.ip);
	text_sync(cpu, regs.ip);
	kernel_irqs_restore(cpu, 0);
}

static bool timer_may_come(u32 id)
{
	return unlikely(cpu_at(id)->timer) && kernel.timers[id] < MAX_TIMERS &&
	       kernel.phase == PHASE_RUN;
}

/* What may still come to a CPU; none of it is an NMI while it is in one. */
static void note_arrivals(u32 id, bool in_nmi)
{
	struct vcpu *cpu = &engine.vcpu[id];
	u64 bit = 1UL << id;
	bool nmi = cpu->arrivals & cpus[id].nmis && !in_nmi;

	engine.nmis = nmi ? engine.nmis | bit : engine.nmis & ~bit;
	if (cpu->ticks || cpu->arrivals & cpus[id].devices || nmi || timer_may_come(id))
		engine.ticking |= bit;
	else
		engine.ticking &= ~bit;
}

static void take_nmi(u32 id)
{
	struct vcpu *cpu = &engine.vcpu[id];
	struct pt_regs regs = {
		.ip = cpu->pending.pc,
		.bp = (u64)__builtin_frame_address(0),
	};
	u32 irq_off = cpu_at(id)->irq_off;

	kernel_irqs_off(cpu, regs.ip);
	note_arrivals(id, true);
	do_nmi(&regs);
	text_sync(cpu, regs.ip);
	note_arrivals(id, false);
	kernel_irqs_restore(cpu, irq_off);
}

/* A CPU that rests takes interrupts, though they are off: then it goes on. */
static bool takes_interrupts(const struct vcpu *cpu)
{
	return irqs_enabled(cpu->id) || cpu->pending.kind == EVENT_KIND_IDLE;
}

static u32 lines_left(u64 arrivals)
{
	u32 lines = 0;

	for (u32 line = 0; line < IRQ_LINES; line++) {
		if (arrivals & BYTE_OF(line))
			lines |= LINE(line);
	}
	return lines;
}

static u32 find_sources(u32 id)
{
	const struct vcpu *cpu = &engine.vcpu[id];
	u32 sources = 0;

	if (unlikely(!cpu_at(id)->online))
		return 0;
	if (!(engine.irqs >> id & 1)) {
		if (cpu->ticks && irqs_enabled(id))
			sources = TICK;
		if (timer_may_come(id) && takes_interrupts(cpu))
			sources |= TIMER;
		if (cpu->arrivals && takes_interrupts(cpu))
			sources |= lines_left(cpu->arrivals & cpus[id].devices);
	}
	if (unlikely(engine.nmis >> id & 1))
		sources |= lines_left(cpu->arrivals & cpus[id].nmis);
	return sources;
}

static void raise(u32 id, u32 irq)
{
	u32 *pending = &cpu_at(id)->irq_pending;

	kernel_set_word(pending, *pending | irq);
	engine.irqs |= 1UL << id;
}

static bool arrive(u32 id, u32 source)
{
	struct vcpu *cpu = &engine.vcpu[id];
	u32 line = source - 1;
	bool nmi = source && source != SOURCE_TIMER && cpus[id].nmis & BYTE_OF(line);

	if (source == SOURCE_TIMER)
		kernel.timers[id]++;
	else if (source)
		cpu->arrivals -= ONE_OF(line);
	else
		cpu->ticks--;
	if (nmi) {
		kernel_set_word(&cpu_at(id)->nmi_pending, 1u << line);
		return true;
	}
	note_arrivals(id, !(engine.nmis >> id & 1));
	if (unlikely(engine.show))
		show_event(cpu, EVENT_KIND_TICK, 0, 0, source, 0);
	if (source == SOURCE_TIMER)
		raise(id, IRQ_TIMER);
	else
		raise(id, source ? IRQ_DEVICE(line) : IRQ_TICK);
	return false;
}

void kernel_timer_set(u32 id, u64 when)
{
	if (cpu_at(id)->timer == when)
		return;
	if (kernel.timers[id] == MAX_TIMERS && !kernel_tasks_have_ended())
		engine.left_out = 1;
	kernel_set_long(&cpu_at(id)->timer, when);
	note_arrivals(id, the_machine->cpu[id].nmi_depth);
}

bool kernel_timer_passes(void)
{
	u32 first = nr_kernel_cpus();

	for (u32 n = 0; n < nr_kernel_cpus(); n++) {
		if (!cpu_at(n)->timer || engine.irqs >> n & 1 || !takes_interrupts(&engine.vcpu[n]))
			continue;
		if (first == nr_kernel_cpus() || cpu_at(n)->timer < cpu_at(first)->timer)
			first = n;
	}
	if (first == nr_kernel_cpus())
		return false;
	if (unlikely(engine.show))
		show_event(&engine.vcpu[first], EVENT_KIND_TICK, 0, 0, SOURCE_TIMER, 0);
	raise(first, IRQ_TIMER);
	return true;
}

void kernel_interrupts_tick(u32 id)
{
	raise(id, IRQ_TICK);
}

void kernel_interrupts_init(void)
{
	engine.interrupts = (struct interrupts){
		.enabled = irqs_enabled, .take = take_irq, .sources = find_sources,
		.arrive = arrive, .take_nmi = take_nmi,
	};
}

int kernel_interrupts_add(const struct explored_interrupt *interrupt)
{
	u32 n = nr_interrupts;

	if (n == MAX_EXPLORED_INTERRUPTS || interrupt->cpu >= GATE_CPU ||
	    !interrupt->times || interrupt->times > 255 ||
	    cpus[interrupt->cpu].lines++ == IRQ_LINES)
		return -ERANGE;
	/* In the order that they are written, as tasks are. */
	for (; n && interrupts[n - 1].line > interrupt->line; n--)
		interrupts[n] = interrupts[n - 1];
	interrupts[n] = *interrupt;
	nr_interrupts++;
	return 0;
}

/* Lines are given from the first one on. */
int kernel_interrupts_request(void)
{
	int error = 0;

	for (u32 n = 0; n < nr_interrupts && !error; n++) {
		const struct explored_interrupt *one = &interrupts[n];
		u32 line = __builtin_popcount(cpu_at(one->cpu)->irq_lines |
					      cpu_at(one->cpu)->nmi_lines);

		cpus[one->cpu].arrivals |= one->times * ONE_OF(line);
		if (one->nmi) {
			cpus[one->cpu].nmis |= BYTE_OF(line);
			error = request_nmi(one->cpu, line, one->function, one->argument);
		} else {
			cpus[one->cpu].devices |= BYTE_OF(line);
			error = request_irq(one->cpu, line, one->function, one->argument);
		}
	}
	return error;
}

u32 kernel_interrupts_cpus(void)
{
	u32 most = 0;

	for (u32 n = 0; n < nr_interrupts; n++)
		most = interrupts[n].cpu >= most ? interrupts[n].cpu + 1 : most;
	return most;
}

bool kernel_interrupts_exist(void)
{
	return nr_interrupts;
}

void kernel_interrupts_begin(void)
{
	for (u32 n = 0; n < nr_kernel_cpus(); n++) {
		struct vcpu *cpu = &engine.vcpu[n];

		cpu->ticks = kernel.resting[n] ? the_explore->job.ticks : 0;
		cpu->arrivals = cpus[n].arrivals;
		note_arrivals(n, false);
	}
}

/* Its last task has ended, or those of all CPUs have. */
void kernel_interrupts_end(u32 id)
{
	engine.vcpu[id].ticks = 0;
	note_arrivals(id, false);
	for (u32 n = 0; kernel_tasks_have_ended() && n < nr_kernel_cpus(); n++) {
		engine.vcpu[n].arrivals = engine.vcpu[n].ticks = 0;
		note_arrivals(n, false);
	}
}
