// SPDX-License-Identifier: MIT
/* A domain of SRCU may be freed once its readers have left and its callbacks have run. */
#include <explore.h>
#include <kernel/slab.h>
#include <kernel/srcu.h>

static struct srcu_struct *domain;
static struct rcu_head head;
static u64 *shared, calls, left;

static void count(struct rcu_head *unused)
{
	calls++;
}

INIT
{
	domain = kzalloc(sizeof(*domain), GFP_KERNEL);
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
	claim(init_srcu_struct(domain) == 0);
}

TASK(0, reader)
{
	u32 idx = srcu_read_lock(domain);
	const u64 *value = srcu_dereference(shared, domain);

	if (value)
		claim(*value == 0, *value);
	call_srcu(domain, &head, count);
	srcu_read_unlock(domain, idx);
	smp_store_release(&left, 1);
}

TASK(1, owner)
{
	u64 *old = shared, cookie;

	WRITE_ONCE(shared, NULL);
	cookie = start_poll_synchronize_srcu(domain);
	if (!poll_state_synchronize_srcu(domain, cookie))
		synchronize_srcu_expedited(domain);
	claim(poll_state_synchronize_srcu(domain, cookie), cookie);
	kfree(old);
	assume(smp_load_acquire(&left));
	srcu_barrier(domain);
	claim(calls == 1, calls);
	cleanup_srcu_struct(domain);
	kfree(domain);
}
