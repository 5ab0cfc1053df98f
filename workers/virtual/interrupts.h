/* SPDX-License-Identifier: MIT */
/* Interrupts of a CPU, whatever raises them. */
#ifndef VIRTUAL_INTERRUPTS_H
#define VIRTUAL_INTERRUPTS_H

#include "engine.h"

/* Agents: interrupts that can be taken now, and CPUs that something can interrupt. */
u64 interrupt_agents(void);

/* Something interrupts @cpu. True = on its own fiber, by take_interrupt(): see cpu->deliver. */
bool interrupt_comes(struct vcpu *cpu);

/* By the CPU that is to take it, instead of its operation, which is pending afterwards again. */
void take_interrupt(struct vcpu *cpu);

#endif
