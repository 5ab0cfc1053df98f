// SPDX-License-Identifier: MIT
/* A reader-writer lock: readers are together, a writer is alone, and whoever waits gets it. */
#include <explore.h>
#include <kernel/rwsem.h>

static DEFINE_RWSEM(sem);
static u64 value[2], written;

static void read_both(void)
{
	down_read(&sem);
	claim(value[0] == value[1], value[0], value[1]);
	up_read(&sem);
}

TASK(0, writer)
{
	down_write(&sem);
	value[0]++;
	value[1]++;
	written++;
	up_write(&sem);
}

TASK(1, reader)
{
	read_both();
}

TASK(2, both)
{
	read_both();
	down_write(&sem);
	value[0]++;
	value[1]++;
	written++;
	up_write(&sem);
}

FINAL_CHECK
{
	claim(written == 2 && value[0] == 2 && !rwsem_is_locked(&sem), written, value[0]);
}
