// SPDX-License-Identifier: MIT
/*
 * Cross calls and stop_machine() under load, in the spirit of kernel/scftorture.c.
 *
 * Each call carries a block that says which CPUs still have to run it. A block
 * that was waited for is poisoned when the wait returns: a function that still
 * uses it then has not been waited for. And it says both ways what was written
 * before: the caller's part must be seen by the functions, theirs by who waits.
 */
#include <error.h>
#include <finding.h>
#include <kernel/completion.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/kthread.h>
#include <kernel/stop_machine.h>
#include <tasks/random.h>

#define POOL 8                /* calls of one task that nobody waits for, at once */
#define MOST_HOPS 4
#define STOP_RESULT 0x51
#define PATIENCE_NS 2000000000UL
#define LONG_WAIT_EVERY 1024  /* functions */

enum block_state { BLOCK_IDLE, BLOCK_SENT = 0x5e27, BLOCK_RETURNED = 0xdead };

enum scf_operation {
	SCF_RESCHED, SCF_SINGLE, SCF_SINGLE_RPC, SCF_SINGLE_WAIT, SCF_MANY, SCF_MANY_WAIT,
	SCF_ALL, SCF_ALL_WAIT, SCF_CHAIN, SCF_STOP, SCF_OPERATIONS
};

/* What the functions of one call are given. */
struct scf_block {
	struct scf *scf;
	u64 state;            /* enum block_state; the caller writes */
	u64 token;            /* written before the call: each function copies it to seen */
	u64 in;               /* written before the call: ~token */
	u64 todo;             /* CPUs that have not run it yet; atomic */
	u64 seen[MAX_CPUS];   /* by the CPU that ran it */
	struct side returned; /* where the wait returned; the caller writes */
	struct completion *done; /* the function completes it last, or NULL */
};

/* A csd that its own function sends on to another CPU, and another. */
struct scf_chain {
	struct call_single_data csd;
	struct scf *scf;
	u32 busy;             /* 1 = under way; the last function clears it */
	u32 hops;             /* still to go; whoever runs it writes */
	u32 home;             /* where the last one is to run */
	u32 last;             /* where the csd was sent, so where it must run */
	struct completion *done; /* of the last hop, or NULL */
};

/* What one CPU did; it alone adds, also in interrupts. */
struct scf_cpu {
	u64 activity;
} __cacheline_aligned;

/* One task; it alone writes, except where structs say otherwise. */
struct scf_task {
	struct scf *scf;
	u64 random;           /* state of its generator, not 0 */
	u64 made[SCF_OPERATIONS];
	struct scf_block pool[POOL];
	struct scf_chain chain;
	struct scf_chain waited; /* a chain that the task waits for */
	struct call_single_data stop_csd[MAX_CPUS];
} __cacheline_aligned;

struct scf {
	u32 weight[SCF_OPERATIONS];
	u32 delay;            /* longest delay in a function, cycles */
	u32 long_wait_ms;     /* now and then a function takes so long; 0 = never */
	u32 locks_cpus;       /* 1 = the set of CPUs is held for each call, else preemption */
	u32 pad;
	struct scf_cpu cpu[MAX_CPUS];
};

static void bump(struct scf *scf)
{
	this_cpu_add(&scf->cpu[smp_processor_id()].activity, 1);
}

/* As long as the low bits of the clock say: no CPU is in step with another. */
static void spin_a_while(const struct scf *scf)
{
	u64 start = machine_cycles(), cycles = scf->delay ? start * 0x9e3779b9UL % scf->delay : 0;

	while (machine_cycles() - start < cycles)
		barrier();
}

/* Who waits for a function has to wait for long now and then. */
static void take_time(const struct scf *scf)
{
	u64 start = machine_now();

	spin_a_while(scf);
	if (!scf->long_wait_ms || (machine_cycles() * 0x9e3779b97f4a7c15UL >> 32) % LONG_WAIT_EVERY)
		return;
	while (machine_now() - start < scf->long_wait_ms * 1000000UL)
		barrier();
}

