// SPDX-License-Identifier: MIT
/* Sleeping in the kernel. The words lie in shared memory, so never private. */
#include "real.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int futex_wait(const u32 *word, u32 value, u64 timeout_ns)
{
	struct timespec timeout = {
		.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000,
	};
	int saved = errno;
	long result = syscall(SYS_futex, word, FUTEX_WAIT, value,
			      timeout_ns ? &timeout : NULL, NULL, 0);
	int error = result ? errno : 0;

	errno = saved;
	return -error;
}

void futex_wake(const u32 *word, int count)
{
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
	errno = saved;
}

u64 machine_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000UL + now.tv_nsec;
}
