// SPDX-License-Identifier: MIT
/* Sequence locks: what waits, and what is checked. */
#include <finding.h>
#include <kernel/sched.h>
#include <kernel/seqlock.h>

void seqcount_wait(const seqcount_t *s, u32 writer)
{
	struct wait_note before;

	/* A writer on this CPU can only go on when we return: never. */
	if (unlikely(writer == smp_processor_id() + 1))
		report_finding(FINDING_DEADLOCK, NULL, current->index, WAIT_SEQCOUNT, (u64)s, 1);
	before = wait_begin(WAIT_SEQCOUNT, s, writer);
	machine_wait_clear(&s->sequence, 1);
	wait_end(before);
}

__passed_over void seqcount_assert_writer(const seqcount_t *s)
{
	const struct cpu *cpu = this_cpu();

	if (unlikely(!cpu->preempt_count && !cpu->irq_off && !in_interrupt()))
		report_finding(FINDING_BAD_CONTEXT, NULL, (u64)__builtin_return_address(0),
			       cpu->preempt_count, cpu->irq_off, in_interrupt());
}

static __passed_over void check_held(const void *lock, u32 owner)
{
	if (unlikely(owner != smp_processor_id() + 1))
		report_finding(FINDING_BAD_STATE, NULL, (u64)lock, owner, smp_processor_id() + 1);
}

__passed_over void seqcount_spinlock_assert_writer(const seqcount_spinlock_t *s)
{
	check_held(s->lock, READ_ONCE(s->lock->owner));
}

__passed_over void seqcount_rwlock_assert_writer(const seqcount_rwlock_t *s)
{
	check_held(s->lock, READ_ONCE(s->lock->writer));
}

__passed_over void seqcount_mutex_assert_writer(const seqcount_mutex_t *s)
{
	if (unlikely(!mutex_is_held(s->lock)))
		report_finding(FINDING_BAD_STATE, NULL, (u64)s->lock, READ_ONCE(s->lock->owner),
			       (u64)current);
}

void seqlock_init(seqlock_t *sl)
{
	spin_lock_init(&sl->lock);
	seqcount_lock_init(&sl->seqcount, &sl->lock);
}

void write_seqlock(seqlock_t *sl)
{
	spin_lock(&sl->lock);
	__write_seqcount_begin(&sl->seqcount.seqcount);
}

void write_sequnlock(seqlock_t *sl)
{
	__write_seqcount_end(&sl->seqcount.seqcount);
	spin_unlock(&sl->lock);
}

u32 write_seqlock_irqsave(seqlock_t *sl)
{
	u32 flags = spin_lock_irqsave(&sl->lock);

	__write_seqcount_begin(&sl->seqcount.seqcount);
	return flags;
}

void write_sequnlock_irqrestore(seqlock_t *sl, u32 flags)
{
	__write_seqcount_end(&sl->seqcount.seqcount);
	spin_unlock_irqrestore(&sl->lock, flags);
}

void read_seqlock_excl(seqlock_t *sl)
{
	spin_lock(&sl->lock);
}

void read_sequnlock_excl(seqlock_t *sl)
{
	spin_unlock(&sl->lock);
}

void read_seqbegin_or_lock(seqlock_t *sl, u32 *seq)
{
	if (*seq & 1)
		read_seqlock_excl(sl);
	else
		*seq = read_seqbegin(sl);
}

bool need_seqretry(const seqlock_t *sl, u32 seq)
{
	return !(seq & 1) && read_seqretry(sl, seq);
}

void done_seqretry(seqlock_t *sl, u32 seq)
{
	if (seq & 1)
		read_sequnlock_excl(sl);
}
