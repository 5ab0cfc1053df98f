// SPDX-License-Identifier: MIT
/*
 * A completion on the stack of who waits for it is left alone when the wait is over.
 *
 *	testbed explore stress/examples/on_stack_completion.c
 *	testbed explore stress/examples/on_stack_completion.c -D PEEK
 *
 * complete() sets `done` and then lets go of the completion's lock. Who only
 * looks at `done` can return in between: then the lock that is let go of lies in
 * a frame that is gone, and the store hits whatever is there by now. So
 * wait_for_completion() and completion_done() take the lock once more before
 * they return (kernel/sched/completion.c, completion_done()).
 */
#include <explore.h>
#include <kernel/completion.h>

static struct completion *request; /* the requester writes, before posted */
static u32 posted;

static noinline void ask_and_wait(void)
{
	struct completion done;

	init_completion(&done);
	request = &done;
	smp_store_release(&posted, 1); /* request and what it points to; pairs with the worker's */
#ifdef PEEK
	while (!READ_ONCE(done.done))
		machine_relax_while(&done.done, 0);
#else
	wait_for_completion(&done);
#endif
}

TASK(0, requester)
{
	ask_and_wait();
}

TASK(1, worker)
{
	while (!smp_load_acquire(&posted))
		machine_relax_while(&posted, 0);
	complete(request);
}
