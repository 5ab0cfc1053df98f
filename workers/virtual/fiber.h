/* SPDX-License-Identifier: MIT */
/*
 * The switch from one stack to another, inline: the compiler saves what is live.
 *
 * It goes on by an indirect jump and not by ret, which the processor's return
 * stack would mispredict every time.
 */
#ifndef VIRTUAL_FIBER_H
#define VIRTUAL_FIBER_H

#include "engine.h"

static inline __attribute__((always_inline)) void fiber_switch(struct fiber *from, struct fiber *to)
{
	__asm__ volatile(
		"pushq %%rbp\n\t"
		"leaq 1f(%%rip), %%rax\n\t"
		"movq %%rsp, (%0)\n\t"
		"movq %%rax, 8(%0)\n\t"
		"movq (%1), %%rsp\n\t"
		"jmpq *8(%1)\n"
		"1:\n\t"
		"popq %%rbp"
		: "+D"(from), "+S"(to)
		:
		: "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
		  "r15", "memory", "cc");
}

/* @fiber will begin with @entry, which does not return, on an empty stack. */
static inline void fiber_reset(struct fiber *fiber, void (*entry)(void))
{
	/* As after a call: the return address of a function lies 8 below a multiple of 16. */
	u64 *top = (u64 *)(fiber->stack + fiber->size - engine.locals - 64);

	top[0] = 0;
	top[-1] = 0;
	fiber->sp = (u64)(top - 1);
	fiber->ip = (u64)entry;
	fiber->published = 0;
	fiber->touched = 0;
}

#endif
