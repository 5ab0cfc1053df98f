// SPDX-License-Identifier: MIT
/*
 * Memory and string functions. The barriers in the loops keep the compiler
 * from making calls of libc's memset() and memcpy() out of them.
 */
#include <memory.h>

typedef u64 __attribute__((may_alias, aligned(1))) word_t;

void *copy_bytes(void *to, const void *from, size_t size)
{
	u8 *out = to;
	const u8 *in = from;

	for (; size >= 4 * sizeof(word_t); size -= 4 * sizeof(word_t)) {
		((word_t *)out)[0] = ((const word_t *)in)[0];
		((word_t *)out)[1] = ((const word_t *)in)[1];
		((word_t *)out)[2] = ((const word_t *)in)[2];
		((word_t *)out)[3] = ((const word_t *)in)[3];
		out += 4 * sizeof(word_t);
		in += 4 * sizeof(word_t);
		barrier();
	}
	for (; size >= sizeof(word_t); size -= sizeof(word_t)) {
		*(word_t *)out = *(const word_t *)in;
		out += sizeof(word_t);
		in += sizeof(word_t);
		barrier();
	}
	for (; size; size--) {
		*out++ = *in++;
		barrier();
	}
	return to;
}

void *fill_bytes(void *to, int value, size_t size)
{
	word_t word = (u8)value * 0x0101010101010101UL;
	u8 *out = to;

	for (; size >= 4 * sizeof(word_t); size -= 4 * sizeof(word_t)) {
		((word_t *)out)[0] = word;
		((word_t *)out)[1] = word;
		((word_t *)out)[2] = word;
		((word_t *)out)[3] = word;
		out += 4 * sizeof(word_t);
		barrier();
	}
	for (; size >= sizeof(word_t); size -= sizeof(word_t)) {
		*(word_t *)out = word;
		out += sizeof(word_t);
		barrier();
	}
	for (; size; size--) {
		*out++ = value;
		barrier();
	}
	return to;
}

int compare_bytes(const void *a, const void *b, size_t size)
{
	const u8 *left = a, *right = b;

	for (; size >= sizeof(word_t); size -= sizeof(word_t)) {
		if (*(const word_t *)left != *(const word_t *)right)
			break;
		left += sizeof(word_t);
		right += sizeof(word_t);
		barrier();
	}
	for (; size; size--, left++, right++) {
		if (*left != *right)
			return *left - *right;
		barrier();
	}
	return 0;
}

bool same_string(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

size_t string_length(const char *text, size_t most)
{
	size_t length = 0;

	while (length < most && text[length]) {
		length++;
		barrier();
	}
	return length;
}
