// SPDX-License-Identifier: MIT
/* A writer that goes on as a reader: others read with it, and nobody writes in between. */
#include <explore.h>
#include <kernel/rwsem.h>

static DEFINE_RWSEM(sem);
static u64 value, met;

TASK(0, writer)
{
	down_write(&sem);
	value = 1;
	downgrade_write(&sem);
	claim(value == 1, value);
	/* The other one comes in while this is a reader. */
	while (!READ_ONCE(met))
		machine_relax_while((u32 *)&met, 0);
	up_read(&sem);
}

TASK(1, reader)
{
	down_read(&sem);
	claim(value != 2, value);
	WRITE_ONCE(met, 1);
	machine_wake((u32 *)&met);
	up_read(&sem);
}

TASK(2, trying)
{
	if (!down_write_trylock(&sem))
		return;
	claim(rwsem_is_locked(&sem));
	value = 2;
	value = 0;
	up_write(&sem);
}

FINAL_CHECK
{
	claim(!rwsem_is_locked(&sem) && !rwsem_is_contended(&sem), sem.state);
}
