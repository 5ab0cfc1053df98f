// SPDX-License-Identifier: MIT
/* One task enters a section of SRCU, another one leaves it on another CPU. */
#include <kernel/completion.h>
#include "srcu_lender.h"

static DECLARE_COMPLETION(handed_over);

TASK(0, lender)
{
	lend();
	complete(&handed_over);
}

TASK(1, updater)
{
	update();
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
