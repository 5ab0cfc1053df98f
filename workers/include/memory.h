/* SPDX-License-Identifier: MIT */
/* Our own memory and string functions: libc's would pass behind the explorer's hooks. */
#ifndef WORKERS_MEMORY_H
#define WORKERS_MEMORY_H

#include <compiler.h>

void *copy_bytes(void *to, const void *from, size_t size);
void *fill_bytes(void *to, int value, size_t size);
int compare_bytes(const void *a, const void *b, size_t size);
bool same_string(const char *a, const char *b);

/* The size of a string, at most @most. */
size_t string_length(const char *text, size_t most);

#endif
