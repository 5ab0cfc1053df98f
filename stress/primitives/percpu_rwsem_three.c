// SPDX-License-Identifier: MIT
/* Two writers and two readers of a lock that is made, used and freed at run time. */
#include <explore.h>
#include <kernel/percpu_rwsem.h>

static struct percpu_rw_semaphore sem;
static u64 first, second, left;

INIT
{
	percpu_init_rwsem(&sem);
	left = 3;
}

/* The last one has nobody to wait for. */
static void leave(void)
{
	if (atomic_dec_and_test(&left))
		percpu_free_rwsem(&sem);
}

static void write(void)
{
	percpu_down_write(&sem);
	first++;
	claim(first == second + 1, first, second);
	second++;
	percpu_up_write(&sem);
}

static void read(void)
{
	percpu_down_read(&sem);
	claim(first == second, first, second);
	percpu_up_read(&sem);
}

TASK(0, writer)
{
	write();
	leave();
}

TASK(1, reader)
{
	read();
	if (percpu_down_read_trylock(&sem)) {
		claim(first == second, first, second);
		percpu_up_read(&sem);
	}
	leave();
}

TASK(2, both)
{
	read();
	write();
	leave();
}

FINAL_CHECK
{
	claim(first == 2 && second == 2, first, second);
}
