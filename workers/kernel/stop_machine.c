// SPDX-License-Identifier: MIT
/*
 * stop_machine: every CPU runs its stopper, and they go through the states
 * together. A CPU that has acknowledged sleeps until the last one has.
 *
 * Invariants: the function starts only after all have interrupts off, and
 * nobody turns them on before all have run it.
 */
#include <error.h>
#include <finding.h>
#include <kernel/balance.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/kthread.h>
#include <kernel/mutex.h>
#include <kernel/rcu.h>
#include <kernel/stop_machine.h>
#include <percpu.h>
#include <trace.h>

enum multi_stop_state {
	MULTI_STOP_NONE,
	MULTI_STOP_PREPARE,
	MULTI_STOP_DISABLE_IRQ,
	MULTI_STOP_RUN,
	MULTI_STOP_EXIT,
};

struct multi_stop_data {
	cpu_stop_fn_t fn;
	void *data;
	u32 num_threads;
	cpumask_t stopped;    /* CPUs that stand */
	cpumask_t active;     /* those of them that run fn; 0 = the first only */
	u32 state;            /* enum multi_stop_state */
	u32 thread_ack;       /* threads that have not reached state; atomic */
};

struct cpu_stop_done {
	u32 nr_todo;          /* atomic */
	s32 ret;              /* the last non-zero result */
	struct completion completion;
};

struct cpu_stopper {
	spinlock_t lock;
	u32 enabled;          /* 1 = takes work; under lock */
	struct list_head works;
	struct task_struct *thread;
};

static DEFINE_PER_CPU(struct cpu_stopper, stoppers);
static DEFINE_MUTEX(stop_cpus_mutex);
static u32 stop_cpus_in_progress; /* works are being queued to all; stop_two_cpus() waits */

static void init_done(struct cpu_stop_done *done, u32 nr_todo)
{
	done->nr_todo = nr_todo;
	done->ret = 0;
	init_completion(&done->completion);
}

/* The waiter's stack frame may be gone after this; NULL = nobody waits. */
static void signal_done(struct cpu_stop_done *done)
{
	if (done && atomic_dec_and_test(&done->nr_todo))
		complete(&done->completion);
}

/* Under the stopper's lock; false if it takes no work. The caller wakes it afterwards. */
static bool queue_locked(struct cpu_stopper *stopper, struct cpu_stop_work *work)
{
	if (!stopper->enabled) {
		signal_done(work->done);
		return false;
	}
	list_add_tail(&work->list, &stopper->works);
	return true;
}

static bool queue_work_on(int cpu, struct cpu_stop_work *work)
{
	struct cpu_stopper *stopper = per_cpu_ptr(stoppers, cpu);
	u32 flags = spin_lock_irqsave(&stopper->lock);
	bool queued = queue_locked(stopper, work);

	spin_unlock_irqrestore(&stopper->lock, flags);
	if (queued)
		wake_up_process(stopper->thread);
	return queued;
}

static struct cpu_stop_work *take_work(struct cpu_stopper *stopper)
{
	struct cpu_stop_work *work = NULL;
	u32 flags = spin_lock_irqsave(&stopper->lock);

	if (!list_empty(&stopper->works)) {
		work = list_first_entry(&stopper->works, struct cpu_stop_work, list);
		list_del_init(&work->list);
	}
	spin_unlock_irqrestore(&stopper->lock, flags);
	return work;
}

/* Its memory is its owner's again when its function has begun. */
static void run_work(struct cpu_stop_work *work)
{
	struct cpu_stop_done *done = work->done;
	cpu_stop_fn_t fn = work->fn;
	struct balance before;
	int ret;

	preempt_disable();
	before = balance_here();
	ret = fn(work->arg);
	check_balance(fn, before);
	if (ret && done)
		WRITE_ONCE(done->ret, ret);
	preempt_enable_no_resched();
	signal_done(done);
}

static s64 stopper_thread(void *arg)
{
	struct cpu_stopper *stopper = arg;

	for (;;) {
		struct cpu_stop_work *work;
		struct wait_note before;

		set_current_blocked();
		work = take_work(stopper);
		if (work) {
			set_current_running();
			run_work(work);
			continue;
		}
		/* Not before the last work: who finds it enabled still waits for it. */
		if (unlikely(kthread_should_park())) {
			kthread_parkme();
			continue;
		}
		before = wait_begin(WAIT_WORK, stopper, 0);
		schedule();
		wait_end(before);
	}
	return 0;
}

