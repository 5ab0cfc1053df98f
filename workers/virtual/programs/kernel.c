// SPDX-License-Identifier: MIT
/*
 * Tasks on a kernel. The machine is brought up once, up to the point where each
 * CPU is about to enter the function of its first task: that is the snapshot
 * from which every run begins.
 */
#include "programs/kernel.h"

#include "fiber.h"
#include "detectors/lock_order.h"
#include "detectors/report.h"
#include "detectors/section.h"
#include "strategies/strategy.h"
#include "programs/thread_local.h"
#include "text/text.h"

#include <error.h>
#include <irqflags.h>
#include <kernel/init.h>
#include <kernel/kthread.h>
#include <kernel/slab.h>

#undef current                /* the engine's is meant here */

#define LARGEST_CLASS 8192    /* bytes of an object with its redzones */
#define MAX_BOOT_STEPS (16u << 20)
#define LEARNING_STEPS 100000
#define LEARNING_RUNS_OF_TEXT 16
#define FIRST_JIFFIES 1000    /* what time it is when the machine boots */
#define LATE_TICKS 16         /* without effect, then nothing comes of it */
#define LATE_TIMERS 64        /* likewise */
#define LATE_TIMERS_AT_END 8  /* likewise, when all tasks have ended */

struct kernel kernel;

/* CPU whose fiber was the last to run before the engine had it back: it is the first again. */
static u32 resumed_cpu;
static u32 booted;            /* 1 = CPUs have begun to run */

/* How the boot ended, and all that the result tells of its finding if it failed. */
static enum run_end boot_end;
static u8 boot_finding[offsetof(struct explore_result, schedule) -
		       offsetof(struct explore_result, finding)];

static void idle_entry(void)
{
	struct vcpu *self = engine.cpu;

	if (self->id == 0) {
		for (u32 n = 1; n < nr_kernel_cpus(); n++)
			engine_start_cpu(&engine.vcpu[n]);
	}
	for (;;)
		cpu_idle_step();
}

static void make_idle_task(u32 id)
{
	struct cpu *cpu = cpu_at(id);
	struct task_struct *idle = &the_machine->task[id];

	idle->index = id;
	idle->cpu = id;
	idle->class = TASK_IDLE;
	idle->state = TASK_RUNNING;
	for (u32 n = 0; n < 4; n++)
		idle->name[n] = "idle"[n];
	cpu->id = id;
	cpu->idle = cpu->curr = idle;
	cpu->online = 1;
	kernel_fiber_init(idle, idle_entry);
	vcpu_reset(&engine.vcpu[id]);
	engine.vcpu[id].fiber = &fibers[id];
	/* As machine_idle() has it: whoever enters is off. */
	cpu->irq_off = 1;
}

/* All are suspended where they wait for something; the one that runs first looks again. */
static void all_blocked(void)
{
	engine.blocked = engine.recheck = (1UL << nr_kernel_cpus()) - 1;
	engine.current = resumed_cpu;
	engine.nr_cpus = nr_kernel_cpus();
	for (u32 n = 0; n < nr_kernel_cpus(); n++) {
		if (cpu_at(n)->irq_pending)
			engine.irqs |= 1UL << n;
	}
}

static void begin_boot(void)
{
	if (booted)
		all_blocked();
	booted = 1;
	engine.nr_cpus = nr_kernel_cpus();
}

static void begin_run(void)
{
	snapshot_restore();
	versions_begin();
	known_begin();
	all_blocked();
	leaks_begin();
	lock_order_begin();
	sections_begin();
	engine.exited = 1UL << GATE_CPU;
	engine.booting = 0;
	kernel.phase = PHASE_RUN;
	kernel.ended = 0;
	kernel.clock = 0;
	__builtin_memset(kernel.late_ticks, 0, sizeof(kernel.late_ticks));
	__builtin_memset(kernel.timers, 0, sizeof(kernel.timers));
	kernel.late_timers = 0;
	kernel_interrupts_begin();
}

static void failed_entry(void)
{
	__builtin_memcpy(&the_explore->result.finding, boot_finding, sizeof(boot_finding));
	engine_end(RUN_FAILED);
}

/* What no run comes past. */
static void begin_failed(void)
{
	engine.nr_cpus = nr_kernel_cpus();
	vcpu_reset(&engine.vcpu[0]);
	engine.vcpu[0].fiber = &fibers[0];
	fiber_reset(&fibers[0], failed_entry);
}

static void kernel_begin(void)
{
	if (kernel.phase == PHASE_FAILED)
		begin_failed();
	else if (kernel.phase < PHASE_RUN)
		begin_boot();
	else
		begin_run();
}

/* Everything that was to happen before the next phase of the boot has happened. */
static void suspend_all(void)
{
	resumed_cpu = engine.cpu->id;
	engine.nr_undo = 0;
	engine.end = RUN_PASSED;
	fiber_switch(engine.cpu->fiber, &engine.home);
}

/*
 * What an interrupt had to put off, such as a quiescent state in a slot, the next
 * tick of the timer sees to: a machine does not stand still as long as one helps.
 */
