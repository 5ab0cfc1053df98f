/* SPDX-License-Identifier: MIT */
/* What a library that is loaded as text imports: import_X is its X, with the C contract of X. */
#ifndef X86_IMPORTS_H
#define X86_IMPORTS_H

#include <compiler.h>

void *import_malloc(size_t size);
void *import_calloc(size_t count, size_t size);
void *import_realloc(void *object, size_t size);
void import_free(void *object);
void *import_memcpy(void *to, const void *from, size_t size);
void *import_memmove(void *to, const void *from, size_t size);
void *import_memset(void *to, int value, size_t size);
void *import_memchr(const void *from, int value, size_t size);
int import_memcmp(const void *a, const void *b, size_t size);
size_t import_strlen(const char *text);
void *import___memcpy_chk(void *to, const void *from, size_t size, size_t room);
void *import___memmove_chk(void *to, const void *from, size_t size, size_t room);
void *import___memset_chk(void *to, int value, size_t size, size_t room);
void import___stack_chk_fail(void);

/* Jumped to by the text function at @stub, which stands for an import that is not here. */
void import_missing(u64 stub);

#endif
