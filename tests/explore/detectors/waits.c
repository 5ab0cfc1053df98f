// SPDX-License-Identifier: MIT
/* Threads that wait for each other; in the right order, and for what will come. */
// expect: held
// expect -D DEADLOCK: violated deadlock
// expect -D SELF_DEADLOCK: violated deadlock
// expect -D READ_WRITE_DEADLOCK: violated deadlock
// expect -D LOST_SIGNAL: violated lost-wakeup
// expect -D NEVER_POSTED: violated lost-wakeup
// expect -D ONE_TOO_FEW: violated lost-wakeup
// expect -D NEVER_SET: violated lost-wakeup
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER, second = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t semaphore;
int ready;
atomic_int flag;

static void *waiter(void *unused)
{
	pthread_mutex_lock(&first);
#ifdef LOST_SIGNAL
	/* The signal may have been given before this waits. */
	pthread_mutex_unlock(&first);
	pthread_mutex_lock(&first);
	pthread_cond_wait(&condition, &first);
#else
	while (!ready)
		pthread_cond_wait(&condition, &first);
#endif
	pthread_mutex_lock(&second);
	pthread_mutex_unlock(&second);
	pthread_mutex_unlock(&first);
	sem_wait(&semaphore);
	pthread_barrier_wait(&barrier);
	while (!atomic_load(&flag))
		sched_yield();
	return NULL;
}

static void *waker(void *unused)
{
	struct timespec soon = { 0 };

#ifdef DEADLOCK
	pthread_mutex_lock(&second);
#endif
	pthread_mutex_lock(&first);
#ifdef SELF_DEADLOCK
	pthread_mutex_lock(&first);
#endif
	ready = 1;
	pthread_cond_signal(&condition);
	pthread_mutex_unlock(&first);
#ifdef DEADLOCK
	pthread_mutex_lock(&first);
	pthread_mutex_unlock(&first);
	pthread_mutex_unlock(&second);
#endif
	pthread_rwlock_rdlock(&rwlock);
#ifdef READ_WRITE_DEADLOCK
	pthread_rwlock_wrlock(&rwlock);
#endif
	pthread_rwlock_unlock(&rwlock);
	pthread_mutex_lock(&first);
	pthread_cond_timedwait(&condition, &first, &soon);
	pthread_mutex_unlock(&first);
#ifndef NEVER_POSTED
	sem_post(&semaphore);
#endif
#ifndef ONE_TOO_FEW
	pthread_barrier_wait(&barrier);
#endif
	usleep(10);
#ifndef NEVER_SET
	atomic_store(&flag, 1);
#endif
	return NULL;
}

int main(void)
{
	pthread_t one, two;

	pthread_barrier_init(&barrier, NULL, 2);
	sem_init(&semaphore, 0, 0);
	pthread_create(&one, NULL, waiter, NULL);
	pthread_create(&two, NULL, waker, NULL);
	pthread_join(one, NULL);
	pthread_join(two, NULL);
	return 0;
}
