// SPDX-License-Identifier: MIT
/* The functions of string.h on strings, as explored code calls them: byte by byte. */
#include "programs/heap.h"
#include "hooks.h"
#include "detectors/report.h"

#define PC ((u64)__builtin_return_address(0))
#define SEEN (likely(engine.cpu != NULL) && !is_machine_text(PC))

#define LIBC(type, name, ...) \
	extern type __real_##name(__VA_ARGS__) __attribute__((weak)); \
	extern type __wrap_##name(__VA_ARGS__)

LIBC(size_t, strlen, const char *text);
LIBC(size_t, strnlen, const char *text, size_t most);
LIBC(char *, strcpy, char *to, const char *from);
LIBC(char *, strncpy, char *to, const char *from, size_t size);
LIBC(char *, strcat, char *to, const char *from);
LIBC(int, strcmp, const char *a, const char *b);
LIBC(int, strncmp, const char *a, const char *b, size_t most);
LIBC(char *, strchr, const char *text, int byte);
LIBC(char *, strdup, const char *text);
LIBC(char *, strndup, const char *text, size_t most);

static u8 read_byte(const char *from, u64 pc)
{
	hook_load((u64)from, 1, ORDER_PLAIN, pc);
	return *(const volatile u8 *)from;
}

static void write_byte(char *to, u8 byte, u64 pc)
{
	hook_store((u64)to, 1, ORDER_PLAIN, pc);
	*(volatile u8 *)to = byte;
}

static u64 length(const char *text, u64 most, u64 pc)
{
	u64 n = 0;

	while (n < most && read_byte(&text[n], pc))
		n++;
	return n;
}

/* Returns how many bytes came before the end of the string. */
static u64 copy(char *to, const char *from, u64 most, u64 pc)
{
	for (u64 n = 0; n < most; n++) {
		u8 byte = read_byte(&from[n], pc);

		write_byte(&to[n], byte, pc);
		if (!byte)
			return n;
	}
	return most;
}

static int compare(const char *a, const char *b, u64 most, u64 pc)
{
	for (u64 n = 0; n < most; n++) {
		u8 first = read_byte(&a[n], pc), second = read_byte(&b[n], pc);

		if (first != second || !first)
			return first - second;
	}
	return 0;
}

static char *duplicate(const char *text, u64 most, u64 pc)
{
	u64 size = length(text, most, pc);
	char *new = (char *)heap_allocate(size + 1, 0, pc);

	if (new) {
		copy(new, text, size, pc);
		write_byte(&new[size], 0, pc);
	}
	return new;
}

size_t __wrap_strlen(const char *text)
{
	return SEEN ? length(text, ~0UL, PC) : __real_strlen(text);
}

size_t __wrap_strnlen(const char *text, size_t most)
{
	return SEEN ? length(text, most, PC) : __real_strnlen(text, most);
}

char *__wrap_strcpy(char *to, const char *from)
{
	if (!SEEN)
		return __real_strcpy(to, from);
	copy(to, from, ~0UL, PC);
	return to;
}

char *__wrap_strncpy(char *to, const char *from, size_t size)
{
	if (!SEEN)
		return __real_strncpy(to, from, size);
	for (u64 n = copy(to, from, size, PC); n < size; n++)
		write_byte(&to[n], 0, PC);
	return to;
}

char *__wrap_strcat(char *to, const char *from)
{
	if (!SEEN)
		return __real_strcat(to, from);
	copy(to + length(to, ~0UL, PC), from, ~0UL, PC);
	return to;
}

int __wrap_strcmp(const char *a, const char *b)
{
	return SEEN ? compare(a, b, ~0UL, PC) : __real_strcmp(a, b);
}

int __wrap_strncmp(const char *a, const char *b, size_t most)
{
	return SEEN ? compare(a, b, most, PC) : __real_strncmp(a, b, most);
}

char *__wrap_strchr(const char *text, int byte)
{
	if (!SEEN)
		return __real_strchr(text, byte);
	for (;; text++) {
		u8 found = read_byte(text, PC);

		if (found == (u8)byte)
			return (char *)text;
		if (!found)
			return NULL;
	}
}

char *__wrap_strdup(const char *text)
{
	return SEEN ? duplicate(text, ~0UL, PC) : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t most)
{
	return SEEN ? duplicate(text, most, PC) : __real_strndup(text, most);
}