/* No CPU goes until calls_end(). */
static void calls_begin(const struct scf *scf)
{
	if (scf->locks_cpus)
		cpus_read_lock();
	else
		preempt_disable();
}

static void calls_end(const struct scf *scf)
{
	if (scf->locks_cpus)
		cpus_read_unlock();
	else
		preempt_enable();
}

/* @cpu, or the next one upwards that is online. */
static u32 online_from(u32 cpu)
{
	while (!cpu_online(cpu))
		cpu = (cpu + 1) % num_cpus();
	return cpu;
}

/* The caller must still be waiting, or the block must still be out. */
static void check_block(const struct scf_block *block, u64 state)
{
	const struct side *other = state == BLOCK_RETURNED ? &block->returned : NULL;

	if (unlikely(state != BLOCK_SENT))
		report_finding(FINDING_CLAIM, other, (u64)block, state, BLOCK_SENT);
}

static void run_call(void *info)
{
	struct scf_block *block = info;
	u64 bit = cpumask_of(smp_processor_id());
	struct completion *done;

	check_block(block, smp_load_acquire(&block->state));
	bump(block->scf);
	/* On this CPU, and for the first time. */
	if (unlikely(!(READ_ONCE(block->todo) & bit)))
		report_finding(FINDING_CLAIM, NULL, (u64)block, READ_ONCE(block->todo), bit);
	/* What the caller had written. */
	if (unlikely(READ_ONCE(block->in) != ~READ_ONCE(block->token)))
		report_finding(FINDING_CLAIM, NULL, (u64)block, READ_ONCE(block->in),
			       ~READ_ONCE(block->token));
	WRITE_ONCE(block->seen[smp_processor_id()], READ_ONCE(block->token));
	take_time(block->scf);
	check_block(block, smp_load_acquire(&block->state));
	done = block->done;
	atomic_fetch_and(~bit, &block->todo);
	if (done)
		complete(done);
}

/* After the wait: every function has run, had seen the token, and is done with the block. */
static void check_returned(struct scf_block *block, u64 mask)
{
	u64 todo = smp_load_acquire(&block->todo), start = machine_now();
	struct side other;

	record_side(&block->returned);
	smp_store_release(&block->state, BLOCK_RETURNED);
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		if (!(mask & cpumask_of(cpu)) ||
		    (!(todo & cpumask_of(cpu)) && block->seen[cpu] == block->token))
			continue;
		/* The function that comes too late tells more than we know here. */
		while (machine_now() - start < PATIENCE_NS)
			barrier();
		other = side_of_cpu(cpu);
		report_finding(FINDING_CLAIM, &other, (u64)block, todo, block->seen[cpu],
			       block->token);
	}
}

static void send(struct scf_block *block, u64 mask, enum scf_operation operation)
{
	bool wait = operation == SCF_SINGLE_WAIT || operation == SCF_MANY_WAIT ||
		    operation == SCF_ALL_WAIT;

	WRITE_ONCE(block->in, ~block->token);
	block->todo = mask;
	smp_store_release(&block->state, BLOCK_SENT);
	if (operation >= SCF_SINGLE && operation <= SCF_SINGLE_WAIT)
		smp_call_function_single(__builtin_ctzl(mask), run_call, block, wait);
	else if (operation == SCF_MANY || operation == SCF_MANY_WAIT)
		smp_call_function_many(mask, run_call, block, wait);
	else
		on_each_cpu(run_call, block, wait);
}

static u64 choose_mask(struct scf_task *task, enum scf_operation operation)
{
	u64 self = cpumask_of(smp_processor_id()), mask = 0;

	if (operation <= SCF_SINGLE_WAIT)
		return cpumask_of(online_from(random_below(&task->random, num_cpus())));
	if (operation == SCF_ALL || operation == SCF_ALL_WAIT)
		return online_mask();
	for (u32 cpu = 0; cpu < num_cpus(); cpu++)
		mask |= (u64)random_below(&task->random, 2) << cpu;
	return mask & online_mask() & ~self;
}

