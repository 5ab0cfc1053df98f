// SPDX-License-Identifier: MIT
/*
 * Two locks in two orders, whether or not a run comes to the deadlock; and orders
 * that cannot deadlock. Nothing here waits: the runs that do are another matter.
 */
// expect: held
// expect -D CROSSED: violated lock-order
// expect -D CROSSED_BY_THREE: violated lock-order
// expect -D MUTEXES: violated lock-order
// expect -D READER_AND_WRITER: violated lock-order
// expect -D READERS_AND_WRITERS: violated lock-order
// expect -D READERS: held
// expect -D GATE: held
// expect -D SAME_TASK: held
// expect -D SAME_CPU: held
// expect -D TRIED: held
// expect -D MADE_ANEW: held
// expect -D FREED: held
#include <explore.h>
#include <kernel/mutex.h>
#include <kernel/rwsem.h>
#include <kernel/slab.h>

static DEFINE_SPINLOCK(first);
static DEFINE_SPINLOCK(second);
static DEFINE_SPINLOCK(third);
static DEFINE_MUTEX(gate);
static DEFINE_MUTEX(mutex_a);
static DEFINE_MUTEX(mutex_b);
static DEFINE_RWSEM(sem_a);
static DEFINE_RWSEM(sem_b);
static u32 turn;

static void both(spinlock_t *outer, spinlock_t *inner)
{
	spin_lock(outer);
	spin_lock(inner);
	spin_unlock(inner);
	spin_unlock(outer);
}

/* Only one after the other, so that no run deadlocks: that orders them is not known. */
static void my_turn(u32 number)
{
	u32 now;

	while ((now = smp_load_acquire(&turn)) != number)
		machine_relax_while(&turn, now);
}

static void next_turn(void)
{
	smp_store_release(&turn, READ_ONCE(turn) + 1);
	machine_wake(&turn);
}

#if defined(CROSSED)

TASK(0, left)
{
	both(&first, &second);
	next_turn();
}

TASK(1, right)
{
	my_turn(1);
	both(&second, &first);
}

#elif defined(CROSSED_BY_THREE)

TASK(0, left)
{
	both(&first, &second);
	next_turn();
}

TASK(1, middle)
{
	my_turn(1);
	both(&second, &third);
	next_turn();
}

TASK(2, right)
{
	my_turn(2);
	both(&third, &first);
}

#elif defined(MUTEXES)

TASK(0, left)
{
	mutex_lock(&mutex_a);
	mutex_lock(&mutex_b);
	mutex_unlock(&mutex_b);
	mutex_unlock(&mutex_a);
	next_turn();
}

TASK(1, right)
{
	my_turn(1);
	mutex_lock(&mutex_b);
	mutex_lock(&mutex_a);
	mutex_unlock(&mutex_a);
	mutex_unlock(&mutex_b);
}

#elif defined(READER_AND_WRITER)

TASK(0, left)
{
	down_read(&sem_a);
	mutex_lock(&mutex_a);
	mutex_unlock(&mutex_a);
	up_read(&sem_a);
	next_turn();
}

TASK(1, right)
{
	my_turn(1);
	mutex_lock(&mutex_a);
	down_write(&sem_a);
	up_write(&sem_a);
	mutex_unlock(&mutex_a);
}

#elif defined(READERS) || defined(READERS_AND_WRITERS)

static void read_both(struct rw_semaphore *outer, struct rw_semaphore *inner)
{
	down_read(outer);
	down_read(inner);
	up_read(inner);
	up_read(outer);
}

static void write_one(struct rw_semaphore *sem)
{
	down_write(sem);
	up_write(sem);
}

TASK(0, left)
{
#ifdef READERS_AND_WRITERS
	write_one(&sem_a);
	write_one(&sem_b);
#endif
	read_both(&sem_a, &sem_b);
	next_turn();
}

TASK(1, right)
{
	my_turn(1);
	read_both(&sem_b, &sem_a);
	(void)write_one;
}

#elif defined(GATE)

TASK(0, left)
{
	mutex_lock(&gate);
	both(&first, &second);
	mutex_unlock(&gate);
}

TASK(1, right)
{
	mutex_lock(&gate);
	both(&second, &first);
	mutex_unlock(&gate);
}

#elif defined(SAME_TASK)

TASK(0, left)
{
	both(&first, &second);
	both(&second, &first);
}

TASK(1, right)
{
	spin_lock(&third);
	spin_unlock(&third);
}

#elif defined(SAME_CPU)

TASK(0, left)
{
	both(&first, &second);
}

TASK(0, right)
{
	both(&second, &first);
}

#elif defined(TRIED)

TASK(0, left)
{
	both(&first, &second);
}

TASK(1, right)
{
	spin_lock(&second);
	if (spin_trylock(&first))
		spin_unlock(&first);
	spin_unlock(&second);
}

#elif defined(MADE_ANEW)

TASK(0, left)
{
	mutex_lock(&mutex_a);
	mutex_lock(&mutex_b);
	mutex_unlock(&mutex_b);
	mutex_unlock(&mutex_a);
	mutex_init(&mutex_a);
	next_turn();
}

TASK(1, right)
{
	my_turn(1);
	mutex_lock(&mutex_b);
	mutex_lock(&mutex_a);
	mutex_unlock(&mutex_a);
	mutex_unlock(&mutex_b);
}

#elif defined(FREED)

/* Another object's lock, at the same place. */
static spinlock_t *made;

TASK(0, left)
{
	spinlock_t *mine = kzalloc(sizeof(*mine), GFP_KERNEL);

	both(mine, &second);
	kfree(mine);
	next_turn();
}

TASK(1, right)
{
	my_turn(1);
	made = kzalloc(sizeof(*made), GFP_KERNEL);
	both(&second, made);
	kfree(made);
}

#else

TASK(0, left)
{
	both(&first, &second);
}

TASK(1, right)
{
	both(&first, &second);
	both(&second, &third);
}

#endif
