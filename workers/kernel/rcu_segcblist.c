// SPDX-License-Identifier: MIT
/* Source: kernel/rcu/rcu_segcblist.c (v6.12), with a list for each segment. */
#include <kernel/rcu_segcblist.h>

static void add(struct rcu_cblist *list, struct rcu_head *head)
{
	head->next = NULL;
	if (list->head)
		list->last->next = head;
	else
		list->head = head;
	list->last = head;
}

/* All of @from go behind those of @to. */
static void splice(struct rcu_cblist *to, struct rcu_cblist *from)
{
	if (!from->head)
		return;
	if (to->head)
		to->last->next = from->head;
	else
		to->head = from->head;
	to->last = from->last;
	from->head = NULL;
}

bool rcu_segcblist_pend_cbs(const struct rcu_segcblist *cblist)
{
	return cblist->segment[RCU_WAIT].head || cblist->segment[RCU_NEXT_READY].head ||
	       cblist->segment[RCU_NEXT].head;
}

void rcu_segcblist_enqueue(struct rcu_segcblist *cblist, struct rcu_head *head)
{
	rcu_segcblist_add_len(cblist, 1);
	add(&cblist->segment[RCU_NEXT], head);
}

bool rcu_segcblist_entrain(struct rcu_segcblist *cblist, struct rcu_head *head)
{
	u32 n = RCU_NEXT;

	if (!cblist->len)
		return false;
	while (n > RCU_DONE && !cblist->segment[n].head)
		n--;
	rcu_segcblist_add_len(cblist, 1);
	add(&cblist->segment[n], head);
	return true;
}

void rcu_segcblist_advance(struct rcu_segcblist *cblist, u64 seq)
{
	struct rcu_cblist *segment = cblist->segment;

	for (u32 n = RCU_WAIT; n < RCU_NEXT; n++) {
		if (segment[n].head && (s64)(seq - cblist->gp_seq[n]) >= 0)
			splice(&segment[RCU_DONE], &segment[n]);
	}
	if (!segment[RCU_WAIT].head) {
		splice(&segment[RCU_WAIT], &segment[RCU_NEXT_READY]);
		cblist->gp_seq[RCU_WAIT] = cblist->gp_seq[RCU_NEXT_READY];
	}
}

void rcu_segcblist_accelerate(struct rcu_segcblist *cblist, u64 seq)
{
	struct rcu_cblist *segment = cblist->segment;

	for (u32 n = RCU_WAIT; n < RCU_NEXT; n++) {
		/* Its grace period is too early for those that came later. */
		if (segment[n].head && (s64)(cblist->gp_seq[n] - seq) < 0)
			continue;
		if (!segment[n].head)
			cblist->gp_seq[n] = seq;
		splice(&segment[n], &segment[RCU_NEXT]);
		return;
	}
}

struct rcu_head *rcu_segcblist_extract_done_cbs(struct rcu_segcblist *cblist)
{
	struct rcu_head *head = cblist->segment[RCU_DONE].head;

	cblist->segment[RCU_DONE].head = NULL;
	return head;
}
