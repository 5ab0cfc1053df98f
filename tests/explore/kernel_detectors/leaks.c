// SPDX-License-Identifier: MIT
/* Objects that nothing leads to when all tasks have ended; and such that something does. */
// expect: held
// expect -D FORGOTTEN: violated leak
// expect -D OVERWRITTEN: violated leak
// expect -D EACH_OTHER: violated leak
// expect -D TAKEN_OFF: violated leak
// expect -D IN_THE_MIDDLE: held
// expect -D FREED_BY_CALLBACK: held
#include <explore.h>
#include <kernel/rcu.h>
#include <kernel/slab.h>
#include <list.h>

struct element {
	struct rcu_head head;
	struct element *next;
	u64 value;
};

static struct element *kept;
static struct element *list;

INIT
{
	/* What was there before leads to what is made later. */
	list = kzalloc(sizeof(*list), GFP_KERNEL);
}

static void free_element(struct rcu_head *head)
{
	kfree(container_of(head, struct element, head));
}

TASK(0, maker)
{
	struct element *first = kzalloc(sizeof(*first), GFP_KERNEL);
	struct element *second = kzalloc(sizeof(*second), GFP_KERNEL);

	first->next = second;
#if defined(FORGOTTEN)
	WRITE_ONCE(kept, second);
#elif defined(EACH_OTHER)
	second->next = first;
#elif defined(IN_THE_MIDDLE)
	first->next = (struct element *)&second->value;
	WRITE_ONCE(kept, (struct element *)&first->value);
#elif defined(FREED_BY_CALLBACK)
	call_rcu(&first->head, free_element);
	call_rcu(&second->head, free_element);
#else
	list->next = first;
#endif
#if defined(OVERWRITTEN)
	list->next = second;
#elif defined(TAKEN_OFF)
	list->next = NULL;
#endif
	(void)free_element;
}
