/* SPDX-License-Identifier: MIT */
/* Fault injection: calls that fail once in so many times. */
#ifndef KERNEL_FAULT_H
#define KERNEL_FAULT_H

#include <machine.h>

/* True once in @one_in calls on average; 0 = never. From config.seed and the CPU. Any context. */
bool should_fail(u32 one_in);

#endif
