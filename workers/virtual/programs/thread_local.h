/* SPDX-License-Identifier: MIT */
/*
 * Thread-local variables of explored code. They lie at the top of each thread's
 * stack, and are shared as that is: unnoticed by others until an address in it
 * is published, and gone when the thread has ended.
 *
 * %fs says where they are, so libc's own are there as well: each thread has a
 * copy of them, as they were when it began.
 */
#ifndef VIRTUAL_THREAD_LOCAL_H
#define VIRTUAL_THREAD_LOCAL_H

#include "engine.h"

/* Bytes of all that the program has. */
u64 locals_size(void);
/* If there are any, make room in every stack of @stack_size bytes; 0 or -errno. */
int locals_prepare(u64 stack_size);
/* @fiber is about to begin: its variables are as the program has them initialized. */
void locals_begin(const struct fiber *fiber);

/* From now on %fs is @fiber's; NULL = the engine's own. Only if engine.locals is not 0. */
void locals_enter(const struct fiber *fiber);

#endif
