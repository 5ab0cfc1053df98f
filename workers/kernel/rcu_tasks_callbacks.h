/* SPDX-License-Identifier: MIT */
/*
 * What the flavours of RCU-tasks have in common: who waits for a grace period shares it with
 * others, and callbacks wait for one in queues that a kernel thread serves.
 */
#ifndef KERNEL_RCU_TASKS_CALLBACKS_H
#define KERNEL_RCU_TASKS_CALLBACKS_H

#include <kernel/mutex.h>
#include <kernel/rcu.h>

/* A flavour. */
struct rcu_tasks {
	const char *name;          /* of its kernel thread */
	const void *readers;       /* whom it waits for, as the machine's record names them */
	void (*wait_gp)(void);     /* a grace period, from its beginning to its end; under mutex */
	struct mutex mutex;        /* held by the leader of a grace period */
	u64 seq;                   /* grace periods << 2 | state; under mutex, all read */
};

#define RCU_TASKS_INIT(flavour, thread, domain, wait) { \
	.name = (thread), .readers = (domain), .wait_gp = (wait), \
	.mutex = MUTEX_INIT((flavour).mutex), \
}

/* Return when every reader of @rtp that had begun has ended. Context: task, may sleep. */
void synchronize_rcu_tasks_generic(struct rcu_tasks *rtp);

#endif
