// SPDX-License-Identifier: MIT
/* A section of SRCU that is left on another CPU at once, in another section: nobody sleeps. */
#include "srcu_lender.h"

static u32 handed_over;       /* 1 = phase and lent are the borrower's */

TASK(0, lender)
{
	lend();
	smp_store_release(&handed_over, 1);
}

TASK(1, updater)
{
	update();
}

TASK(2, borrower)
{
	u32 idx = srcu_read_lock(&domain);
	const u64 *value = srcu_dereference(shared, &domain);

	while (!smp_load_acquire(&handed_over))
		machine_spin_while(&handed_over, 0);
	if (lent)
		claim(*lent == 0, *lent);
	srcu_up_read(&domain, phase);
	if (value)
		claim(*value == 0, *value);
	srcu_read_unlock(&domain, idx);
}
