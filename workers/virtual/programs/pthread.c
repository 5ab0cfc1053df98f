// SPDX-License-Identifier: MIT
/*
 * A program with pthreads: each thread is a CPU with one fiber, main() is CPU 0.
 *
 * These functions, and those of the other pthread_*.c, stand in for libc's of
 * the same names.
 */
#include "fiber.h"
#include "programs/heap.h"
#include "programs/pthread_program.h"
#include "programs/thread_local.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#define PC ((u64)__builtin_return_address(0))
#define STACK_SIZE (64UL << 10)
#define GUARD_SIZE 4096
#define STACKS_BASE 0x130000000000UL

extern int explored_main(int argc, char **argv) __attribute__((weak));

struct thread threads[VIRTUAL_CPUS];

void thread_exit(void *result)
{
	struct vcpu *cpu = engine.cpu;

	threads[cpu->id].result = result;
	if (engine.starter || cpu->count)
		engine_point(EVENT_KIND_EXIT, 0, 0, 0);
	engine.exited |= 1UL << cpu->id;
	if (engine.races)
		race_end(cpu);
	if (unlikely(engine.show))
		show_event(cpu, EVENT_KIND_EXIT, 0, 0, 0, 0);
	engine_leave(cpu);
}

void program_exit(int status, bool returned, u64 pc)
{
	if (status)
		virtual_report(FINDING_CLAIM, pc, NULL, status);
	if (engine.assumed)
		engine_end(RUN_ASSUMED);
	heap_check_leaks(returned);
	engine_end(RUN_PASSED);
}

static void main_entry(void)
{
	static char name[] = "program", *argv[] = { name, NULL };
	int status = explored_main(1, argv);

	/* It has no call to name: its beginning is taken for it. */
	program_exit(status, true, (u64)explored_main + 1);
}

static void thread_entry(void)
{
	u32 id = engine.cpu->id;

	thread_exit(threads[id].function(threads[id].argument));
}

static int pthread_prepare(void)
{
	u64 size = STACK_SIZE * VIRTUAL_CPUS;

	if (mmap((void *)STACKS_BASE, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0) !=
	    (void *)STACKS_BASE)
		return -ENOMEM;
	if (heap_init() || locals_prepare(STACK_SIZE - GUARD_SIZE))
		return -ENOMEM;
	engine.stacks = STACKS_BASE;
	engine.stacks_size = size;
	engine.stack_stride = STACK_SIZE;
	for (u32 n = 0; n < VIRTUAL_CPUS; n++) {
		/* The lowest page is there for nobody: a stack that overflows is seen. */
		if (mprotect((void *)(STACKS_BASE + n * STACK_SIZE), GUARD_SIZE, PROT_NONE))
			return -ENOMEM;
		fibers[n].stack = STACKS_BASE + n * STACK_SIZE + GUARD_SIZE;
		fibers[n].size = STACK_SIZE - GUARD_SIZE;
		fibers[n].cpu = fibers[n].index = n;
		engine.vcpu[n].id = n;
		engine.vcpu[n].fiber = &fibers[n];
	}
	return 0;
}

/* The thread of @cpu will begin with @entry. */
static void begin_thread(struct vcpu *cpu, void (*entry)(void))
{
	vcpu_reset(cpu);
	fiber_reset(cpu->fiber, entry);
	if (unlikely(engine.locals))
		locals_begin(cpu->fiber);
}

static void pthread_begin(void)
{
	engine.nr_cpus = 1;
	heap_reset();
	time_begin();
	keys_begin();
	begin_thread(&engine.vcpu[0], main_entry);
}

/* A thread waits for what nobody will do, or for its own spinning to end. */
static bool pthread_stuck(enum run_end *end)
{
	if (engine.assumed) {
		*end = RUN_ASSUMED;
		return true;
	}
	/* main() has left the others by pthread_exit(), and they are done. */
	if (!engine.blocked)
		program_exit(0, true, 0);
	if (time_passes())
		return false;
	report_deadlock();
}

const struct program pthread_program = {
	.name = "pthread",
	.prepare = pthread_prepare,
	.begin = pthread_begin,
	.stuck = pthread_stuck,
};

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *),
		   void *argument)
{
	struct vcpu *self = engine.cpu, *child;
	u64 stack = (u64)argument - engine.stacks;
	u32 id = engine.nr_cpus;

	if (id == VIRTUAL_CPUS)
		return EAGAIN;
	if (stack < engine.stacks_size)
		fibers[stack / engine.stack_stride].published = 1;
	hook_store((u64)thread, sizeof(*thread), ORDER_RELAXED, PC);
	*thread = id + 1;
	/* What is made before is seen by the thread: making one is a locked operation. */
	if (self->count)
		engine_point(EVENT_KIND_FENCE, 0, 0, PC);
	else if (engine.strategy->passed)
		engine.strategy->passed(self->id, EVENT_KIND_FENCE, 0);
	child = &engine.vcpu[id];
	threads[id].function = function;
	threads[id].argument = argument;
	threads[id].detached = false;
	threads[id].result = NULL;
	begin_thread(child, thread_entry);
	engine.nr_cpus = id + 1;
	if (engine.races)
		race_edge(self, child);
	if (unlikely(engine.show))
		show_event(self, EVENT_KIND_CREATE, 0, 0, id, PC);
	engine_start_cpu(child);
	return 0;
}

int pthread_join(pthread_t thread, void **result)
{
	struct vcpu *self = engine.cpu;
	u32 id = thread - 1;

	if (id >= engine.nr_cpus || id == self->id)
		return ESRCH;
	if (!(engine.exited >> id & 1)) {
		self->pending.value = id;
		engine_point(EVENT_KIND_JOIN, 0, 0, PC);
	} else if (engine.strategy->passed) {
		engine.strategy->passed(self->id, EVENT_KIND_JOIN, id);
	}
	if (engine.races)
		race_edge(&engine.vcpu[id], self);
	if (unlikely(engine.show))
		show_event(self, EVENT_KIND_JOIN, 0, 0, id, PC);
	if (result) {
		hook_store((u64)result, sizeof(*result), ORDER_PLAIN, PC);
		*result = threads[id].result;
	}
	return 0;
}

/* What the verification tools call it: this run is none if @condition is false. */
void __VERIFIER_assume(int condition);
void __VERIFIER_assume(int condition)
{
	if (condition)
		return;
	if (!engine.strategy->patient)
		engine_end(RUN_ASSUMED);
	/* Nothing enables it again. Others go on: what they do could have been before this. */
	engine.assumed = 1;
	engine_point(EVENT_KIND_NONE, 0, 0, PC);
}

void __assert_fail(const char *text, const char *file, unsigned int line, const char *function)
{
	report_assertion(text, file, line, PC);
}
