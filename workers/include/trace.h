/* SPDX-License-Identifier: MIT */
/*
 * trace_event(type, a, b): leave an event for reports, in any context. How, and
 * whether there is need to, the machine knows.
 */
#ifndef WORKERS_TRACE_H
#define WORKERS_TRACE_H

#include <machine_trace.h>

#endif
