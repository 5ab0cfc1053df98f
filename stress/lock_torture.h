/* SPDX-License-Identifier: MIT */
/* The kinds of locks that lock_torture takes, behind one table. */
#ifndef STRESS_LOCK_TORTURE_H
#define STRESS_LOCK_TORTURE_H

#include <shm_layout/types.h>

#define MAX_NESTED 8          /* locks that may be held around the one that is tortured */
#define TORTURED MAX_NESTED   /* its number; the others are taken in the order of theirs */

/*
 * Functions on lock number @n. What takes it alone returns or sets flags that giving it back
 * needs. NULL = there is no such function: readers take it alone.
 */
struct lock_ops {
	u32 (*write)(u32 n);
	bool (*try_write)(u32 n, u32 *flags);
	void (*write_done)(u32 n, u32 flags);
	void (*read)(u32 n);
	bool (*try_read)(u32 n);
	void (*read_done)(u32 n);
	void (*downgrade)(u32 n); /* to a reader; it has given no flags */
	u32 (*begin)(u32 n);      /* readers without a lock: read, and look whether to */
	bool (*retry)(u32 n, u32 start); /* read again */
	bool interrupts;      /* it spins: interrupts may read, or take it alone if that is all */
};

/* In the order of the choices of `lock` in lock_torture.py. */
extern const struct lock_ops torture_locks[];

/* Before the first task, as a task; and when the last has ended. */
s64 torture_locks_init(void);
void torture_locks_free(void);

#endif