/* The block lies on the stack, where other things will lie soon. */
static noinline void call_and_wait(struct scf_task *task, enum scf_operation operation)
{
	struct scf_block block = { .scf = task->scf, .token = task->random };
	u64 mask;

	calls_begin(task->scf);
	mask = choose_mask(task, operation);
	send(&block, mask, operation);
	calls_end(task->scf);
	check_returned(&block, mask);
}

/* The function itself tells that it is done. */
static noinline void call_and_complete(struct scf_task *task)
{
	struct completion done;
	struct scf_block block = { .scf = task->scf, .token = task->random, .done = &done };
	u64 mask;

	init_completion(&done);
	calls_begin(task->scf);
	mask = choose_mask(task, SCF_SINGLE_RPC);
	send(&block, mask, SCF_SINGLE_RPC);
	calls_end(task->scf);
	spin_a_while(task->scf);
	wait_for_completion(&done);
	check_returned(&block, mask);
}

static bool call_without_waiting(struct scf_task *task, enum scf_operation operation)
{
	for (u32 n = 0; n < POOL; n++) {
		struct scf_block *block = &task->pool[n];

		if (smp_load_acquire(&block->todo))
			continue;
		block->scf = task->scf;
		block->token++;
		calls_begin(task->scf);
		send(block, choose_mask(task, operation), operation);
		calls_end(task->scf);
		return true;
	}
	return false;
}

/* Its csd is not in use any more: it may be sent on at once. */
static void run_chain(void *info)
{
	struct scf_chain *chain = info;
	u32 target, self = smp_processor_id();
	int error;

	bump(chain->scf);
	if (unlikely(chain->last != self))
		report_finding(FINDING_CLAIM, NULL, (u64)chain, self, chain->last);
	take_time(chain->scf);
	if (!chain->hops) {
		struct completion *done = chain->done;

		smp_store_release(&chain->busy, 0);
		if (done)
			complete(done);
		return;
	}
	/* No CPU goes while this one is in an interrupt, but it may be the one that does. */
	target = online_from(--chain->hops ? (self + 1) % num_cpus() : chain->home);
	chain->last = target;
	error = smp_call_function_single_async(target, &chain->csd);
	if (unlikely(error))
		report_finding(FINDING_CLAIM, NULL, (u64)chain, error, 0);
}

static void start_chain(struct scf_task *task, struct scf_chain *chain, struct completion *done)
{
	chain->scf = task->scf;
	chain->done = done;
	chain->busy = 1;
	chain->hops = 1 + random_below(&task->random, MOST_HOPS);
	chain->home = smp_processor_id();
	chain->csd.func = run_chain;
	chain->csd.info = chain;
	calls_begin(task->scf);
	chain->last = online_from(random_below(&task->random, num_cpus()));
	if (smp_call_function_single_async(chain->last, &chain->csd))
		report_finding(FINDING_CLAIM, NULL, (u64)chain, 1, 0);
	calls_end(task->scf);
}

/* Its last function completes on this CPU, in an interrupt. */
static void chain_and_wait(struct scf_task *task)
{
	struct completion done;

	init_completion(&done);
	start_chain(task, &task->waited, &done);
	spin_a_while(task->scf);
	wait_for_completion(&done);
}

static bool chain(struct scf_task *task)
{
	if (random_below(&task->random, 2))
		chain_and_wait(task);
	else if (smp_load_acquire(&task->chain.busy))
		return false;
	else
		start_chain(task, &task->chain, NULL);
	return true;
}

static void resched(struct scf_task *task)
{
	machine_raise_irq(online_from(random_below(&task->random, num_cpus())), IRQ_RESCHED);
}

/* What the function of one stop_machine() is given. */
struct scf_stop {
	struct scf_task *task;
	u64 mask;             /* CPUs that run it */
	u64 ran;              /* those that have; atomic */
};

static void run_bump(void *info)
{
	bump(info);
}

