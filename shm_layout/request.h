/* SPDX-License-Identifier: MIT */
/* What Python asks of a running machine: served in order by a task of CPU 0. */
#ifndef SHM_LAYOUT_REQUEST_H
#define SHM_LAYOUT_REQUEST_H

#include "types.h"

#define MAX_REQUESTS 16

enum request_op {
	REQUEST_NONE,
	REQUEST_CALL,         /* args[0](args[1..5]) on the serving task */
	REQUEST_SPAWN,        /* args: cpu, function, argument, address of name, user */
	REQUEST_TEXT_CALL,    /* args[0] = text address, called with args[1], args[2] */
	REQUEST_OPS
};

/* REQUEST_EMPTY -> (Python) REQUEST_READY -> (task) REQUEST_DONE -> (Python) REQUEST_EMPTY */
enum request_state { REQUEST_EMPTY, REQUEST_READY, REQUEST_DONE };

struct request {
	u32 state;            /* enum request_state; futex */
	u32 op;               /* enum request_op */
	u64 args[6];
	s64 result;
};

#endif
