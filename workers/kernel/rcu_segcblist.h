/* SPDX-License-Identifier: MIT */
/*
 * Callbacks in the order in which they came, each with the grace period that it waits for.
 *
 * Those that came last wait for none yet; the others are in as many segments as there can be
 * different grace periods: one that is under way, and the next. All zeros is an empty list.
 * Whoever has it locks it.
 */
#ifndef KERNEL_RCU_SEGCBLIST_H
#define KERNEL_RCU_SEGCBLIST_H

#include <kernel/rcu.h>

struct rcu_cblist {
	struct rcu_head *head;     /* NULL = empty */
	struct rcu_head *last;     /* valid unless empty */
};

enum rcu_segment { RCU_DONE, RCU_WAIT, RCU_NEXT_READY, RCU_NEXT, RCU_SEGMENTS };

struct rcu_segcblist {
	struct rcu_cblist segment[RCU_SEGMENTS];
	u64 gp_seq[RCU_NEXT];      /* what the sequence must have come to; not of RCU_DONE */
	u64 len;                   /* callbacks that have not returned; read by anyone */
};

/* Any that have not returned, also of those that were taken out to be run. */
static inline u64 rcu_segcblist_n_cbs(const struct rcu_segcblist *cblist)
{
	return READ_ONCE(cblist->len);
}

/* So many more; those that have run are taken off by who ran them. */
static inline void rcu_segcblist_add_len(struct rcu_segcblist *cblist, s64 count)
{
	WRITE_ONCE(cblist->len, cblist->len + count);
}

/* Any that are to be run now. */
static inline bool rcu_segcblist_ready_cbs(const struct rcu_segcblist *cblist)
{
	return cblist->segment[RCU_DONE].head;
}

/* Any that wait for a grace period. */
bool rcu_segcblist_pend_cbs(const struct rcu_segcblist *cblist);

/* Behind all others. */
void rcu_segcblist_enqueue(struct rcu_segcblist *cblist, struct rcu_head *head);

/*
 * Behind all others, waiting for no grace period that they do not wait for: false if there are
 * none, also none that is run now.
 */
bool rcu_segcblist_entrain(struct rcu_segcblist *cblist, struct rcu_head *head);

/* The sequence has come to @seq. */
void rcu_segcblist_advance(struct rcu_segcblist *cblist, u64 seq);

/*
 * Those that wait for no grace period yet may run when the sequence has come to @seq, a
 * snapshot from before the last rcu_segcblist_advance(), so that they find a segment.
 */
void rcu_segcblist_accelerate(struct rcu_segcblist *cblist, u64 seq);

/* Take out those that are to be run now, in order. */
struct rcu_head *rcu_segcblist_extract_done_cbs(struct rcu_segcblist *cblist);

#endif
