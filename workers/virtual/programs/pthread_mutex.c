// SPDX-License-Identifier: MIT
/*
 * Mutexes, spin locks and read-write locks. The state is kept in the object
 * itself, so that undoing a run undoes it, and a static initializer is right.
 */
#include "programs/pthread_program.h"

#include <errno.h>
#include <pthread.h>

#define PC ((u64)__builtin_return_address(0))

/* Where libc's static initializers have the kind of a mutex. */
#define KIND_OFFSET 16

struct mutex {
	u32 owner;            /* thread + 1; 0 = free */
	u32 depth;            /* recursive: how often it is held more than once */
	u32 unused[2];
	u32 kind;             /* PTHREAD_MUTEX_* */
};

static_assert(offsetof(struct mutex, kind) == KIND_OFFSET, "as libc has it");

#define WRITER 0x80000000u

static void clear(u64 addr, u64 size, u64 pc)
{
	for (u64 n = 0; n < size; n += 8) {
		hook_store(addr + n, 8, ORDER_PLAIN, pc);
		store_word(addr + n, 8, 0);
	}
}

int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
	int kind = PTHREAD_MUTEX_NORMAL;

	clear((u64)mutex, sizeof(*mutex), PC);
	if (attributes)
		pthread_mutexattr_gettype(attributes, &kind);
	hook_store((u64)mutex + KIND_OFFSET, 4, ORDER_PLAIN, PC);
	((struct mutex *)mutex)->kind = kind;
	return 0;
}

static void take(struct mutex *mutex, u64 pc)
{
	struct vcpu *self = engine.cpu;

	word_set((u64)&mutex->owner, 4, self->id + 1);
	if (engine.races)
		race_acquire(self, (u64)mutex);
	if (unlikely(engine.show))
		show_event(self, EVENT_KIND_LOCK, (u64)mutex, 4, self->id + 1, pc);
}

/* The caller holds it already: nobody else has a say. */
static int take_again(struct mutex *mutex)
{
	if (mutex->kind == PTHREAD_MUTEX_ERRORCHECK)
		return EDEADLK;
	word_set((u64)&mutex->depth, 4, mutex->depth + 1);
	return 0;
}

static bool is_held_again(const struct mutex *mutex)
{
	return mutex->kind != PTHREAD_MUTEX_NORMAL && mutex->kind <= PTHREAD_MUTEX_ERRORCHECK &&
	       mutex->owner == engine.cpu->id + 1;
}

int pthread_mutex_lock(pthread_mutex_t *object)
{
	struct mutex *mutex = (struct mutex *)object;

	shadow_check((u64)mutex, 4, true, PC);
	if (is_held_again(mutex))
		return take_again(mutex);
	engine_point(EVENT_KIND_LOCK, (u64)mutex, 4, PC);
	shadow_check((u64)mutex, 4, true, PC);
	take(mutex, PC);
	return 0;
}

int pthread_mutex_trylock(pthread_mutex_t *object)
{
	struct mutex *mutex = (struct mutex *)object;

	shadow_check((u64)mutex, 4, true, PC);
	if (is_held_again(mutex) && mutex->kind == PTHREAD_MUTEX_RECURSIVE)
		return take_again(mutex);
	locked_begin((u64)mutex, 4, PC);
	if (mutex->owner) {
		locked_end((u64)mutex, 4, PC);
		return EBUSY;
	}
	take(mutex, PC);
	return 0;
}

/* It may be taken at any time, or never: there is no clock that says when that is. */
int pthread_mutex_timedlock(pthread_mutex_t *object, const struct timespec *until)
{
	return pthread_mutex_trylock(object) ? ETIMEDOUT : 0;
}

int pthread_mutex_unlock(pthread_mutex_t *object)
{
	struct mutex *mutex = (struct mutex *)object;
	struct vcpu *self = engine.cpu;

	shadow_check((u64)mutex, 4, true, PC);
	if (is_held_again(mutex) && mutex->depth) {
		word_set((u64)&mutex->depth, 4, mutex->depth - 1);
		return 0;
	}
	engine_point(EVENT_KIND_UNLOCK, (u64)mutex, 4, PC);
	shadow_check((u64)mutex, 4, true, PC);
	if (mutex->owner != self->id + 1) {
		if (mutex->kind == PTHREAD_MUTEX_ERRORCHECK)
			return EPERM;
		virtual_report(FINDING_BAD_STATE, PC, NULL, (u64)mutex, mutex->owner, self->id + 1);
	}
	if (engine.races)
		race_release(self, (u64)mutex);
	word_set((u64)&mutex->owner, 4, 0);
	if (unlikely(engine.show))
		show_event(self, EVENT_KIND_UNLOCK, (u64)mutex, 4, 0, PC);
	return 0;
}

