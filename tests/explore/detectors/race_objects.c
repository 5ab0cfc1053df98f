// SPDX-License-Identifier: MIT
/* Each way to wait for another thread orders what is plain: WAY says which. */
// expect: held
// expect -D WAY=SPIN: held
// expect -D WAY=READ_WRITE: held
// expect -D WAY=CONDITION: held
// expect -D WAY=BARRIER: held
// expect -D WAY=SEMAPHORE: held
// expect -D WAY=ONCE: held
// expect -D WAY=TRY: held
// expect -D WAY=SPIN -D BROKEN: violated data-race
// expect -D WAY=READ_WRITE -D BROKEN: violated data-race
// expect -D WAY=CONDITION -D BROKEN: violated data-race
// expect -D WAY=BARRIER -D BROKEN: violated data-race
// expect -D WAY=SEMAPHORE -D BROKEN: violated data-race
// expect -D WAY=ONCE -D BROKEN: violated data-race
// expect -D WAY=TRY -D BROKEN: violated data-race
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>

enum { MUTEX, SPIN, READ_WRITE, CONDITION, BARRIER, SEMAPHORE, ONCE, TRY };

#ifndef WAY
#define WAY MUTEX
#endif

int message, seen, sent;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_spinlock_t spin;
static pthread_barrier_t barrier;
static sem_t semaphore;

static void send(void)
{
	message = 42;
}

static void *sender(void *unused)
{
	switch (WAY) {
	case MUTEX:
	case TRY:
		pthread_mutex_lock(&mutex);
		send();
		pthread_mutex_unlock(&mutex);
		break;
	case SPIN:
		pthread_spin_lock(&spin);
		send();
		pthread_spin_unlock(&spin);
		break;
	case READ_WRITE:
		pthread_rwlock_wrlock(&rwlock);
		send();
		pthread_rwlock_unlock(&rwlock);
		break;
	case CONDITION:
		pthread_mutex_lock(&mutex);
		send();
		sent = 1;
		pthread_cond_signal(&condition);
		pthread_mutex_unlock(&mutex);
		break;
	case BARRIER:
		send();
		pthread_barrier_wait(&barrier);
		break;
	case SEMAPHORE:
		send();
		sem_post(&semaphore);
		break;
	case ONCE:
		pthread_once(&once, send);
		break;
	}
	return NULL;
}

static void *receiver(void *unused)
{
#ifdef BROKEN
	seen = message;
#endif
	switch (WAY) {
	case MUTEX:
		pthread_mutex_lock(&mutex);
		seen = message;
		pthread_mutex_unlock(&mutex);
		break;
	case TRY:
		if (pthread_mutex_trylock(&mutex))
			break;
		seen = message;
		pthread_mutex_unlock(&mutex);
		break;
	case SPIN:
		pthread_spin_lock(&spin);
		seen = message;
		pthread_spin_unlock(&spin);
		break;
	case READ_WRITE:
		pthread_rwlock_rdlock(&rwlock);
		seen = message;
		pthread_rwlock_unlock(&rwlock);
		break;
	case CONDITION:
		pthread_mutex_lock(&mutex);
		while (!sent)
			pthread_cond_wait(&condition, &mutex);
		pthread_mutex_unlock(&mutex);
		seen = message;
		break;
	case BARRIER:
		pthread_barrier_wait(&barrier);
		seen = message;
		break;
	case SEMAPHORE:
		sem_wait(&semaphore);
		seen = message;
		break;
	case ONCE:
		pthread_once(&once, send);
		seen = message;
		break;
	}
	return NULL;
}

int main(void)
{
	pthread_t one, two;

	pthread_spin_init(&spin, 0);
	pthread_barrier_init(&barrier, NULL, 2);
	sem_init(&semaphore, 0, 0);
	pthread_create(&one, NULL, sender, NULL);
	pthread_create(&two, NULL, receiver, NULL);
	pthread_join(one, NULL);
	pthread_join(two, NULL);
	return 0;
}
