// SPDX-License-Identifier: MIT
/* machine.h on the engine: interrupts, waiting, and the change from task to task. */
#include "programs/kernel.h"

#include "fiber.h"
#include "hooks.h"
#include "text/text.h"
#include "detectors/report.h"
#include "detectors/section.h"

#include <finding.h>
#include <irqflags.h>
#include <kernel/irq.h>
#include <kernel/kthread.h>
#include <kernel/text.h>

/* What __statistics of workers/include/machine.h puts together. */
extern const u8 __start_statistics[], __stop_statistics[];

#define PC ((u64)__builtin_return_address(0))

/*
 * Pending bits are what an interrupt controller keeps: setting them is a locked
 * operation, since all stores before it are out before an interrupt is, and so
 * is taking them, since an interrupt empties the buffer of the CPU that takes it.
 * Source: Intel, Software Developer's Manual 3A, 12.10 "Store Buffer" (2024).
 */
void machine_raise_irq(int target, u32 bits)
{
	u32 *pending = &cpu_at(target)->irq_pending;

	hook_rmw((u64)pending, sizeof(*pending), PC);
	*pending |= bits;
	engine.irqs |= 1UL << target;
	hook_rmw_done((u64)pending, sizeof(*pending), ORDER_FULL, PC);
	if (engine.cpu && cpu_at(target) == this_cpu() && !this_cpu()->irq_off)
		irq_run_pending();
}

u64 machine_jiffies(void)
{
	u64 *now = &the_machine->jiffies;

	hook_load((u64)now, sizeof(*now), ORDER_RELAXED, PC);
	return *now;
}

void machine_timer_program(u64 when)
{
	kernel_timer_set(smp_processor_id(), when);
}

/* Interrupts come into handlers as into anything. */
void machine_open_irqs(bool open)
{
}

/* The timer of @cpu has interrupted it: so it is as late as that, for all. */
static void pass_time(struct cpu *cpu)
{
	u64 *now = &the_machine->jiffies, when = cpu->timer;

	kernel_timer_set(cpu->id, 0);
	hook_load((u64)now, sizeof(*now), ORDER_RELAXED, PC);
	if (*now >= when)
		return;
	hook_rmw((u64)now, sizeof(*now), PC);
	if (*now < when)
		*now = when;
	hook_rmw_done((u64)now, sizeof(*now), ORDER_FULL, PC);
}

u32 machine_take_irqs(void)
{
	u32 *pending = &this_cpu()->irq_pending, taken;

	/* Somebody may make one pending before it is looked for, or after. */
	if (!*pending)
		hook_load((u64)pending, sizeof(*pending), ORDER_RELAXED, PC);
	if (!*pending)
		return 0;
	hook_rmw((u64)pending, sizeof(*pending), PC);
	taken = *pending;
	*pending = 0;
	engine.irqs &= ~(1UL << this_cpu()->id);
	hook_rmw_done((u64)pending, sizeof(*pending), ORDER_FULL, PC);
	if (unlikely(taken & IRQ_TIMER))
		pass_time(this_cpu());
	return taken;
}

void machine_irqs_done(void)
{
}

static void await(const u32 *word, u32 value, enum order order, u64 pc)
{
	struct vcpu *cpu = engine.cpu;

	cpu->pending.value = value;
	engine_point(EVENT_KIND_AWAIT, (u64)word, sizeof(*word), pc);
	if (engine.races)
		race_load(cpu, (u64)word, sizeof(*word), order, pc);
	if (unlikely(engine.show))
		show_access(cpu, EVENT_KIND_AWAIT, (u64)word, sizeof(*word), *word, order, pc);
}

void machine_relax_while(const u32 *word, u32 value)
{
	await(word, value, ORDER_RELAXED, PC);
}

/* Here it costs nothing to wait, unless a task that wakes cannot have the CPU meanwhile. */
void machine_spin_while(const u32 *word, u32 value)
{
	if (preempt_is_full())
		await(word, value, ORDER_RELAXED, PC);
}

void machine_wait_clear(const u32 *word, u32 bits)
{
	struct vcpu *cpu = engine.cpu;

	cpu->pending.bits = bits;
	await(word, 0, ORDER_ACQUIRE, PC);
	cpu->pending.bits = 0;
}

void machine_count_down(u32 *count)
{
	hook_locked(EVENT_KIND_ADD, (u64)count, sizeof(*count), PC);
	--*count;
	hook_rmw_done((u64)count, sizeof(*count), ORDER_RELEASE, PC);
}

/* Who waits for a word looks at it whenever something is written. */
void machine_wake(const u32 *word)
{
}

void machine_keep_core(void)
{
}

void machine_offer_core(void)
{
}

void machine_hurry(int cpu)
{
}

void machine_idle(void)
{
	engine_point(EVENT_KIND_IDLE, 0, 0, PC);
}

static void note_frame(struct task_struct *task, u64 frame)
{
	undo_push((u64)&task->parked_frame, sizeof(task->parked_frame), task->parked_frame);
	task->parked_frame = frame;
}

