/* SPDX-License-Identifier: MIT */
/* Trampolines of tracers: text that is made and freed while the machine runs. */
#ifndef KERNEL_FTRACE_TRAMPOLINE_H
#define KERNEL_FTRACE_TRAMPOLINE_H

#include <kernel/ftrace.h>

/* What of text traced functions may call beside trampolines. Set once by init(). */
struct ftrace_text {
	u64 caller;           /* ftrace_caller; 0 = not there */
	u64 stub;             /* returns */
	u64 list;             /* jumps to ftrace_ops_list_func() */
	u64 assist;           /* jumps to ftrace_ops_assist_func() */
	u64 sleep;            /* jumps to ftrace_ops_sleep_func() */
	u64 rethook;          /* where hooked functions return to */
};

extern struct ftrace_text ftrace_text;

/* Find and make them; 0 or -errno. Again does nothing. Context: ftrace_lock held, may sleep. */
int ftrace_trampoline_init(void);

/*
 * Give @ops an entry, and a trampoline unless it wants none. Without memory it has neither.
 * free: nobody is in them, or will be. Context: ftrace_lock held, may sleep.
 */
void ftrace_trampoline_create(struct ftrace_ops *ops);
void ftrace_trampoline_free(struct ftrace_ops *ops);

/* Who freed the trampoline that @addr was in, and where it starts; NULL = it was not freed. */
const struct side *ftrace_trampoline_freed(u64 addr, u64 *start);

/* The running task, which was interrupted at @regs, had lost its CPU and has it back. */
void ftrace_note_preempted(const struct pt_regs *regs);

#endif