static void set_enabled(struct cpu_stopper *stopper, u32 enabled)
{
	u32 flags = spin_lock_irqsave(&stopper->lock);

	stopper->enabled = enabled;
	spin_unlock_irqrestore(&stopper->lock, flags);
}

void stop_machine_park(int cpu)
{
	struct cpu_stopper *stopper = per_cpu_ptr(stoppers, cpu);

	set_enabled(stopper, 0);
	kthread_park(stopper->thread);
}

void stop_machine_unpark(int cpu)
{
	struct cpu_stopper *stopper = per_cpu_ptr(stoppers, cpu);

	set_enabled(stopper, 1);
	kthread_unpark(stopper->thread);
}

static void set_state(struct multi_stop_data *msdata, enum multi_stop_state state)
{
	/* The count before the state that it counts for. */
	WRITE_ONCE(msdata->thread_ack, msdata->num_threads);
	smp_wmb();
	WRITE_ONCE(msdata->state, state);
	machine_wake(&msdata->state);
}

static void ack_state(struct multi_stop_data *msdata)
{
	if (atomic_dec_and_test(&msdata->thread_ack))
		set_state(msdata, msdata->state + 1);
}

/* What stop_machine() promises to fn, looked at from outside of it. */
static void check_all_stopped(struct multi_stop_data *msdata)
{
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		struct side other;

		if (!(msdata->stopped & cpumask_of(cpu)) || likely(READ_ONCE(cpu_at(cpu)->irq_off)))
			continue;
		other = side_of_cpu(cpu);
		report_finding(FINDING_BAD_STATE, &other, (u64)msdata->fn, 0, 1, cpu);
	}
}

/* In each stopper: go through the states together with all others. */
static int multi_cpu_stop(void *data)
{
	struct multi_stop_data *msdata = data;
	u32 cpu = smp_processor_id(), reached = MULTI_STOP_NONE, state;
	cpumask_t active = msdata->active ? msdata->active : msdata->stopped & -msdata->stopped;
	u32 flags = irqs_disabled();
	struct wait_note before = wait_begin(WAIT_STOP_MACHINE, msdata, 0);
	int err = 0;

	do {
		machine_relax_while(&msdata->state, reached);
		state = READ_ONCE(msdata->state);
		if (state != reached) {
			reached = state;
			current->wait.value = state;
			trace_event(EVENT_STOP_STATE, state, (u64)msdata->fn);
			if (state == MULTI_STOP_DISABLE_IRQ)
				local_irq_disable();
			if (state == MULTI_STOP_RUN && active & cpumask_of(cpu)) {
				check_all_stopped(msdata);
				err = msdata->fn(msdata->data);
			}
			ack_state(msdata);
		} else if (reached > MULTI_STOP_PREPARE) {
			rcu_momentary_eqs();
		}
	} while (reached != MULTI_STOP_EXIT);
	wait_end(before);
	local_irq_restore(flags);
	return err;
}

/* All CPUs that are @online, which the caller holds; fn runs on those in @mask. */
static int stop_cpus(cpu_stop_fn_t fn, void *data, cpumask_t mask, cpumask_t online)
{
	struct multi_stop_data msdata = {
		.fn = fn, .data = data, .active = mask, .stopped = online,
		.num_threads = __builtin_popcountl(online),
	};
	struct cpu_stop_work works[MAX_CPUS];
	struct cpu_stop_done done;
	bool queued = false;
	int cpu;

	might_sleep();
	check_cpus_held();
	mutex_lock(&stop_cpus_mutex);
	init_done(&done, msdata.num_threads);
	set_state(&msdata, MULTI_STOP_PREPARE);
	/* No stopper may run here before all works are queued. */
	preempt_disable();
	WRITE_ONCE(stop_cpus_in_progress, 1);
	smp_mb(); /* The flag before the first work; pairs with queue_two_works(). */
	for_each_online_cpu(cpu) {
		works[cpu] = (struct cpu_stop_work){
			.fn = multi_cpu_stop, .arg = &msdata, .done = &done,
		};
		queued |= queue_work_on(cpu, &works[cpu]);
	}
	WRITE_ONCE(stop_cpus_in_progress, 0);
	preempt_enable();
	wait_for_completion(&done.completion);
	mutex_unlock(&stop_cpus_mutex);
	return queued ? done.ret : -ENOENT;
}

