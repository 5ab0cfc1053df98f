// SPDX-License-Identifier: MIT
/* Condition variables, barriers, semaphores, and what is done once. */
#include "programs/pthread_program.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

#define PC ((u64)__builtin_return_address(0))

/* The first eight bytes of a condition variable; all zero = nobody waits. */
union condition {
	struct {
		u16 waiting;  /* threads that wait */
		u16 signalled; /* those of them that one of the wake-ups may be for */
		u16 wakeups;  /* given, and taken by nobody yet */
		u16 unused;
	};
	u64 word;
};

static_assert(sizeof(union condition) == 8 && VIRTUAL_CPUS <= 16, "one word");

int pthread_cond_init(pthread_cond_t *object, const pthread_condattr_t *attributes)
{
	hook_store((u64)object, 8, ORDER_PLAIN, PC);
	*(u64 *)object = 0;
	return 0;
}

int pthread_cond_destroy(pthread_cond_t *object)
{
	return 0;
}

static void begin_waiting(u64 addr, u64 pc)
{
	union condition condition;

	locked_begin(addr, 8, pc);
	condition.word = load_word(addr, 8);
	condition.waiting |= 1u << engine.cpu->id;
	word_set(addr, 8, condition.word);
	locked_end(addr, 8, pc);
}

/* Take a wake-up if there is one for this thread. If @leave, wait no longer in any case. */
static bool take_wakeup(u64 addr, bool leave, u64 pc)
{
	union condition condition;
	u32 bit = 1u << engine.cpu->id;
	bool woken;

	locked_begin(addr, 8, pc);
	condition.word = load_word(addr, 8);
	woken = condition.signalled & bit && condition.wakeups;
	if (woken)
		condition.wakeups--;
	if (woken || leave) {
		condition.waiting &= ~bit;
		condition.signalled &= ~bit;
		if (!condition.wakeups)
			condition.signalled = 0;
		word_set(addr, 8, condition.word);
	}
	locked_end(addr, 8, pc);
	return woken;
}

int pthread_cond_wait(pthread_cond_t *object, pthread_mutex_t *mutex)
{
	u64 addr = (u64)object;
	union condition condition;

	begin_waiting(addr, PC);
	pthread_mutex_unlock(mutex);
	for (;;) {
		condition.word = load_word(addr, 8);
		if (condition.signalled >> engine.cpu->id & 1 && take_wakeup(addr, false, PC))
			break;
		await_word(WAITING_CONDITION, addr, 8, load_word(addr, 8), NO_CPU, PC);
	}
	return pthread_mutex_lock(mutex);
}

/* The time may be over before a signal comes, or after it: both are tried. */
int pthread_cond_timedwait(pthread_cond_t *object, pthread_mutex_t *mutex,
			   const struct timespec *until)
{
	u64 addr = (u64)object;
	bool woken;

	begin_waiting(addr, PC);
	pthread_mutex_unlock(mutex);
	engine_point(EVENT_KIND_RELAX, 0, 0, PC);
	engine.cpu->relax_seen = engine.commits - engine.cpu->commits;
	woken = take_wakeup(addr, true, PC);
	pthread_mutex_lock(mutex);
	return woken ? 0 : ETIMEDOUT;
}

static int wake(u64 addr, bool all, u64 pc)
{
	union condition condition;
	u32 most;

	locked_begin(addr, 8, pc);
	condition.word = load_word(addr, 8);
	most = __builtin_popcount(condition.waiting);
	if (most) {
		condition.signalled |= condition.waiting;
		condition.wakeups += !all;
		if (all || condition.wakeups > most)
			condition.wakeups = most;
		word_set(addr, 8, condition.word);
	}
	locked_end(addr, 8, pc);
	return 0;
}

int pthread_cond_signal(pthread_cond_t *object)
{
	return wake((u64)object, false, PC);
}

int pthread_cond_broadcast(pthread_cond_t *object)
{
	return wake((u64)object, true, PC);
}

struct barrier {
	u32 arrived;
	u32 generation;
	u32 threshold;
};

int pthread_barrier_init(pthread_barrier_t *object, const pthread_barrierattr_t *attributes,
			 unsigned int count)
{
	struct barrier *barrier = (struct barrier *)object;

	if (!count)
		return EINVAL;
	hook_store((u64)barrier, 8, ORDER_PLAIN, PC);
	*(u64 *)barrier = 0;
	hook_store((u64)&barrier->threshold, 4, ORDER_PLAIN, PC);
	barrier->threshold = count;
	return 0;
}

