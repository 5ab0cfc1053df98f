/* SPDX-License-Identifier: MIT */
/* Per-CPU variables: one element per CPU, each on cache lines of its own. */
#ifndef WORKERS_PERCPU_H
#define WORKERS_PERCPU_H

#include <machine.h>

#define DEFINE_PER_CPU(type, name) \
	struct { type value __cacheline_aligned; } name[MAX_CPUS]
#define per_cpu_ptr(name, cpu) (&(name)[cpu].value)
#define this_cpu_ptr(name) per_cpu_ptr(name, smp_processor_id())

#endif
