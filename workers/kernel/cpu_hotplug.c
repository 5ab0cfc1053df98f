// SPDX-License-Identifier: MIT
/* The lock of the set of CPUs. */
#include <finding.h>
#include <kernel/cpu_hotplug.h>

DEFINE_RWSEM(cpu_hotplug_lock);

void check_cpus_held(void)
{
	if (unlikely(!rwsem_is_held(&cpu_hotplug_lock)))
		report_finding(FINDING_BAD_CONTEXT, NULL, (u64)__builtin_return_address(0),
			       preempt_count(), irqs_disabled(), in_interrupt());
}