int stop_machine_cpuslocked(cpu_stop_fn_t fn, void *data, cpumask_t mask)
{
	return stop_cpus(fn, data, mask, online_mask());
}

int stop_machine(cpu_stop_fn_t fn, void *data, cpumask_t mask)
{
	int error;

	cpus_read_lock();
	error = stop_machine_cpuslocked(fn, data, mask);
	cpus_read_unlock();
	return error;
}

int stop_one_cpu(int cpu, cpu_stop_fn_t fn, void *arg)
{
	struct cpu_stop_done done;
	struct cpu_stop_work work = { .fn = fn, .arg = arg, .done = &done };
	bool queued;

	might_sleep();
	if (cpu < 0 || cpu >= (int)num_cpus() || !cpu_online(cpu))
		return -ENOENT;
	init_done(&done, 1);
	queued = queue_work_on(cpu, &work);
	wait_for_completion(&done.completion);
	return queued ? done.ret : -ENOENT;
}

bool stop_one_cpu_nowait(int cpu, cpu_stop_fn_t fn, void *arg, struct cpu_stop_work *work)
{
	*work = (struct cpu_stop_work){ .fn = fn, .arg = arg };
	return queue_work_on(cpu, work);
}

/* Both or none; no other queueing to several CPUs comes between the two. */
static int queue_two_works(int cpu1, struct cpu_stop_work *work1,
			   int cpu2, struct cpu_stop_work *work2)
{
	struct cpu_stopper *stopper1 = per_cpu_ptr(stoppers, cpu1);
	struct cpu_stopper *stopper2 = per_cpu_ptr(stoppers, cpu2);
	u32 flags;
	int err = -ENOENT;

	/* Preemption off until both are woken: the first may be ours. */
	preempt_disable();
	for (;;) {
		flags = spin_lock_irqsave(&stopper1->lock);
		spin_lock(&stopper2->lock);
		if (!READ_ONCE(stop_cpus_in_progress))
			break;
		spin_unlock(&stopper2->lock);
		spin_unlock_irqrestore(&stopper1->lock, flags);
		machine_relax_while(&stop_cpus_in_progress, 1);
	}
	if (stopper1->enabled && stopper2->enabled) {
		queue_locked(stopper1, work1);
		queue_locked(stopper2, work2);
		err = 0;
	}
	spin_unlock(&stopper2->lock);
	spin_unlock_irqrestore(&stopper1->lock, flags);
	if (!err) {
		wake_up_process(stopper1->thread);
		wake_up_process(stopper2->thread);
	}
	preempt_enable();
	return err;
}

int stop_two_cpus(int cpu1, int cpu2, cpu_stop_fn_t fn, void *arg)
{
	struct multi_stop_data msdata = {
		.fn = fn, .data = arg, .num_threads = 2,
		.stopped = cpumask_of(cpu1) | cpumask_of(cpu2), .active = cpumask_of(cpu1),
	};
	struct cpu_stop_done done;
	struct cpu_stop_work work1 = { .fn = multi_cpu_stop, .arg = &msdata, .done = &done };
	struct cpu_stop_work work2 = work1;

	might_sleep();
	init_done(&done, 2);
	set_state(&msdata, MULTI_STOP_PREPARE);
	if (cpu1 > cpu2) {
		int cpu = cpu1;

		cpu1 = cpu2;
		cpu2 = cpu;
	}
	if (queue_two_works(cpu1, &work1, cpu2, &work2))
		return -ENOENT;
	wait_for_completion(&done.completion);
	return done.ret;
}

void stop_machine_init(void)
{
	int cpu;

	for_each_online_cpu(cpu) {
		struct cpu_stopper *stopper = per_cpu_ptr(stoppers, cpu);

		INIT_LIST_HEAD(&stopper->works);
		stopper->thread = task_create(cpu, TASK_STOPPER, stopper_thread, stopper,
					      "stopper");
		cpu_at(cpu)->stopper = stopper->thread;
		wake_up_process(stopper->thread);
		stopper->enabled = 1;
	}
}
