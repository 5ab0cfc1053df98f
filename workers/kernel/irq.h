/* SPDX-License-Identifier: MIT */
/* Interrupts as the mechanisms see them, and handlers of devices. */
#ifndef KERNEL_IRQ_H
#define KERNEL_IRQ_H

#include <irqflags.h>

/*
 * Runs with interrupts off, and has them off when it returns; in between it may
 * have them on, and other lines interrupt it. A handler of NMIs does neither.
 */
typedef void (*irq_handler_t)(void *data);

/*
 * @line (0..IRQ_LINES-1) of @cpu is a device from now on, or a source of NMIs; when
 * it interrupts, @handler(@data) runs on that CPU. -EINVAL: no such line; -EBUSY:
 * it has a handler. Context: task; one caller at a time for each CPU.
 */
int request_irq(int cpu, u32 line, irq_handler_t handler, void *data);
int request_nmi(int cpu, u32 line, irq_handler_t handler, void *data);

/* Nobody raises these lines (a mask) any more; what is on its way still comes. */
void disable_lines(int cpu, u32 lines);

/* The machine interrupted this CPU, interrupts are on: take what is pending. NULL = polled. */
void do_irq(struct pt_regs *regs);

/* It could not be held off. The machine has turned interrupts off, and restores them. */
void do_nmi(struct pt_regs *regs);

#endif
