// SPDX-License-Identifier: MIT
/* Readers of SRCU that stay as long as they are told, and such that follow a pointer. */
#include <kernel/kthread.h>
#include <kernel/sched.h>
#include <kernel/slab.h>
#include <kernel/srcu.h>

DEFINE_STATIC_SRCU(srcu_domain);

/* One reader per CPU. */
struct srcu_reader {
	u32 inside;           /* the reader writes */
	u32 leave;            /* Python writes 1 */
	u32 left;             /* the reader writes, before it unlocks */
	u32 idx;              /* its phase; the reader writes */
};

struct srcu_reader srcu_readers[MAX_CPUS];
u32 srcu_updated;             /* 1 = the updater's grace period has ended */
u64 srcu_left_before;         /* mask of readers that had left by then */

static noinline void srcu_stay(struct srcu_reader *reader)
{
	smp_store_release(&reader->inside, 1);
	while (!READ_ONCE(reader->leave))
		msleep(1);
	WRITE_ONCE(reader->left, 1);
}

s64 srcu_hold(void *unused)
{
	struct srcu_reader *reader = &srcu_readers[smp_processor_id()];

	reader->idx = srcu_read_lock(&srcu_domain);
	srcu_stay(reader);
	srcu_read_unlock(&srcu_domain, reader->idx);
	return 0;
}

/* Another CPU leaves for it. */
s64 srcu_lend(void *unused)
{
	struct srcu_reader *reader = &srcu_readers[smp_processor_id()];

	reader->idx = srcu_down_read(&srcu_domain);
	smp_store_release(&reader->inside, 1);
	return 0;
}

s64 srcu_give_back(void *lender)
{
	struct srcu_reader *reader = &srcu_readers[(u64)lender];

	WRITE_ONCE(reader->left, 1);
	srcu_up_read(&srcu_domain, reader->idx);
	return 0;
}

s64 srcu_update(void *unused)
{
	synchronize_srcu(&srcu_domain);
	for (u32 cpu = 0; cpu < num_cpus(); cpu++)
		srcu_left_before |= (u64)READ_ONCE(srcu_readers[cpu].left) << cpu;
	smp_store_release(&srcu_updated, 1);
	return 0;
}

/* Readers that follow a pointer. */
struct srcu_element {
	struct rcu_head head;
	u64 value;            /* SRCU_LIVE until it is freed */
};

#define SRCU_LIVE 0x5c0UL

/* What an updater does before it frees what it has replaced. */
enum srcu_wait { SRCU_WAITS, SRCU_WAITS_EXPEDITED, SRCU_CALLS, SRCU_POLLS, SRCU_FREES_AT_ONCE };

static struct srcu_element *srcu_published;
u64 srcu_reads;               /* atomic */
u64 srcu_dead;                /* readers that saw a freed one; atomic */
u64 srcu_callbacks_run;       /* atomic */

s64 srcu_publish(void)
{
	struct srcu_element *element = kmalloc(sizeof(*element), GFP_KERNEL);

	element->value = SRCU_LIVE;
	rcu_assign_pointer(srcu_published, element);
	workqueue_start();
	return 0;
}

static void srcu_look(u32 turns)
{
	u32 idx = srcu_read_lock(&srcu_domain);
	struct srcu_element *element = srcu_dereference(srcu_published, &srcu_domain);

	for (u32 n = 0; n < turns; n++)
		barrier();
	/* Also where others run meanwhile. */
	if (turns & 1)
		yield();
	if (READ_ONCE(element->value) != SRCU_LIVE)
		atomic_inc(&srcu_dead);
	srcu_read_unlock(&srcu_domain, idx);
}

s64 srcu_follow(void *unused)
{
	for (u32 turn = 0; !READ_ONCE(the_machine->stop); turn++) {
		srcu_look(turn % 128);
		atomic_inc(&srcu_reads);
		cond_resched();
	}
	return 0;
}

static void srcu_free(struct rcu_head *head)
{
	kfree(container_of(head, struct srcu_element, head));
	atomic_inc(&srcu_callbacks_run);
}

static void srcu_poll(void)
{
	u64 cookie = start_poll_synchronize_srcu(&srcu_domain);

	while (!poll_state_synchronize_srcu(&srcu_domain, cookie))
		yield();
}

static void srcu_dispose(struct srcu_element *old, enum srcu_wait how)
{
	if (how == SRCU_CALLS) {
		call_srcu(&srcu_domain, &old->head, srcu_free);
		return;
	}
	if (how == SRCU_WAITS)
		synchronize_srcu(&srcu_domain);
	else if (how == SRCU_WAITS_EXPEDITED)
		synchronize_srcu_expedited(&srcu_domain);
	else if (how == SRCU_POLLS)
		srcu_poll();
	kfree(old);
}

s64 srcu_replace(u64 times, u64 how)
{
	for (u64 n = 0; n < times; n++) {
		struct srcu_element *new = kmalloc(sizeof(*new), GFP_KERNEL);

		new->value = SRCU_LIVE;
		srcu_dispose(xchg(&srcu_published, new), how);
	}
	if (how == SRCU_CALLS)
		srcu_barrier(&srcu_domain);
	return srcu_dead;
}

/* On any CPU; @times << 8 | how. */
s64 srcu_replacer(void *argument)
{
	srcu_replace((u64)argument >> 8, (u64)argument & 0xff);
	return 0;
}

/* What must be found. */
s64 srcu_mix_flavors(void *unused)
{
	srcu_read_unlock(&srcu_domain, srcu_read_lock(&srcu_domain));
	srcu_read_unlock_fast(&srcu_domain, srcu_read_lock_fast(&srcu_domain));
	return 0;
}

s64 srcu_clean_up_early(void *unused)
{
	struct srcu_struct ssp;

	if (init_srcu_struct(&ssp))
		return -1;
	(void)srcu_read_lock(&ssp);
	cleanup_srcu_struct(&ssp);
	return 0;
}
