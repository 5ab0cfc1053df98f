/* SPDX-License-Identifier: MIT */
/* The vocabulary that the mechanisms are written in: accesses, barriers, atomics. */
#ifndef WORKERS_COMPILER_H
#define WORKERS_COMPILER_H

#include <shm_layout/types.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define noinline __attribute__((noinline))

/*
 * It looks at what only the running task can make true or false, such as whether a lock is its
 * own: so it makes no difference when, and the explorer need not know.
 */
#define __owner_looks noinline __attribute__((no_sanitize_thread))

/* Of no interest to who reads a report: who called this function is. */
#define __passed_over __attribute__((section("passed_over")))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

/* Marked accesses: volatile, so that the compiler neither tears nor repeats them. */
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

/*
 * A word of 4 or 8 bytes that does not change while a function runs, for that function: the
 * compiler may read it once, across barriers, and where it is not needed. Nobody sees the access.
 */
#define READ_STABLE(x) ({ \
	__typeof__(x) __stable; \
	__asm__("mov %a1, %0" : "=r"(__stable) : "p"(&(x))); \
	__stable; })

#define barrier() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#define smp_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define smp_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

/* Value-returning atomics are full barriers, as in the kernel. */
#define xchg(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define atomic_add_return(v, p) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)
#define atomic_sub_return(v, p) __atomic_sub_fetch((p), (v), __ATOMIC_SEQ_CST)
#define atomic_fetch_add(v, p) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define atomic_fetch_or(v, p) __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define atomic_fetch_and(v, p) __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define atomic_inc(p) ((void)__atomic_add_fetch((p), 1, __ATOMIC_RELAXED))
#define atomic_dec(p) ((void)__atomic_sub_fetch((p), 1, __ATOMIC_RELAXED))
#define atomic_dec_and_test(p) (__atomic_sub_fetch((p), 1, __ATOMIC_SEQ_CST) == 0)
#define cmpxchg(p, old, new) ({ \
	__typeof__(*(p)) __old = (old); \
	__atomic_compare_exchange_n((p), &__old, (new), false, \
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
	__old; })

static inline bool atomic_inc_not_zero(s32 *counter)
{
	s32 old = READ_ONCE(*counter);

	while (old) {
		s32 seen = cmpxchg(counter, old, old + 1);

		if (seen == old)
			return true;
		old = seen;
	}
	return false;
}

#endif
