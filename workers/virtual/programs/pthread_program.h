/* SPDX-License-Identifier: MIT */
/* What the files of the pthread program share. */
#ifndef VIRTUAL_PTHREAD_PROGRAM_H
#define VIRTUAL_PTHREAD_PROGRAM_H

#include "hooks.h"
#include "detectors/report.h"

struct thread {
	void *(*function)(void *);
	void *argument;
	void *result;
	bool detached;
};

/* One for each CPU; of those that there are in this run. */
extern struct thread threads[VIRTUAL_CPUS];

/* The CPU has nothing to do any more; its stores must be out first. */
void thread_exit(void *result) __attribute__((noreturn));
/* As exit() does: other threads end as well. @returned: main() did. */
void program_exit(int status, bool returned, u64 pc) __attribute__((noreturn));

/* pthread_time.c: nobody can go on, so time passes for those that only wait for that. */
bool time_passes(void);
void time_begin(void);

/* pthread_keys.c */
void keys_begin(void);
/* Where the values of all keys are kept. */
u64 keys_values(u64 *size);

/* This CPU writes a word at once, as part of the operation that it was given the step for. */
static inline void word_set(u64 addr, u32 size, u64 value)
{
	undo_push(addr, size, load_word(addr, size));
	store_word(addr, size, value);
	committed(engine.cpu, addr, size, value);
}

/* A locked operation of a stand-in, in two parts: what is between them writes or does not. */
static inline void locked_begin(u64 addr, u32 size, u64 pc)
{
	struct vcpu *cpu = engine.cpu;

	shadow_check(addr, size, true, pc);
	engine_point(EVENT_KIND_RMW, addr, size, pc);
	shadow_check(addr, size, true, pc);
	if (unlikely(engine.show))
		show_before(load_word(addr, size));
	cpu->idle_reads = 0;
}

static inline void locked_end(u64 addr, u32 size, u64 pc)
{
	struct vcpu *cpu = engine.cpu;

	if (unlikely(engine.show))
		show_access(cpu, EVENT_KIND_RMW, addr, size, load_word(addr, size), ORDER_FULL, pc);
}

/* Go on when the word is not @value any more. */
static inline void await_word(u32 what, u64 addr, u32 size, u64 value, u32 owner, u64 pc)
{
	report_note(what, addr, owner);
	engine.cpu->pending.value = value;
	engine_point(EVENT_KIND_AWAIT, addr, size, pc);
	if (unlikely(engine.show))
		show_event(engine.cpu, EVENT_KIND_AWAIT, addr, size, load_word(addr, size), pc);
}

#endif
