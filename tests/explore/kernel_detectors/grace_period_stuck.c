// SPDX-License-Identifier: MIT
/* A reader that waits for what comes after the grace period that waits for it. */
// expect: held
// expect -D WAITS: violated lost-wakeup
#include <explore.h>
#include <kernel/rcu.h>

static u32 done;

TASK(0, reader)
{
	rcu_read_lock();
#ifdef WAITS
	while (!smp_load_acquire(&done))
		machine_relax_while(&done, 0);
#endif
	rcu_read_unlock();
}

TASK(1, waiter)
{
	synchronize_rcu();
	smp_store_release(&done, 1);
	machine_wake(&done);
}
