// SPDX-License-Identifier: MIT
/*
 * One run queue per CPU. Tasks never migrate, so a task that is picked has
 * always been switched out completely: by this very CPU. With preempt=none an interrupt only
 * leaves word that another task should run; the one that runs goes on until it asks.
 */
#include <error.h>
#include <finding.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/rcu.h>
#include <kernel/rcu_tasks.h>
#include <kernel/rcu_tasks_trace.h>
#include <kernel/sched.h>
#include <kernel/softirq.h>
#include <kernel/spinlock.h>
#include <percpu.h>
#include <kernel/workqueue_internal.h>
#include <trace.h>

/* Tasks that could run, and wait until their CPU takes tasks again; under runqueue_lock. */
static DEFINE_PER_CPU(struct list_head, tasks_aside);

static void enqueue(struct cpu *cpu, struct task_struct *task)
{
	if (task->class == TASK_STOPPER)
		list_add(&task->run, &cpu->runqueue);
	else
		list_add_tail(&task->run, &cpu->runqueue);
	WRITE_ONCE(task->on_rq, 1);
	WRITE_ONCE(cpu->nr_running, cpu->nr_running + 1);
}

static void dequeue(struct cpu *cpu, struct task_struct *task)
{
	list_del(&task->run);
	WRITE_ONCE(task->on_rq, 0);
	WRITE_ONCE(cpu->nr_running, cpu->nr_running - 1);
}

/* To the end when its time is up, else behind the one that preempts it. */
static void requeue(struct cpu *cpu, struct task_struct *task, bool expired)
{
	struct list_head *behind;

	list_del(&task->run);
	behind = expired ? cpu->runqueue.prev : cpu->runqueue.next;
	list_add(&task->run, behind);
}

/* Under runqueue_lock: may @task run on @cpu, or does it wait until the CPU is up? */
static bool takes_task(const struct cpu *cpu, const struct task_struct *task)
{
	u32 leaving = READ_ONCE(cpu->leaving);

	return likely(leaving < CPU_CLOSED) ||
	       (leaving == CPU_CLOSED &&
		(task->class == TASK_STOPPER || READ_ONCE(task->kthread) & KTHREAD_PER_CPU));
}

static void put_aside(struct cpu *cpu, struct task_struct *task)
{
	list_add_tail(&task->run, per_cpu_ptr(tasks_aside, cpu->id));
}

/* Who asks the tasks of @cpu to park may wait for those that sleep. */
static void note_woken(struct cpu *cpu)
{
	WRITE_ONCE(cpu->woken, cpu->woken + 1);
	machine_wake(&cpu->woken);
}

static bool keeps_cpu(const struct task_struct *task)
{
	return unlikely(task->keeps || task->trc_nesting);
}

/*
 * The running task gave its CPU up, could go on, and has nothing that others need. While one
 * sleeps here that keeps the CPU, it may be what that waits for.
 */
static bool parks(const struct cpu *cpu, const struct task_struct *task)
{
	return unlikely(cpu->leaving) && task->class == TASK_NORMAL && !keeps_cpu(task) &&
	       !cpu->keepers && !(READ_ONCE(task->kthread) & KTHREAD_PER_CPU);
}

/* Under runqueue_lock of this CPU. */
static void take_back_aside(struct cpu *cpu)
{
	struct list_head *aside = this_cpu_ptr(tasks_aside), *at, *next;

	for (at = aside->next; at != aside; at = next) {
		struct task_struct *task = container_of(at, struct task_struct, run);

		next = at->next;
		if (!takes_task(cpu, task))
			continue;
		list_del(at);
		enqueue(cpu, task);
		cpu->preempt_work |= PREEMPT_WORK_RESCHED;
	}
}

