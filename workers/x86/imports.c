// SPDX-License-Identifier: MIT
/*
 * What a library that is loaded as text imports: import_X is its X.
 * Python finds these by name (testbed/text/image.py); nothing here calls libc,
 * so the library stays inside of the machine.
 */
#include <finding.h>
#include <kernel/slab.h>
#include <memory.h>
#include <x86/imports.h>

/* A library's own errors are not what is tested: its allocations do not fail on purpose. */
void *import_malloc(size_t size)
{
	return kmalloc(size ? size : 1, GFP_NOFAIL);
}

void *import_calloc(size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total))
		return NULL;
	return kzalloc(total ? total : 1, GFP_NOFAIL);
}

void *import_realloc(void *object, size_t size)
{
	return krealloc(object, size ? size : 1, GFP_NOFAIL);
}

void import_free(void *object)
{
	if (object)
		kfree(object);
}

void *import_memcpy(void *to, const void *from, size_t size)
{
	return copy_bytes(to, from, size);
}

void *import_memmove(void *to, const void *from, size_t size)
{
	u8 *out = to;
	const u8 *in = from;

	/* The target starts inside of the source: copying upwards would overwrite it. */
	if ((u64)to - (u64)from >= size)
		return copy_bytes(to, from, size);
	while (size--) {
		out[size] = in[size];
		barrier();
	}
	return to;
}

void *import_memset(void *to, int value, size_t size)
{
	return fill_bytes(to, value, size);
}

void *import_memchr(const void *from, int value, size_t size)
{
	const u8 *at = from;

	for (; size; size--, at++) {
		if (*at == (u8)value)
			return (void *)at;
		barrier();
	}
	return NULL;
}

int import_memcmp(const void *a, const void *b, size_t size)
{
	return compare_bytes(a, b, size);
}

size_t import_strlen(const char *text)
{
	return string_length(text, SIZE_MAX);
}

void *import___memcpy_chk(void *to, const void *from, size_t size, size_t room)
{
	if (size > room)
		report_finding(FINDING_BAD_STATE, NULL, (u64)to, size, room);
	return import_memcpy(to, from, size);
}

void *import___memmove_chk(void *to, const void *from, size_t size, size_t room)
{
	if (size > room)
		report_finding(FINDING_BAD_STATE, NULL, (u64)to, size, room);
	return import_memmove(to, from, size);
}

void *import___memset_chk(void *to, int value, size_t size, size_t room)
{
	if (size > room)
		report_finding(FINDING_BAD_STATE, NULL, (u64)to, size, room);
	return import_memset(to, value, size);
}

/* The word that guards a stack frame of the library has changed. */
void import___stack_chk_fail(void)
{
	report_finding(FINDING_BAD_STATE, NULL, (u64)__builtin_return_address(0), 0, 1);
}

void import_missing(u64 stub)
{
	report_finding(FINDING_BAD_STATE, NULL, stub, 0, 1);
}
