// SPDX-License-Identifier: MIT
/* call_srcu() may be called where the scheduler is traced, and readers may leave there. */
#include <explore.h>
#include <kernel/sched.h>
#include <kernel/spinlock.h>
#include <kernel/srcu.h>

DEFINE_STATIC_SRCU(domain);

static struct rcu_head head;
static u64 calls;

static void count(struct rcu_head *unused)
{
	calls++;
}

INIT
{
	workqueue_start();
}

TASK(0, traced)
{
	u32 idx = srcu_read_lock(&domain), flags;

	yield();
	flags = local_irq_save();
	raw_spin_lock(&this_cpu()->runqueue_lock);
	call_srcu(&domain, &head, count);
	srcu_read_unlock(&domain, idx);
	raw_spin_unlock(&this_cpu()->runqueue_lock);
	local_irq_restore(flags);
}

/* May sleep until that one leaves. */
TASK(0, updater)
{
	synchronize_srcu(&domain);
}

FINAL_CHECK
{
	claim(calls == 1, calls);
}
