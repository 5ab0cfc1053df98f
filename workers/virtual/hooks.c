// SPDX-License-Identifier: MIT
/*
 * What the compiler calls before each access (-fsanitize=thread), instead of
 * libtsan's functions of the same names. Plain and volatile accesses are made by
 * the compiled code when the hook has returned; atomics are made here.
 */
#include "hooks.h"

#define PC ((u64)__builtin_return_address(0))

u64 table_constants[TABLES_BYTES / 256];

#define ACCESS(prefix, size, order) \
	void __tsan_##prefix##read##size(void *p); \
	void __tsan_##prefix##read##size(void *p) { hook_load((u64)p, size, order, PC); } \
	void __tsan_##prefix##write##size(void *p); \
	void __tsan_##prefix##write##size(void *p) { hook_store((u64)p, size, order, PC); }

#define ACCESSES(prefix, order) \
	ACCESS(prefix, 2, order) ACCESS(prefix, 4, order) ACCESS(prefix, 8, order)

ACCESS(, 1, ORDER_PLAIN)
ACCESSES(, ORDER_PLAIN)
ACCESS(volatile_, 1, ORDER_RELAXED)
ACCESSES(volatile_, ORDER_RELAXED)
ACCESSES(unaligned_, ORDER_PLAIN)
ACCESSES(unaligned_volatile_, ORDER_RELAXED)

#define WIDE(prefix, order) \
	void __tsan_##prefix##read16(void *p); \
	void __tsan_##prefix##read16(void *p) { hook_load_range((u64)p, 16, order, PC); } \
	void __tsan_##prefix##write16(void *p); \
	void __tsan_##prefix##write16(void *p) { hook_store_range((u64)p, 16, order, PC); }

WIDE(, ORDER_PLAIN)
WIDE(volatile_, ORDER_RELAXED)
WIDE(unaligned_, ORDER_PLAIN)
WIDE(unaligned_volatile_, ORDER_RELAXED)

void __tsan_read_range(void *p, u64 size);
void __tsan_write_range(void *p, u64 size);
void __tsan_vptr_read(void **p);
void __tsan_vptr_update(void **p, void *value);
void __tsan_init(void);
void __tsan_func_entry(void *pc);
void __tsan_func_exit(void);
void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_signal_fence(int order);

void __tsan_read_range(void *p, u64 size)
{
	hook_load_range((u64)p, size, ORDER_PLAIN, PC);
}

void __tsan_write_range(void *p, u64 size)
{
	hook_store_range((u64)p, size, ORDER_PLAIN, PC);
}

void __tsan_vptr_read(void **p)
{
	hook_load((u64)p, 8, ORDER_PLAIN, PC);
}

void __tsan_vptr_update(void **p, void *value)
{
	hook_store((u64)p, 8, ORDER_PLAIN, PC);
}

/* The compiler calls these in constructors and, unless told not to, in every function. */
void __tsan_init(void) { }
void __tsan_func_entry(void *pc) { }
void __tsan_func_exit(void) { }

/* For the compiler alone. */
void __tsan_atomic_signal_fence(int order) { }

static inline enum order order_of(int order)
{
	switch (order) {
	case __ATOMIC_RELAXED: return ORDER_RELAXED;
	case __ATOMIC_CONSUME:
	case __ATOMIC_ACQUIRE: return ORDER_ACQUIRE;
	case __ATOMIC_RELEASE: return ORDER_RELEASE;
	}
	return ORDER_FULL;
}

void __tsan_atomic_thread_fence(int order)
{
	hook_fence(order_of(order), PC);
}

/* Atomics of one size. x86: a sequentially consistent store is an xchg, a load is a mov. */
#define ATOMICS(bits) \
u##bits __tsan_atomic##bits##_load(const volatile u##bits *p, int order); \
u##bits __tsan_atomic##bits##_load(const volatile u##bits *p, int order) \
{ \
	hook_load((u64)p, bits / 8, order_of(order), PC); \
	return *p; \
} \
void __tsan_atomic##bits##_store(volatile u##bits *p, u##bits value, int order); \
void __tsan_atomic##bits##_store(volatile u##bits *p, u##bits value, int order) \
{ \
	if (order != __ATOMIC_SEQ_CST) { \
		hook_store((u64)p, bits / 8, order_of(order), PC); \
		*p = value; \
		return; \
	} \
	hook_rmw((u64)p, bits / 8, PC); \
	*p = value; \
	hook_rmw_done((u64)p, bits / 8, ORDER_FULL, PC); \
} \
MODIFY(bits, exchange, value) \
MODIFY(bits, fetch_add, old + value) \
MODIFY(bits, fetch_sub, old - value) \
MODIFY(bits, fetch_and, old & value) \
MODIFY(bits, fetch_or, old | value) \
MODIFY(bits, fetch_xor, old ^ value) \
MODIFY(bits, fetch_nand, ~(old & value)) \
int __tsan_atomic##bits##_compare_exchange_strong(volatile u##bits *p, u##bits *expected, \
						  u##bits value, int order, int failure); \
int __tsan_atomic##bits##_compare_exchange_strong(volatile u##bits *p, u##bits *expected, \
						  u##bits value, int order, int failure) \
{ \
	u##bits old; \
	hook_rmw((u64)p, bits / 8, PC); \
	old = *p; \
	if (old != *expected) { \
		hook_rmw_failed((u64)p, bits / 8, order_of(failure), PC); \
		*expected = old; \
		return 0; \
	} \
	*p = value; \
	hook_rmw_done((u64)p, bits / 8, order_of(order), PC); \
	return 1; \
} \
int __tsan_atomic##bits##_compare_exchange_weak(volatile u##bits *p, u##bits *expected, \
						u##bits value, int order, int failure) \
	__attribute__((alias("__tsan_atomic" #bits "_compare_exchange_strong"))); \
u##bits __tsan_atomic##bits##_compare_exchange_val(volatile u##bits *p, u##bits expected, \
						   u##bits value, int order, int failure); \
u##bits __tsan_atomic##bits##_compare_exchange_val(volatile u##bits *p, u##bits expected, \
						   u##bits value, int order, int failure) \
{ \
	u##bits old; \
	hook_rmw((u64)p, bits / 8, PC); \
	old = *p; \
	if (old != expected) { \
		hook_rmw_failed((u64)p, bits / 8, order_of(failure), PC); \
		return old; \
	} \
	*p = value; \
	hook_rmw_done((u64)p, bits / 8, order_of(order), PC); \
	return old; \
}

#define MODIFY(bits, name, result) \
u##bits __tsan_atomic##bits##_##name(volatile u##bits *p, u##bits value, int order); \
u##bits __tsan_atomic##bits##_##name(volatile u##bits *p, u##bits value, int order) \
{ \
	u##bits old; \
	hook_rmw((u64)p, bits / 8, PC); \
	old = *p; \
	*p = result; \
	hook_rmw_done((u64)p, bits / 8, order_of(order), PC); \
	return old; \
}

ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)
