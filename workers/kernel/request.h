/* SPDX-License-Identifier: MIT */
/* What Python asks of a running machine. */
#ifndef KERNEL_REQUEST_H
#define KERNEL_REQUEST_H

#include <machine.h>

void request_interrupt(void);
void request_init(void);

#endif
