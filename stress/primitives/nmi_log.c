// SPDX-License-Identifier: MIT
/* A log that a task, a device's interrupt and an NMI of one CPU write to, without a lock. */
#include <explore.h>

#define ENTRIES 4

static u64 next;
static u32 entry[ENTRIES];

/* One instruction takes a place: nothing on this CPU comes in between. */
static void write_log(u32 value)
{
	u64 place = this_cpu_fetch_add(&next, 1);

	claim(!READ_ONCE(entry[place]), place, entry[place], value);
	WRITE_ONCE(entry[place], value);
}

IRQ(0, 1, device) { write_log(1); }
NMI(0, 1, nmi) { write_log(2); }

TASK(0, writer)
{
	write_log(3);
	write_log(4);
}

FINAL_CHECK
{
	for (u32 n = 0; n < ENTRIES; n++)
		claim(!entry[n] == (n >= next), n, entry[n], next);
}
