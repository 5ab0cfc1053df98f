// SPDX-License-Identifier: MIT
/* irq_work, queued by an NMI, by a task with interrupts off, and while it runs: none is lost. */
#include <explore.h>
#include <kernel/irq_work.h>

static void work_function(struct irq_work *work);
static DEFINE_IRQ_WORK(work, work_function);
static u32 wanted, done, running;

static void work_function(struct irq_work *unused)
{
	claim(irqs_disabled() && !atomic_fetch_add(1, &running), running);
	WRITE_ONCE(done, READ_ONCE(wanted));
	atomic_dec(&running);
}

NMI(0, 1, nmi)
{
	atomic_inc(&wanted);
	irq_work_queue(&work);
}

TASK(0, queues)
{
	local_irq_disable();
	atomic_inc(&wanted);
	irq_work_queue(&work);
	claim(irq_work_is_busy(&work), work.flags);
	local_irq_enable();
	irq_work_sync(&work);
	claim(done, done, wanted);
}

FINAL_CHECK
{
	claim(done == wanted && !irq_work_is_busy(&work), done, wanted);
}