int pthread_mutex_destroy(pthread_mutex_t *object)
{
	struct mutex *mutex = (struct mutex *)object;

	hook_load((u64)mutex, 4, ORDER_RELAXED, PC);
	if (mutex->owner)
		virtual_report(FINDING_BAD_STATE, PC, NULL, (u64)mutex, mutex->owner, 0);
	return 0;
}

int pthread_spin_init(pthread_spinlock_t *lock, int shared)
{
	hook_store((u64)lock, 4, ORDER_PLAIN, PC);
	*lock = 0;
	return 0;
}

int pthread_spin_lock(pthread_spinlock_t *lock)
{
	struct vcpu *self = engine.cpu;

	shadow_check((u64)lock, 4, true, PC);
	engine_point(EVENT_KIND_LOCK, (u64)lock, 4, PC);
	shadow_check((u64)lock, 4, true, PC);
	word_set((u64)lock, 4, self->id + 1);
	if (unlikely(engine.show))
		show_event(self, EVENT_KIND_LOCK, (u64)lock, 4, self->id + 1, PC);
	if (engine.races)
		race_rmw(self, (u64)lock, 4, ORDER_ACQUIRE, true, PC);
	return 0;
}

int pthread_spin_trylock(pthread_spinlock_t *lock)
{
	struct vcpu *self = engine.cpu;
	bool free;

	locked_begin((u64)lock, 4, PC);
	free = !*lock;
	if (free)
		word_set((u64)lock, 4, self->id + 1);
	locked_end((u64)lock, 4, PC);
	if (engine.races)
		race_rmw(self, (u64)lock, 4, ORDER_ACQUIRE, free, PC);
	return free ? 0 : EBUSY;
}

/* An ordinary store, which waits in the buffer like any other. */
int pthread_spin_unlock(pthread_spinlock_t *lock)
{
	hook_store((u64)lock, 4, ORDER_RELEASE, PC);
	*lock = 0;
	return 0;
}

int pthread_spin_destroy(pthread_spinlock_t *lock)
{
	return 0;
}

/* The first word: readers, or WRITER and the thread + 1. */
int pthread_rwlock_init(pthread_rwlock_t *lock, const pthread_rwlockattr_t *attributes)
{
	clear((u64)lock, sizeof(*lock), PC);
	return 0;
}

static bool read_lock(u64 lock, u64 pc)
{
	u32 *word = (u32 *)lock;
	bool free;

	locked_begin(lock, 4, pc);
	free = !(*word & WRITER);
	if (free) {
		word_set(lock, 4, *word + 1);
		if (engine.races)
			race_acquire(engine.cpu, lock);
	}
	locked_end(lock, 4, pc);
	return free;
}

int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
	u32 *word = (u32 *)lock;

	while (!read_lock((u64)lock, PC))
		await_word(WAITING_READ_LOCK, (u64)lock, 4, *word, (*word & ~WRITER) - 1, PC);
	return 0;
}

int pthread_rwlock_tryrdlock(pthread_rwlock_t *lock)
{
	return read_lock((u64)lock, PC) ? 0 : EBUSY;
}

static bool write_lock(u64 lock, u64 pc)
{
	u32 *word = (u32 *)lock;
	bool free;

	locked_begin(lock, 4, pc);
	free = !*word;
	if (free) {
		word_set(lock, 4, WRITER | (engine.cpu->id + 1));
		/* What writers and readers before it have released. */
		if (engine.races) {
			race_acquire(engine.cpu, lock);
			race_acquire(engine.cpu, lock + 1);
		}
	}
	locked_end(lock, 4, pc);
	return free;
}

int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
	u32 *word = (u32 *)lock;

	while (!write_lock((u64)lock, PC))
		await_word(WAITING_WRITE_LOCK, (u64)lock, 4, *word,
			   *word & WRITER ? (*word & ~WRITER) - 1 : NO_CPU, PC);
	return 0;
}

int pthread_rwlock_trywrlock(pthread_rwlock_t *lock)
{
	return write_lock((u64)lock, PC) ? 0 : EBUSY;
}

int pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
	u32 *word = (u32 *)lock;
	bool writer;

	locked_begin((u64)lock, 4, PC);
	writer = *word & WRITER;
	if (!*word || (writer && (*word & ~WRITER) != engine.cpu->id + 1))
		virtual_report(FINDING_BAD_STATE, PC, NULL, (u64)lock, *word, engine.cpu->id + 1);
	/* A reader orders nothing for other readers. */
	if (engine.races)
		race_release(engine.cpu, (u64)lock + !writer);
	word_set((u64)lock, 4, writer ? 0 : *word - 1);
	locked_end((u64)lock, 4, PC);
	return 0;
}

int pthread_rwlock_destroy(pthread_rwlock_t *lock)
{
	return 0;
}
