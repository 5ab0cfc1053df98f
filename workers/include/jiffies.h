/* SPDX-License-Identifier: MIT */
/* Machine time in ticks. A tick is one millisecond, whatever the period of preemption. */
#ifndef WORKERS_JIFFIES_H
#define WORKERS_JIFFIES_H

#include <machine.h>

#define HZ 1000UL
#define NSEC_PER_JIFFY 1000000UL

/* Readable anywhere; never goes back, on no CPU. */
#define jiffies machine_jiffies()

#define time_after(a, b) ((s64)((b) - (a)) < 0)
#define time_before(a, b) time_after(b, a)
#define time_after_eq(a, b) ((s64)((a) - (b)) >= 0)
#define time_before_eq(a, b) time_after_eq(b, a)

static inline u64 msecs_to_jiffies(u64 ms)
{
	return ms * HZ / 1000;
}

static inline u64 usecs_to_jiffies(u64 us)
{
	return (us * HZ + 999999) / 1000000;
}

static inline u64 jiffies_to_msecs(u64 ticks)
{
	return ticks * 1000 / HZ;
}

#endif
