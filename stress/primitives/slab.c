// SPDX-License-Identifier: MIT
/* Two CPUs allocate and free objects of one class: nobody gets another's. */
#include <explore.h>
#include <kernel/slab.h>

static void use(u64 mine)
{
	u64 *object = kmalloc(sizeof(*object), GFP_KERNEL);

	WRITE_ONCE(*object, mine);
	claim(READ_ONCE(*object) == mine, *object, mine);
	kfree(object);
}

TASK(0, left)
{
	use(1);
}

TASK(1, right)
{
	use(2);
}
