// SPDX-License-Identifier: MIT
/* Who a thread is, how it ends, and what it has of its own by a key. */
#include "programs/pthread_program.h"
#include "programs/heap.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#define PC ((u64)__builtin_return_address(0))
#define MAX_KEYS 32

static const void *values[VIRTUAL_CPUS][MAX_KEYS];
static void (*destructors[MAX_KEYS])(void *);
static u32 nr_keys;

u64 keys_values(u64 *size)
{
	*size = sizeof(values);
	return (u64)values;
}

void keys_begin(void)
{
	for (u32 key = 0; key < nr_keys; key++) {
		for (u32 cpu = 0; cpu < VIRTUAL_CPUS; cpu++)
			values[cpu][key] = NULL;
	}
	nr_keys = 0;
}

int pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
	if (nr_keys == MAX_KEYS)
		return EAGAIN;
	hook_store((u64)key, sizeof(*key), ORDER_PLAIN, PC);
	*key = nr_keys;
	destructors[nr_keys++] = destructor;
	return 0;
}

int pthread_key_delete(pthread_key_t key)
{
	destructors[key] = NULL;
	return 0;
}

void *pthread_getspecific(pthread_key_t key)
{
	return key < nr_keys ? (void *)values[engine.cpu->id][key] : NULL;
}

int pthread_setspecific(pthread_key_t key, const void *value)
{
	if (key >= nr_keys)
		return EINVAL;
	values[engine.cpu->id][key] = value;
	return 0;
}

static void destroy_values(void)
{
	for (u32 key = 0; key < nr_keys; key++) {
		void *value = (void *)values[engine.cpu->id][key];

		values[engine.cpu->id][key] = NULL;
		if (value && destructors[key])
			destructors[key](value);
	}
}

void pthread_exit(void *result)
{
	destroy_values();
	thread_exit(result);
}

pthread_t pthread_self(void)
{
	return engine.cpu ? engine.cpu->id + 1 : 1;
}

int pthread_equal(pthread_t a, pthread_t b)
{
	return a == b;
}

int pthread_detach(pthread_t thread)
{
	u32 id = thread - 1;

	if (id >= engine.nr_cpus)
		return ESRCH;
	if (threads[id].detached)
		return EINVAL;
	threads[id].detached = true;
	return 0;
}

extern void __real_exit(int status) __attribute__((noreturn, weak));
extern void __real_abort(void) __attribute__((noreturn, weak));
void __wrap_exit(int status) __attribute__((noreturn));
void __wrap_abort(void) __attribute__((noreturn));

void __wrap_exit(int status)
{
	if (!engine.cpu || is_machine_text(PC))
		__real_exit(status);
	program_exit(status, false, PC);
}

void __wrap_abort(void)
{
	if (!engine.cpu || is_machine_text(PC))
		__real_abort();
	virtual_report(FINDING_CRASH, PC, NULL, SIGABRT, 0, 0, 0);
}
