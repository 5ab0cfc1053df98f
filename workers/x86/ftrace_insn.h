/* SPDX-License-Identifier: MIT */
/* The machine code of trampolines. */
#ifndef X86_FTRACE_INSN_H
#define X86_FTRACE_INSN_H

#include <kernel/ftrace.h>

#define FTRACE_TRAMPOLINE_SIZE 128

/* What a trampoline has behind its code, bytes from its start. */
#define FTRACE_TRAMPOLINE_OPS 96   /* the tracer that it passes on */
#define FTRACE_TRAMPOLINE_ENTRY 104 /* a jump ... */
#define FTRACE_TRAMPOLINE_FUNC 112 /* ... to the address here */

/* Find the text that is copied; false = it is not there. */
bool ftrace_insn_init(void);

/* "call @target" at @ip, or for 0 the nop. */
void ftrace_insn_site(u8 bytes[MCOUNT_INSN_SIZE], u64 ip, u64 target);

/* The call in ftrace_caller that is changed, and the word that it passes on: text addresses. */
u64 ftrace_insn_call(void);
u64 ftrace_insn_op(void);

/*
 * Write a trampoline to @at: a copy of ftrace_caller that passes @ops on and calls @target.
 * entry: only the jump to C, to @func. rethook: a copy of rethook_trampoline that calls @target.
 * Context: text_mutex held.
 */
void ftrace_insn_trampoline(u64 at, const struct ftrace_ops *ops, u64 target);
void ftrace_insn_rethook(u64 at, u64 target);
void ftrace_insn_entry(u64 at, u64 word_at, const void *func);

#endif
