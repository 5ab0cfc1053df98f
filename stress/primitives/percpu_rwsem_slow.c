// SPDX-License-Identifier: MIT
/* While a writer is near: readers count, then look for it; the writer blocks, then counts them. */
#include <explore.h>
#include <kernel/percpu_rwsem.h>

DEFINE_STATIC_PERCPU_RWSEM(sem);
static u64 first, second;

/* No grace period is needed from here on. */
INIT
{
	rcu_sync_enter(&sem.rss);
}

TASK(0, writer)
{
	percpu_down_write(&sem);
	first++;
	second++;
	percpu_up_write(&sem);
}

TASK(1, reader)
{
	percpu_down_read(&sem);
	claim(first == second, first, second);
	percpu_up_read(&sem);
}

FINAL_CHECK
{
	claim(first == 1 && second == 1 && !percpu_rwsem_is_held(&sem), first, second);
}