int pthread_barrier_wait(pthread_barrier_t *object)
{
	struct barrier *barrier = (struct barrier *)object;
	u64 addr = (u64)barrier, place;
	u32 generation;
	bool last;

	locked_begin(addr, 8, PC);
	generation = barrier->generation;
	last = barrier->arrived + 1 >= barrier->threshold;
	/* Of one generation alone: those who come again early release the next one. */
	place = addr + (generation & 1);
	if (engine.races)
		race_release(engine.cpu, place);
	word_set(addr, 8, last ? (u64)(generation + 1) << 32 :
		 (u64)generation << 32 | (barrier->arrived + 1));
	locked_end(addr, 8, PC);
	while (barrier->generation == generation)
		await_word(WAITING_BARRIER, (u64)&barrier->generation, 4, generation, NO_CPU, PC);
	if (engine.races)
		race_acquire(engine.cpu, place);
	return last ? PTHREAD_BARRIER_SERIAL_THREAD : 0;
}

int pthread_barrier_destroy(pthread_barrier_t *object)
{
	return 0;
}

enum once { ONCE_NEVER, ONCE_RUNNING, ONCE_DONE };

int pthread_once(pthread_once_t *once, void (*function)(void))
{
	u64 addr = (u64)once;
	bool mine;

	hook_load(addr, 4, ORDER_ACQUIRE, PC);
	if (*once == ONCE_DONE)
		return 0;
	locked_begin(addr, 4, PC);
	mine = *once == ONCE_NEVER;
	if (mine)
		word_set(addr, 4, ONCE_RUNNING);
	locked_end(addr, 4, PC);
	if (engine.races)
		race_rmw(engine.cpu, addr, 4, ORDER_ACQUIRE, mine, PC);
	if (mine) {
		function();
		hook_rmw(addr, 4, PC);
		*once = ONCE_DONE;
		hook_rmw_done(addr, 4, ORDER_RELEASE, PC);
		return 0;
	}
	while (*(volatile int *)once == ONCE_RUNNING)
		await_word(WAITING_ONCE, addr, 4, ONCE_RUNNING, NO_CPU, PC);
	hook_load(addr, 4, ORDER_ACQUIRE, PC);
	return 0;
}

/* The first word of a semaphore is its value. */
int sem_init(sem_t *semaphore, int shared, unsigned int value)
{
	hook_store((u64)semaphore, 4, ORDER_PLAIN, PC);
	*(u32 *)semaphore = value;
	return 0;
}

static bool take_one(u64 addr, u64 pc)
{
	u32 value;

	locked_begin(addr, 4, pc);
	value = load_word(addr, 4);
	if (value) {
		word_set(addr, 4, value - 1);
		if (engine.races)
			race_acquire(engine.cpu, addr);
	}
	locked_end(addr, 4, pc);
	return value;
}

int sem_wait(sem_t *semaphore)
{
	while (!take_one((u64)semaphore, PC))
		await_word(WAITING_SEMAPHORE, (u64)semaphore, 4, 0, NO_CPU, PC);
	return 0;
}

int sem_trywait(sem_t *semaphore)
{
	if (take_one((u64)semaphore, PC))
		return 0;
	errno = EAGAIN;
	return -1;
}

int sem_timedwait(sem_t *semaphore, const struct timespec *until)
{
	engine_point(EVENT_KIND_RELAX, 0, 0, PC);
	engine.cpu->relax_seen = engine.commits - engine.cpu->commits;
	if (take_one((u64)semaphore, PC))
		return 0;
	errno = ETIMEDOUT;
	return -1;
}

int sem_post(sem_t *semaphore)
{
	u64 addr = (u64)semaphore;

	locked_begin(addr, 4, PC);
	if (engine.races)
		race_release(engine.cpu, addr);
	word_set(addr, 4, load_word(addr, 4) + 1);
	locked_end(addr, 4, PC);
	return 0;
}

int sem_getvalue(sem_t *semaphore, int *value)
{
	hook_load((u64)semaphore, 4, ORDER_RELAXED, PC);
	hook_store((u64)value, 4, ORDER_PLAIN, PC);
	*value = load_word((u64)semaphore, 4);
	return 0;
}

int sem_destroy(sem_t *semaphore)
{
	return 0;
}