/* While @task sleeps its CPU stays: it could not let go of what it has on another one. */
static bool note_keeper(struct cpu *cpu, const struct task_struct *task)
{
	if (likely(!keeps_cpu(task)))
		return false;
	cpu->keepers++;
	if (unlikely(cpu->leaving == CPU_ASKS_TASKS))
		take_back_aside(cpu);
	return true;
}

/* A stopper that can run goes first, then whoever waits longest. */
static struct task_struct *pick_next(struct cpu *cpu)
{
	struct task_struct *task;

	if (cpu->stopper && cpu->stopper->on_rq)
		return cpu->stopper;
	if (list_empty(&cpu->runqueue))
		return cpu->idle;
	task = list_first_entry(&cpu->runqueue, struct task_struct, run);
	return task;
}

/* Interrupts are off, and stay so. */
static void __schedule(bool preempt)
{
	struct cpu *cpu = this_cpu();
	struct task_struct *prev, *next;
	bool expired, keeps = false;

	/* It may wake who waits for this CPU, which takes a lock like the next one. */
	rcu_note_context_switch();
	prev = cpu->curr;
	if (unlikely(READ_ONCE(prev->trc_nesting)))
		rcu_tasks_trace_switched_out(prev);
	raw_spin_lock(&cpu->runqueue_lock);
	/* Tasks are held under this lock, so one that leaves the queue is not held. */
	while (!preempt && unlikely(READ_ONCE(prev->tasks_rcu) & TASKS_RCU_HOLDOUT)) {
		raw_spin_unlock(&cpu->runqueue_lock);
		rcu_tasks_qs();
		raw_spin_lock(&cpu->runqueue_lock);
	}
	expired = !preempt || cpu->preempt_work & PREEMPT_WORK_EXPIRED;
	cpu->preempt_work &= ~(PREEMPT_WORK_RESCHED | PREEMPT_WORK_EXPIRED);
	if (prev != cpu->idle) {
		bool blocks = !preempt && READ_ONCE(prev->state) != TASK_RUNNING;

		if (blocks) {
			dequeue(cpu, prev);
			keeps = note_keeper(cpu, prev);
		} else if (!preempt && parks(cpu, prev)) {
			dequeue(cpu, prev);
			put_aside(cpu, prev);
		} else {
			requeue(cpu, prev, expired);
		}
	}
	next = pick_next(cpu);
	if (next != prev) {
		if (preempt) {
			prev->nivcsw++;
			cpu->nr_preempted++;
		} else {
			prev->nvcsw++;
		}
		cpu->nr_switches++;
		trace_event(EVENT_SWITCH, next->index, preempt);
		WRITE_ONCE(cpu->curr, next);
	}
	raw_spin_unlock(&cpu->runqueue_lock);
	if (next != prev)
		machine_switch(prev, next);
	if (unlikely(keeps))
		cpu->keepers--;
}

void might_sleep(void)
{
	struct cpu *cpu = this_cpu();

	if (unlikely(cpu->preempt_count || cpu->irq_off || cpu->irq_depth ||
		     cpu->curr->rcu_nesting))
		report_finding(FINDING_BAD_CONTEXT, NULL, (u64)__builtin_return_address(0),
			       cpu->preempt_count, cpu->irq_off, cpu->irq_depth,
			       cpu->curr->rcu_nesting);
}

void schedule(void)
{
	struct task_struct *task;

	might_sleep();
	machine_reader_ends(TASK_READERS);
	local_irq_disable();
	task = current;
	if (unlikely(task->worker))
		wq_worker_sleeping(task);
	__schedule(false);
	if (unlikely(task->worker))
		wq_worker_running(task);
	local_irq_enable();
	machine_reader_begins(TASK_READERS);
}

void set_current_blocked(void)
{
	/* Before the caller tests its condition; pairs with wake_up_process(). */
	(void)xchg(&current->state, TASK_BLOCKED);
}

void set_current_running(void)
{
	WRITE_ONCE(current->state, TASK_RUNNING);
}

