/* SPDX-License-Identifier: MIT */
/* A protocol of a user's own: a message is published, and a reader takes it. */
#include <kernel/sched.h>
#include <machine.h>

static u64 message, published, taken;

s64 protocol_begin(void)
{
	message = 0;
	published = 0;
	taken = 0;
	return 0;
}

s64 protocol_write(void *value)
{
	message = (u64)value;
	smp_store_release(&published, 1);
	return 0;
}

/* Its claim: whoever sees that it is published sees the message. */
s64 protocol_read(void *value)
{
	if (smp_load_acquire(&published)) {
		taken++;
		return message == (u64)value ? 0 : -1;
	}
	return 0;
}

/* A claim that does not hold: the reader always comes too early. */
s64 protocol_never_taken(void)
{
	return taken ? 1 : 0;
}
