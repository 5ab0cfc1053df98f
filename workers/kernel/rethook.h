/* SPDX-License-Identifier: MIT */
/*
 * Functions whose return goes by way of C: the return address on the stack is another one
 * meanwhile. Names and rules are those of kernel/trace/rethook.c (Linux v6.6).
 */
#ifndef KERNEL_RETHOOK_H
#define KERNEL_RETHOOK_H

#include <kernel/ftrace.h>
#include <kernel/spinlock.h>

/* Called when the function at site @ip returns @result, with preemption off. */
typedef void (*rethook_handler_t)(void *data, u64 ip, u64 result);

/* One call under way. */
struct rethook_node {
	struct rethook_node *next; /* in the pool; under the rethook's lock */
	struct rethook_node *outer; /* the call that this one is in; its task */
	struct rethook *rethook;
	u64 ret_addr;         /* where it returns to in truth; its task */
	u64 ip;               /* the site; its task */
};

struct rethook {
	rethook_handler_t handler; /* NULL = no more calls; who stops it writes, all read */
	void *data;
	spinlock_t lock;
	u32 nodes;            /* that there are, in the pool or not; under lock */
	struct rethook_node *pool; /* under lock */
};

/* With room for @nodes calls at a time; NULL = no memory. Task. */
struct rethook *rethook_alloc(void *data, rethook_handler_t handler, u32 nodes);

/* No more calls are hooked after a grace period of RCU. free: no handler runs when it returns. */
void rethook_stop(struct rethook *rethook);
void rethook_free(struct rethook *rethook);

/*
 * Hook the return of the call that is being traced; NULL = no room, or stopped. Context: a
 * callback of ftrace, preemption off, RCU watches.
 */
struct rethook_node *rethook_try_get(struct rethook *rethook);
void rethook_hook(struct rethook_node *node, u64 ip, struct ftrace_regs *fregs);

/* Called by text when a hooked function returns @result: where to go on. */
u64 rethook_trampoline_handler(u64 result);

#endif
