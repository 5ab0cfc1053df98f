// SPDX-License-Identifier: MIT
/*
 * What the compiler calls before each access (-fsanitize=thread), instead of
 * libtsan's functions of the same names: here the only question is whether there
 * is a gate. Plain and volatile accesses are made by the compiled code when the hook
 * has returned; atomics are made here, with the instructions that they would have.
 */
#include "gates.h"

#define PC ((u64)__builtin_return_address(0))

#define ACCESS(name, size) \
	void __tsan_##name(void *p); \
	void __tsan_##name(void *p) { gate_access(PC, (u64)p, size); }

#define READS_AND_WRITES(prefix, size) ACCESS(prefix##read##size, size) \
	ACCESS(prefix##write##size, size)

#define ACCESSES(prefix) READS_AND_WRITES(prefix, 2) READS_AND_WRITES(prefix, 4) \
	READS_AND_WRITES(prefix, 8) READS_AND_WRITES(prefix, 16)

READS_AND_WRITES(, 1)
READS_AND_WRITES(volatile_, 1)
ACCESSES()
ACCESSES(volatile_)
ACCESSES(unaligned_)
ACCESSES(unaligned_volatile_)
ACCESS(vptr_read, 8)

void __tsan_read_range(void *p, u64 size);
void __tsan_write_range(void *p, u64 size);
void __tsan_vptr_update(void **p, void *value);
void __tsan_init(void);
void __tsan_func_entry(void *pc);
void __tsan_func_exit(void);
void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_signal_fence(int order);

void __tsan_read_range(void *p, u64 size)
{
	gate_access(PC, (u64)p, size);
}

void __tsan_write_range(void *p, u64 size)
{
	gate_access(PC, (u64)p, size);
}

void __tsan_vptr_update(void **p, void *value)
{
	gate_access(PC, (u64)p, 8);
}

/* The compiler calls these in constructors and, unless told not to, in every function. */
void __tsan_init(void) { }
void __tsan_func_entry(void *pc) { }
void __tsan_func_exit(void) { }

/* For the compiler alone. */
void __tsan_atomic_signal_fence(int order) { }

/* x86: all but the strongest are for the compiler alone. */
void __tsan_atomic_thread_fence(int order)
{
	gate_access(PC, 0, 0);
	if (order == __ATOMIC_SEQ_CST)
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#define MODIFY(bits, name) \
u##bits __tsan_atomic##bits##_##name(volatile u##bits *p, u##bits value, int order); \
u##bits __tsan_atomic##bits##_##name(volatile u##bits *p, u##bits value, int order) \
{ \
	gate_access(PC, (u64)p, bits / 8); \
	return __atomic_##name(p, value, __ATOMIC_SEQ_CST); \
}

/* Atomics of one size. x86: a sequentially consistent store is an xchg, a load is a mov. */
#define ATOMICS(bits) \
u##bits __tsan_atomic##bits##_load(const volatile u##bits *p, int order); \
u##bits __tsan_atomic##bits##_load(const volatile u##bits *p, int order) \
{ \
	gate_access(PC, (u64)p, bits / 8); \
	return __atomic_load_n(p, __ATOMIC_ACQUIRE); \
} \
void __tsan_atomic##bits##_store(volatile u##bits *p, u##bits value, int order); \
void __tsan_atomic##bits##_store(volatile u##bits *p, u##bits value, int order) \
{ \
	gate_access(PC, (u64)p, bits / 8); \
	if (order == __ATOMIC_SEQ_CST) \
		__atomic_store_n(p, value, __ATOMIC_SEQ_CST); \
	else \
		__atomic_store_n(p, value, __ATOMIC_RELEASE); \
} \
u##bits __tsan_atomic##bits##_exchange(volatile u##bits *p, u##bits value, int order); \
u##bits __tsan_atomic##bits##_exchange(volatile u##bits *p, u##bits value, int order) \
{ \
	gate_access(PC, (u64)p, bits / 8); \
	return __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST); \
} \
MODIFY(bits, fetch_add) \
MODIFY(bits, fetch_sub) \
MODIFY(bits, fetch_and) \
MODIFY(bits, fetch_or) \
MODIFY(bits, fetch_xor) \
MODIFY(bits, fetch_nand) \
int __tsan_atomic##bits##_compare_exchange_strong(volatile u##bits *p, u##bits *expected, \
						  u##bits value, int order, int failure); \
int __tsan_atomic##bits##_compare_exchange_strong(volatile u##bits *p, u##bits *expected, \
						  u##bits value, int order, int failure) \
{ \
	gate_access(PC, (u64)p, bits / 8); \
	return __atomic_compare_exchange_n(p, expected, value, false, __ATOMIC_SEQ_CST, \
					   __ATOMIC_SEQ_CST); \
} \
int __tsan_atomic##bits##_compare_exchange_weak(volatile u##bits *p, u##bits *expected, \
						u##bits value, int order, int failure) \
	__attribute__((alias("__tsan_atomic" #bits "_compare_exchange_strong"))); \
u##bits __tsan_atomic##bits##_compare_exchange_val(volatile u##bits *p, u##bits expected, \
						   u##bits value, int order, int failure); \
u##bits __tsan_atomic##bits##_compare_exchange_val(volatile u##bits *p, u##bits expected, \
						   u##bits value, int order, int failure) \
{ \
	gate_access(PC, (u64)p, bits / 8); \
	__atomic_compare_exchange_n(p, &expected, value, false, __ATOMIC_SEQ_CST, \
				    __ATOMIC_SEQ_CST); \
	return expected; \
}

ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)