void machine_switch(struct task_struct *prev, struct task_struct *next)
{
	struct vcpu *cpu = engine.cpu;
	u32 irq_depth = cpu->irq_depth;

	if (unlikely(engine.show))
		show_event(cpu, EVENT_KIND_SWITCH, 0, 0, next->index, PC);
	if (unlikely(kernel.late_timers) && kernel_task_is_explored(next))
		kernel.late_timers = 0;
	/* The task that goes may be interrupted; the one that comes has its own place. */
	cpu->irq_depth = 0;
	note_frame(prev, (u64)__builtin_frame_address(0));
	section_switched(cpu);
	engine_switch_fiber(cpu, &fibers[next->index], PC);
	note_frame(prev, 0);
	cpu->irq_depth = irq_depth;
}

static void task_start(void)
{
	task_entry(&the_machine->task[engine.cpu->fiber->index]);
}

void kernel_fiber_init(struct task_struct *task, void (*entry)(void))
{
	struct fiber *fiber = &fibers[task->index];

	undo_push((u64)&task->has_thread, sizeof(task->has_thread), task->has_thread);
	task->has_thread = 1;
	fiber->cpu = task->cpu;
	fiber_reset(fiber, entry);
}

int machine_start_task(struct task_struct *task)
{
	if (!task->has_thread)
		kernel_fiber_init(task, task_start);
	return 0;
}

void machine_notify(void)
{
}

/* What is written down of a finding is not part of the run: the next one starts afresh. */
void machine_freeze(void)
{
	struct finding *finding = &the_machine->finding[0];

	/* Met while hooks kept quiet. */
	if (!engine.cpu)
		engine.cpu = &engine.vcpu[this_cpu()->id];
	/* Its first place is where all findings are written down. */
	for (u32 n = 1; !finding->has_regs && n < STACK_FRAMES; n++)
		finding->here.stack[n - 1] = finding->here.stack[n];
	/* Who turned off what must be on. */
	if (finding->kind == FINDING_BAD_CONTEXT ||
	    (finding->kind == FINDING_UNBALANCED && !in_interrupt()))
		finding->other = section_side(engine.cpu);
	the_explore->result.finding = *finding;
	the_explore->result.signature = finding_signature(finding);
	*finding = (struct finding){ 0 };
	the_machine->nr_findings = 0;
	engine_end(RUN_FAILED);
}

bool machine_ip_is_atomic(u64 ip)
{
	return is_slot_area(ip);
}

static void init_fiber(u32 n)
{
	u64 stride = TRAP_STACK_SIZE + TASK_STACK_SIZE;
	struct task_struct *task = &the_machine->task[n];
	struct fiber *fiber = &fibers[n];

	task->trap_stack = engine.stacks + n * stride;
	task->stack = task->trap_stack + TRAP_STACK_SIZE;
	fiber->stack = task->stack;
	fiber->size = TASK_STACK_SIZE;
	fiber->index = n;
	fiber->private_start = (u64)task + TASK_PRIVATE_START;
	fiber->private_size = TASK_PRIVATE_END - TASK_PRIVATE_START;
	fiber->notes_start = (u64)task + TASK_NOTES_START;
	fiber->notes_size = TASK_NOTES_END - TASK_NOTES_START;
	fiber->restored = TASK_RESTORED;
}

static void note_constant(const struct explored_constant *constant)
{
	for (u32 n = 0; n < constant->count; n++) {
		u64 place = constant->start + (u64)n * constant->stride - engine.tables;

		for (u32 at = 0; at < constant->size && place + at < TABLES_BYTES; at += 4)
			table_constants[(place + at) / 256] |= 1UL << (place + at) / 4 % 64;
	}
}

void kernel_machine_init(void)
{
	kernel_interrupts_init();
	engine.constant[0] = ARENA_BASE;
	engine.constant_size[0] = offsetof(struct machine, text.module);
	engine.constant[1] = ARENA_BASE + the_machine->region[REGION_TABLES].offset;
	engine.constant_size[1] = the_machine->region[REGION_TEXT].offset -
				  the_machine->region[REGION_TABLES].offset;
	engine.tables = ARENA_BASE + the_machine->region[REGION_HARNESS].offset;
	for (u32 n = 0; n < the_explore->nr_constants; n++)
		note_constant(&the_explore->constant[n]);
	engine.statistics = (u64)__start_statistics;
	engine.statistics_size = (u64)__stop_statistics - (u64)__start_statistics;
	engine.stacks = ARENA_BASE + the_machine->region[REGION_STACKS].offset;
	engine.stack_stride = TRAP_STACK_SIZE + TASK_STACK_SIZE;
	engine.stacks_size = engine.stack_stride * MAX_FIBERS;
	for (u32 n = 0; n < MAX_FIBERS; n++)
		init_fiber(n);
	for (u32 n = 0; n < nr_kernel_cpus(); n++) {
		struct vcpu *cpu = &engine.vcpu[n];

		cpu->id = n;
		cpu->private_start = (u64)cpu_at(n);
		cpu->private_size = CPU_PRIVATE_END;
		cpu->owned_size = CPU_OWNED_END;
		cpu->irq_off = &cpu_at(n)->irq_off;
		cpu->guards_size = CPU_GUARDS_END;
		cpu->restored = CPU_RESTORED;
	}
}
