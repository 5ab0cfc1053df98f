// SPDX-License-Identifier: MIT
/* One task enters a section of SRCU, another one leaves it on another CPU. */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/slab.h>
#include <kernel/srcu.h>

DEFINE_STATIC_SRCU(domain);
static DECLARE_COMPLETION(handed_over);

static u64 *shared;
static const u64 *lent;
static u32 phase;

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
}

TASK(0, lender)
{
	phase = srcu_down_read(&domain);
	lent = srcu_dereference(shared, &domain);
	complete(&handed_over);
}

TASK(1, updater)
{
	u64 *old = shared;

	WRITE_ONCE(shared, NULL);
	synchronize_srcu(&domain);
	kfree(old);
}

/* It has a section of its own around that. */
TASK(2, borrower)
{
	u32 idx = srcu_read_lock(&domain);
	const u64 *value = srcu_dereference(shared, &domain);

	wait_for_completion(&handed_over);
	if (lent)
		claim(*lent == 0, *lent);
	srcu_up_read(&domain, phase);
	if (value)
		claim(*value == 0, *value);
	srcu_read_unlock(&domain, idx);
}
