/* SPDX-License-Identifier: MIT */
/*
 * The sequence number of a domain's grace periods: how many there were << 2 | state.
 *
 * State 0 is idle; others are the phases of one under way. One writer at a time, under a lock
 * of the domain's; all may read.
 */
#ifndef KERNEL_RCU_SEQ_H
#define KERNEL_RCU_SEQ_H

#include <machine.h>

#define RCU_SEQ_CTR_SHIFT 2
#define RCU_SEQ_STATE_MASK ((1UL << RCU_SEQ_CTR_SHIFT) - 1)

static inline u64 rcu_seq_ctr(u64 seq)
{
	return seq >> RCU_SEQ_CTR_SHIFT;
}

static inline u32 rcu_seq_state(u64 seq)
{
	return seq & RCU_SEQ_STATE_MASK;
}

static inline u64 rcu_seq_current(const u64 *seq)
{
	return READ_ONCE(*seq);
}

static inline void rcu_seq_start(u64 *seq)
{
	WRITE_ONCE(*seq, *seq + 1);
	smp_mb(); /* The start before anybody is looked at; pairs with that of rcu_seq_snap(). */
}

static inline void rcu_seq_set_state(u64 *seq, u32 state)
{
	WRITE_ONCE(*seq, (*seq & ~RCU_SEQ_STATE_MASK) | state);
}

static inline void rcu_seq_end(u64 *seq)
{
	smp_mb(); /* All that readers did before the end; pairs with that after rcu_seq_done(). */
	WRITE_ONCE(*seq, (*seq | RCU_SEQ_STATE_MASK) + 1);
}

/* The value that @seq has come to when a grace period that has not begun yet has ended. */
static inline u64 rcu_seq_snap(const u64 *seq)
{
	u64 snap = (READ_ONCE(*seq) + 2 * RCU_SEQ_STATE_MASK + 1) & ~RCU_SEQ_STATE_MASK;

	smp_mb(); /* The number before what the caller does next. */
	return snap;
}

/* Does not order anything by itself. */
static inline bool rcu_seq_done(const u64 *seq, u64 snap)
{
	return (s64)(READ_ONCE(*seq) - snap) >= 0;
}

#endif