/* Every CPU but this one: has it done anything between the two looks? */
static void check_standing(struct scf_task *task)
{
	u32 self = smp_processor_id();
	u64 before[MAX_CPUS];

	for (u32 cpu = 0; cpu < num_cpus(); cpu++)
		before[cpu] = READ_ONCE(task->scf->cpu[cpu].activity);
	/* Whoever has interrupts on takes this one. */
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		task->stop_csd[cpu].func = run_bump;
		task->stop_csd[cpu].info = task->scf;
		if (cpu != self)
			smp_call_function_single_async(cpu, &task->stop_csd[cpu]);
	}
	spin_a_while(task->scf);
	spin_a_while(task->scf);
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		u64 now = READ_ONCE(task->scf->cpu[cpu].activity);
		struct side other = side_of_cpu(cpu);

		if (unlikely(now != before[cpu]))
			report_finding(FINDING_CLAIM, &other, cpu, now, before[cpu]);
	}
}

static int run_stopped(void *data)
{
	struct scf_stop *stop = data;
	u64 bit = cpumask_of(smp_processor_id());

	if (unlikely(atomic_fetch_or(bit, &stop->ran) & bit || !(stop->mask & bit)))
		report_finding(FINDING_CLAIM, NULL, (u64)stop, stop->ran, stop->mask);
	if (bit == (stop->mask & -stop->mask))
		check_standing(stop->task);
	return STOP_RESULT;
}

static void stop_all(struct scf_task *task)
{
	struct scf_stop stop = { .task = task };
	int result;
	u64 mask;

	cpus_read_lock();
	mask = choose_mask(task, SCF_MANY);
	stop.mask = mask ? mask : 1;
	result = stop_machine_cpuslocked(run_stopped, &stop, mask);
	cpus_read_unlock();
	if (unlikely(result != STOP_RESULT || stop.ran != stop.mask))
		report_finding(FINDING_CLAIM, NULL, (u64)&stop, stop.ran, stop.mask, result);
	stop.mask = 0;
}

static enum scf_operation choose_operation(struct scf_task *task)
{
	u32 total = 0, draw, n;

	for (n = 0; n < SCF_OPERATIONS; n++)
		total += task->scf->weight[n];
	draw = random_below(&task->random, total);
	for (n = 0; n < SCF_OPERATIONS - 1 && draw >= task->scf->weight[n]; n++)
		draw -= task->scf->weight[n];
	return n;
}

static bool one_operation(struct scf_task *task, enum scf_operation operation)
{
	switch (operation) {
	case SCF_SINGLE:
	case SCF_MANY:
	case SCF_ALL:
		return call_without_waiting(task, operation);
	case SCF_CHAIN:
		return chain(task);
	case SCF_RESCHED:
		resched(task);
		break;
	case SCF_SINGLE_RPC:
		call_and_complete(task);
		break;
	case SCF_STOP:
		stop_all(task);
		break;
	default:
		call_and_wait(task, operation);
	}
	return true;
}

/* Nothing of this task is under way any more. */
static bool is_done(const struct scf_task *task)
{
	u64 todo = 0;

	for (u32 n = 0; n < POOL; n++)
		todo |= READ_ONCE(task->pool[n].todo);
	return !todo && !READ_ONCE(task->chain.busy);
}

s64 scf_caller(void *argument)
{
	struct scf_task *task = argument;
	u64 start;

	while (!READ_ONCE(the_machine->stop)) {
		enum scf_operation operation = choose_operation(task);

		bump(task->scf);
		if (one_operation(task, operation)) {
			task->made[operation]++;
			current->progress++;
		}
		cond_resched();
		cond_park();
	}
	/* Each call that was made runs, sooner or later. */
	start = machine_now();
	while (!is_done(task)) {
		if (machine_now() - start > PATIENCE_NS)
			report_finding(FINDING_CLAIM, NULL, (u64)task, task->chain.busy, 0);
		yield();
	}
	return 0;
}