/* Let @cpu look at its run queue; its own lock is not held. */
static void resched_cpu(struct cpu *cpu)
{
	if (cpu == this_cpu())
		cpu->preempt_work |= PREEMPT_WORK_RESCHED;
	else
		machine_raise_irq(cpu->id, IRQ_RESCHED);
}

/* A sleeper that wakes goes before those that only compute. */
static bool preempts_current(const struct cpu *cpu, const struct task_struct *task)
{
	const struct task_struct *running = READ_ONCE(cpu->curr);

	return !running || running->class <= task->class;
}

/* Let a task run that wants this CPU, if it may be taken from the one that has it. */
static void switch_if_wanted(struct cpu *cpu)
{
	if (likely(!(READ_ONCE(cpu->preempt_work) & PREEMPT_WORK_RESCHED)))
		return;
	if (cpu->preempt_count || cpu->irq_off || cpu->irq_depth || cpu->curr == cpu->idle)
		return;
	local_irq_disable();
	__schedule(true);
	local_irq_enable();
}

bool wake_up_process(struct task_struct *task)
{
	struct cpu *cpu = cpu_at(task->cpu);
	bool woken = false, resched = false;
	u32 flags = local_irq_save();

	smp_mb(); /* What the waker wrote before the state is read; pairs with xchg() there. */
	raw_spin_lock(&cpu->runqueue_lock);
	if (READ_ONCE(task->state) == TASK_BLOCKED) {
		WRITE_ONCE(task->state, TASK_RUNNING);
		if (!task->on_rq && unlikely(!takes_task(cpu, task))) {
			put_aside(cpu, task);
		} else if (!task->on_rq) {
			enqueue(cpu, task);
			if (unlikely(READ_ONCE(cpu->leaving) == CPU_ASKS_TASKS))
				note_woken(cpu);
			if (task->class == TASK_NORMAL) {
				list_del(&task->run);
				list_add(&task->run, &cpu->runqueue);
			}
			resched = preempts_current(cpu, task);
		}
		woken = true;
	}
	raw_spin_unlock(&cpu->runqueue_lock);
	if (woken)
		trace_event(EVENT_WAKE, task->index, task->cpu);
	if (resched)
		resched_cpu(cpu);
	local_irq_restore(flags);
	if (resched && !flags && cpu == this_cpu() && preempt_is_full())
		switch_if_wanted(cpu);
	return woken;
}

void cond_resched(void)
{
	struct cpu *cpu = this_cpu();

	if (likely(!(READ_ONCE(cpu->preempt_work) & (PREEMPT_WORK_RESCHED | PREEMPT_WORK_QS))))
		return;
	switch_if_wanted(cpu);
	/* Not preemptible, and yet not in a reader: or it would not ask. */
	if (unlikely(READ_ONCE(cpu->preempt_work) & PREEMPT_WORK_QS) && !preempt_is_full() &&
	    !cpu->preempt_count && !cpu->irq_off && !cpu->irq_depth)
		rcu_all_qs();
}

void yield(void)
{
	struct cpu *cpu = this_cpu();

	might_sleep();
	cond_park();
	machine_reader_ends(TASK_READERS);
	rcu_tasks_qs();
	local_irq_disable();
	cpu->preempt_work |= PREEMPT_WORK_EXPIRED;
	__schedule(true);
	local_irq_enable();
	machine_reader_begins(TASK_READERS);
}

void preempt_slowpath(void)
{
	struct cpu *cpu = this_cpu();

	/* In a handler, also in one that has interrupts on, it is done at its end. */
	if (cpu->irq_off || cpu->irq_depth || !preempt_is_full())
		return;
	if (cpu->preempt_work & PREEMPT_WORK_QS)
		rcu_report_late_qs();
	switch_if_wanted(cpu);
}

