/* SPDX-License-Identifier: MIT */
/* A tracer of functions that is called when they are entered and when they return. */
#ifndef KERNEL_FPROBE_H
#define KERNEL_FPROBE_H

#include <kernel/rethook.h>

/* The owner writes the handlers before registering; each may be NULL. Preemption is off in them. */
struct fprobe {
	struct ftrace_ops ops;
	void (*entry_handler)(struct fprobe *fp, u64 ip, struct ftrace_regs *fregs);
	void (*exit_handler)(struct fprobe *fp, u64 ip, u64 result);
	struct rethook *rethook; /* NULL = no exit handler */
	u64 nmissed;          /* calls of which there were too many at a time; atomic */
};

/*
 * @fp is zeroed memory of kmalloc(), but for its handlers. When unregister_fprobe() has returned
 * no handler runs, and it may be freed; calls that are under way return unnoticed. Errors are
 * those of ftrace. Context: task, may sleep.
 */
int register_fprobe_ips(struct fprobe *fp, const u64 *ips, u32 count);
int unregister_fprobe(struct fprobe *fp);

#endif
