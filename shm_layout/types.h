/* SPDX-License-Identifier: MIT */
/*
 * Fixed-width types, bounds and addresses of the shared mapping.
 *
 * Every process of a machine maps the same memory at the same addresses, so
 * ordinary pointers are valid on every CPU.
 */
#ifndef SHM_LAYOUT_TYPES_H
#define SHM_LAYOUT_TYPES_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

#define MAX_CPUS 64
#define MAX_TASKS 256
#define MAX_FINDINGS 8
#define RING_EVENTS 2048    /* events kept per CPU; a power of two */
#define STACK_FRAMES 12     /* return addresses kept per side of a finding */

#define CACHE_LINE 64
#define __cacheline_aligned __attribute__((aligned(CACHE_LINE)))

#define ARENA_BASE 0x100000000000UL /* data, and the writable alias of text */
#define TEXT_BASE 0x110000000000UL  /* text as it runs: never writable where executable */

#define TASK_STACK_SIZE (128UL << 10)
#define TRAP_STACK_SIZE (64UL << 10)

#endif
