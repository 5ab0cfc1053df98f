// SPDX-License-Identifier: MIT
/*
 * malloc() and memcpy() and their like, as explored code calls them: the linker
 * sends those calls here (--wrap). What this machine itself does with memory,
 * and what is done outside of a run, goes to libc.
 *
 * Bytes are copied word by word, each as a plain access of the caller.
 */
#include "programs/heap.h"
#include "hooks.h"
#include "detectors/report.h"

#include <errno.h>

#define PC ((u64)__builtin_return_address(0))

/* Explored code calls, and not this machine. */
#define SEEN (likely(engine.cpu != NULL) && !is_machine_text(PC))

#define LIBC(type, name, ...) \
	extern type __real_##name(__VA_ARGS__) __attribute__((weak)); \
	extern type __wrap_##name(__VA_ARGS__)

LIBC(void *, malloc, size_t size);
LIBC(void *, calloc, size_t count, size_t size);
LIBC(void *, realloc, void *old, size_t size);
LIBC(void, free, void *p);
LIBC(void *, aligned_alloc, size_t alignment, size_t size);
LIBC(void *, memalign, size_t alignment, size_t size);
LIBC(int, posix_memalign, void **p, size_t alignment, size_t size);
LIBC(size_t, malloc_usable_size, void *p);
LIBC(void *, memcpy, void *to, const void *from, size_t size);
LIBC(void *, memmove, void *to, const void *from, size_t size);
LIBC(void *, memset, void *to, int byte, size_t size);
LIBC(int, memcmp, const void *a, const void *b, size_t size);

static void copy_piece(u64 to, u64 from, u32 size, u64 pc)
{
	u64 value;

	hook_load(from, size, ORDER_PLAIN, pc);
	value = load_word(from, size);
	hook_store(to, size, ORDER_PLAIN, pc);
	store_word(to, size, value);
}

/* The largest access of a register that is not longer than what is left. */
static u32 piece(u64 left)
{
	return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

static void copy_upwards(u64 to, u64 from, u64 size, u64 pc)
{
	for (u32 n; size; to += n, from += n, size -= n) {
		n = piece(size);
		copy_piece(to, from, n, pc);
	}
}

static void copy_downwards(u64 to, u64 from, u64 size, u64 pc)
{
	for (u32 n; size; size -= n) {
		n = piece(size);
		copy_piece(to + size - n, from + size - n, n, pc);
	}
}

static void set_bytes(u64 to, u8 byte, u64 size, u64 pc)
{
	for (u32 n; size; to += n, size -= n) {
		n = piece(size);
		hook_store(to, n, ORDER_PLAIN, pc);
		store_word(to, n, byte * 0x0101010101010101UL);
	}
}

void *__wrap_malloc(size_t size)
{
	return SEEN ? (void *)heap_allocate(size, 0, PC) : __real_malloc(size);
}

/* Nothing is used twice, so all of it is zero. */
void *__wrap_calloc(size_t count, size_t size)
{
	u64 bytes;

	if (!SEEN)
		return __real_calloc(count, size);
	return __builtin_mul_overflow(count, size, &bytes) ? NULL :
	       (void *)heap_allocate(bytes, 0, PC);
}

void __wrap_free(void *p)
{
	u64 addr = (u64)p;

	if (!SEEN) {
		__real_free(p);
		return;
	}
	if (!p)
		return;
	/* Others are from a function of libc that allocates. */
	if (heap_has(addr) || addr - engine.stacks < engine.stacks_size || addr < 1UL << 32)
		heap_free(addr, PC);
	else
		__real_free(p);
}

void *__wrap_realloc(void *old, size_t size)
{
	u64 start, bytes, new;

	if (!SEEN || (old && !heap_has((u64)old)))
		return __real_realloc(old, size);
	new = heap_allocate(size, 0, PC);
	if (!old || !new)
		return (void *)new;
	if (heap_block_at((u64)old, &start, &bytes))
		copy_upwards(new, start, bytes < size ? bytes : size, PC);
	heap_free((u64)old, PC);
	return (void *)new;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return SEEN ? (void *)heap_allocate(size, alignment, PC) :
	       __real_aligned_alloc(alignment, size);
}

void *__wrap_memalign(size_t alignment, size_t size)
{
	return SEEN ? (void *)heap_allocate(size, alignment, PC) : __real_memalign(alignment, size);
}

int __wrap_posix_memalign(void **p, size_t alignment, size_t size)
{
	u64 block;

	if (!SEEN)
		return __real_posix_memalign(p, alignment, size);
	if (alignment < sizeof(void *) || alignment & (alignment - 1))
		return EINVAL;
	block = heap_allocate(size, alignment, PC);
	if (!block)
		return ENOMEM;
	hook_store((u64)p, sizeof(*p), ORDER_PLAIN, PC);
	*p = (void *)block;
	return 0;
}

size_t __wrap_malloc_usable_size(void *p)
{
	u64 start, size;

	if (!SEEN || !heap_has((u64)p))
		return __real_malloc_usable_size(p);
	return heap_block_at((u64)p, &start, &size) ? size : 0;
}

void *__wrap_memcpy(void *to, const void *from, size_t size)
{
	if (!SEEN)
		return __real_memcpy(to, from, size);
	copy_upwards((u64)to, (u64)from, size, PC);
	return to;
}

void *__wrap_memmove(void *to, const void *from, size_t size)
{
	if (!SEEN)
		return __real_memmove(to, from, size);
	if ((u64)to - (u64)from < size)
		copy_downwards((u64)to, (u64)from, size, PC);
	else
		copy_upwards((u64)to, (u64)from, size, PC);
	return to;
}

void *__wrap_memset(void *to, int byte, size_t size)
{
	if (!SEEN)
		return __real_memset(to, byte, size);
	set_bytes((u64)to, byte, size, PC);
	return to;
}

int __wrap_memcmp(const void *a, const void *b, size_t size)
{
	const u8 *first = a, *second = b;

	if (!SEEN)
		return __real_memcmp(a, b, size);
	for (size_t n = 0; n < size; n++) {
		int difference;

		hook_load((u64)&first[n], 1, ORDER_PLAIN, PC);
		difference = first[n];
		hook_load((u64)&second[n], 1, ORDER_PLAIN, PC);
		difference -= second[n];
		if (difference)
			return difference;
	}
	return 0;
}