static bool tick_helps(void)
{
	bool helps = false;

	for (u32 n = 0; n < nr_kernel_cpus(); n++) {
		if (!(cpu_at(n)->preempt_work & ~PREEMPT_WORK_SRCU) || cpu_at(n)->irq_off ||
		    kernel.late_ticks[n] == LATE_TICKS)
			continue;
		kernel.late_ticks[n]++;
		kernel_interrupts_tick(n);
		helps = true;
	}
	return helps;
}

/*
 * Nothing hangs that waits for a timer. Those that are armed again and again, while no task of
 * the program goes on, help nobody. Before the run time passes only for who waits for it.
 */
static bool timer_helps(void)
{
	if (kernel.phase == PHASE_START && kernel.started)
		return false;
	if (kernel.phase > PHASE_RUN ||
	    kernel.late_timers++ >= (kernel_tasks_have_ended() ? LATE_TIMERS_AT_END : LATE_TIMERS))
		return false;
	return kernel_timer_passes();
}

static bool kernel_stuck(enum run_end *end)
{
	if (kernel.phase >= PHASE_RUN && tick_helps())
		return false;
	if (timer_helps())
		return false;
	if (kernel.phase == PHASE_START && !kernel.started)
		report_deadlock();
	if (kernel.phase < PHASE_RUN) {
		suspend_all();
		return false;
	}
	if (kernel.phase == PHASE_CHECK || !kernel_tasks_have_ended() ||
	    kernel_find_waiting(the_explore->result.waiting))
		report_deadlock();
	kernel.phase = PHASE_CHECK;
	kernel_tasks_check();
	*end = RUN_PASSED;
	return true;
}

/* Let the first CPU's new task @function run, until nothing more happens. */
static int boot_with(s64 (*function)(void *), const char *name)
{
	machine_this_cpu = cpu_at(0);
	if (function && !kthread_run(0, function, NULL, name))
		return -EAGAIN;
	if (function)
		machine_raise_irq(0, IRQ_RESCHED);
	boot_end = engine_run();
	__builtin_memcpy(boot_finding, &the_explore->result.finding, sizeof(boot_finding));
	return boot_end == RUN_PASSED ? 0 : -EINVAL;
}

/* An object of each class is made before any run: making more of them takes long. */
static void warm_up_slab(void)
{
	machine_this_cpu = cpu_at(0);
	for (size_t size = 1; size < LARGEST_CLASS; size += 64)
		kfree(kmalloc(size, GFP_ATOMIC | GFP_NOFAIL));
}

static int boot(void)
{
	int error;

	for (u32 n = 0; n < nr_kernel_cpus(); n++)
		make_idle_task(n);
	the_machine->online = nr_kernel_cpus();
	the_machine->state = MACHINE_BOOTING;
	the_machine->jiffies = FIRST_JIFFIES;
	kernel_early_init();
	warm_up_slab();
	error = boot_with(NULL, "");
	if (!error)
		error = boot_with(kernel_init_task, "init");
	kernel.phase = PHASE_START;
	if (!error)
		error = boot_with(kernel_tasks_start, "explore");
	return error;
}

/*
 * Which text is ever patched: fetches there are operations, so every process has
 * to know before its first job, and the same.
 */
static void learn_text(void)
{
	u32 most_steps = engine.max_steps;

	engine.limit = DEFAULT_STORES;
	engine.max_steps = LEARNING_STEPS;
	engine.strategy = &random_strategy;
	for (u64 run = 0; engine.text_size && run < LEARNING_RUNS_OF_TEXT; run++) {
		engine.strategy->begin(run);
		engine_run();
	}
	engine.max_steps = most_steps;
	__builtin_memset(&the_explore->result.finding, 0, sizeof(the_explore->result.finding));
	text_is_learned();
}

static int kernel_prepare(void)
{
	static const struct strategy none = { .name = "boot" };
	u32 most_steps = engine.max_steps;
	int error = kernel_tasks_find();

	if (locals_size())
		return -EOPNOTSUPP;
	if (!error)
		error = kernel_memory_init();
	if (!error)
		error = kernel_text_init();
	if (error)
		return error;
	kernel_machine_init();
	engine.strategy = &none;
	engine.booting = 1;
	engine.limit = 0;
	engine.max_steps = MAX_BOOT_STEPS;
	error = boot();
	versions_keep();
	known_keep();
	if (!error)
		error = snapshot_take();
	engine.max_steps = most_steps;
	kernel.phase = PHASE_RUN;
	if (boot_end != RUN_FAILED && boot_end != RUN_BOUND && !error)
		learn_text();
	if (boot_end != RUN_FAILED)
		return boot_end == RUN_BOUND ? -ETIMEDOUT : error;
	kernel.phase = PHASE_FAILED;
	return 0;
}

const struct program kernel_program = {
	.name = "kernel",
	.prepare = kernel_prepare,
	.begin = kernel_begin,
	.stuck = kernel_stuck,
	.find_waiting = kernel_find_waiting,
};
