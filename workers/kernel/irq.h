/* SPDX-License-Identifier: MIT */
/* Interrupts as the mechanisms see them. */
#ifndef KERNEL_IRQ_H
#define KERNEL_IRQ_H

#include <irqflags.h>

/* The machine interrupted this CPU, interrupts are on: take what is pending. NULL = polled. */
void do_irq(struct pt_regs *regs);

#endif
