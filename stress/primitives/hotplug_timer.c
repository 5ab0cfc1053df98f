// SPDX-License-Identifier: MIT
/* What a CPU had to do later: it has done so when it is down, or another one does. */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/irq_work.h>
#include <kernel/smp.h>
#include <kernel/timer.h>
#include <kernel/workqueue.h>

static DECLARE_COMPLETION(expired);
static u32 irq_works, queued, works;

static void expire(struct timer_list *timer)
{
	claim(time_after_eq(jiffies, timer->expires), timer->expires);
	claim(cpu_online(smp_processor_id()), smp_processor_id());
	complete(&expired);
}

static void count_irq_work(struct irq_work *unused)
{
	irq_works++;
}

static void count_work(struct work_struct *unused)
{
	/* It sleeps, and its CPU stays until it is done. */
	schedule_timeout_uninterruptible(1);
	works++;
}

static DEFINE_TIMER(timer, expire);
static struct irq_work irq_work = IRQ_WORK_INIT(count_irq_work);
static DECLARE_WORK(work, count_work);

INIT
{
	claim(cpuhp_threads_init() == 0, 0);
	workqueue_start();
}

TASK(1, defers)
{
	mod_timer(&timer, jiffies + 2);
	schedule_work(&work);
}

TASK(0, hotplug)
{
	claim(cpu_down(1) == 0, 0);
	claim(works == 1, works);
	wait_for_completion(&expired);
}

/* With preemption off: the CPU does not go down between the look and the queueing. */
TASK(2, queues)
{
	preempt_disable();
	queued = cpu_online(1) && irq_work_queue_on(&irq_work, 1);
	preempt_enable();
}

FINAL_CHECK
{
	claim(irq_works == queued, irq_works, queued);
}
