/* SPDX-License-Identifier: MIT */
/* Functions that are called for a traced function, one for each, without a tracer of their own. */
#ifndef KERNEL_FTRACE_DIRECT_H
#define KERNEL_FTRACE_DIRECT_H

#include <kernel/ftrace.h>

typedef void (*ftrace_direct_t)(u64 ip, struct ftrace_regs *fregs);

/*
 * From now on @direct is called for the function at site @ip; modify: another one; unregister:
 * none. Where that was another one before, nobody is in it when these return. -EBUSY: there is
 * one; -ENOENT: there is none; -EINVAL: not a site. Context: task, may sleep.
 */
int register_ftrace_direct(u64 ip, ftrace_direct_t direct);
int modify_ftrace_direct(u64 ip, ftrace_direct_t direct);
int unregister_ftrace_direct(u64 ip);

#endif