void preempt_schedule_irq(const struct pt_regs *regs)
{
	struct cpu *cpu = this_cpu();
	struct task_struct *task = cpu->curr;

	if (!(cpu->preempt_work & PREEMPT_WORK_RESCHED) || !preempt_is_full())
		return;
	if (cpu->preempt_count || cpu->irq_depth || cpu->curr == cpu->idle)
		return;
	if (regs && machine_ip_is_atomic(regs->ip))
		return;
	WRITE_ONCE(task->preempted, regs != NULL);
	__schedule(true);
	WRITE_ONCE(task->preempted, 0);
}

void sched_tick(void)
{
	struct cpu *cpu = this_cpu();

	cpu->nr_ticks++;
	if (READ_ONCE(cpu->nr_running) > 1)
		cpu->preempt_work |= PREEMPT_WORK_RESCHED | PREEMPT_WORK_EXPIRED;
}

static void (*idle_call)(void); /* NULL = none */

void set_idle_call(void (*function)(void))
{
	smp_store_release(&idle_call, function);
}

static void call_idle(void)
{
	void (*function)(void) = smp_load_acquire(&idle_call);

	if (unlikely(function))
		function();
}

/* One turn of the idle task: rest, take what came, let others run. */
void cpu_idle_step(void)
{
	struct cpu *cpu = this_cpu();

	call_idle();
	local_irq_disable();
	if (unlikely(cpu->leaving == CPU_OFFLINE))
		cpuhp_report_idle_dead();
	if (unlikely(cpu->preempt_work & PREEMPT_WORK_SOFTIRQS)) {
		softirq_run_left();
	} else if (!READ_ONCE(cpu->nr_running) && !READ_ONCE(cpu->irq_pending)) {
		rcu_idle_enter();
		call_idle();
		machine_idle();
		rcu_idle_exit();
	}
	local_irq_enable();
	if (READ_ONCE(cpu->nr_running))
		schedule();
}

struct wait_note wait_begin(enum wait_kind kind, const void *object, u64 value)
{
	struct task_struct *task = current;
	struct wait_note before;

	if (!task)
		return (struct wait_note){ 0 };
	before = task->wait;
	task->wait.object = (u64)object;
	task->wait.value = value;
	task->wait.since = machine_now();
	WRITE_ONCE(task->wait.kind, kind);
	return before;
}

void wait_end(struct wait_note before)
{
	struct task_struct *task = current;

	if (task)
		task->wait = before;
}

static void set_leaving(enum cpu_leaving leaving)
{
	struct cpu *cpu = this_cpu();
	u32 flags = local_irq_save();

	raw_spin_lock(&cpu->runqueue_lock);
	WRITE_ONCE(cpu->leaving, leaving);
	take_back_aside(cpu);
	raw_spin_unlock(&cpu->runqueue_lock);
	local_irq_restore(flags);
}

void sched_cpu_asks(void)
{
	set_leaving(CPU_ASKS_TASKS);
}

int sched_cpu_close(void)
{
	struct cpu *cpu = this_cpu();
	u32 flags = local_irq_save();
	int error = 0;

	raw_spin_lock(&cpu->runqueue_lock);
	if (cpu->nr_running > 1)
		error = -EBUSY;
	else if (cpu->keepers)
		error = -EAGAIN;
	else
		WRITE_ONCE(cpu->leaving, CPU_CLOSED);
	raw_spin_unlock(&cpu->runqueue_lock);
	local_irq_restore(flags);
	return error;
}

void sched_cpu_dying(void)
{
	set_leaving(CPU_OFFLINE);
}

void sched_cpu_starting(void)
{
	set_leaving(CPU_CLOSED);
}

void sched_cpu_open(void)
{
	set_leaving(CPU_TAKES_TASKS);
	cond_resched();
}

void sched_init(void)
{
	for (u32 n = 0; n < num_cpus(); n++) {
		INIT_LIST_HEAD(&cpu_at(n)->runqueue);
		INIT_LIST_HEAD(per_cpu_ptr(tasks_aside, n));
	}
}
