// SPDX-License-Identifier: MIT
/* Sections and locks that outlive the function that began them. */
#include <finding.h>
#include <kernel/balance.h>

void report_unbalanced(const void *function, struct balance before, struct balance after)
{
	report_finding(FINDING_UNBALANCED, NULL, (u64)function, before.preempt_count,
		       after.preempt_count, before.irqs_off, after.irqs_off,
		       (u32)(after.locks + after.readers - before.locks - before.readers));
}
