// SPDX-License-Identifier: MIT
/*
 * Timers, work, delayed work, irq_work and waiting with limits under load, with accounting.
 *
 * All tasks arm, delete, queue and cancel the same items. Of each it is counted how often it was
 * made pending, how often its function ran and how often it was taken back: in the end, when
 * nothing is pending any more, the first is the sum of the others. No function runs twice at
 * once, and the last run of an item that nobody cancels sees all that was written before it was
 * queued. Other objects live for one operation, and are freed while their timer and their work
 * want to arm each other.
 */
#include <error.h>
#include <finding.h>
#include <kernel/completion.h>
#include <kernel/irq_work.h>
#include <kernel/kthread.h>
#include <kernel/slab.h>
#include <kernel/wait.h>
#include <kernel/workqueue.h>
#include <tasks/random.h>

enum work_operation {
	WORK_ARM, WORK_DELETE, WORK_QUEUE, WORK_KICK, WORK_DELAY, WORK_CANCEL, WORK_FLUSH,
	WORK_IRQ, WORK_SLEEP, WORK_TIMEOUT, WORK_TOKEN, WORK_OBJECT, WORK_OPERATIONS
};

/* What happened to an item; all atomic. */
struct account {
	u64 begun;            /* times that it became pending */
	u64 ran;
	u64 taken_back;
	u64 running;          /* 1 = its function runs */
};

/* Four items that all tasks share. */
struct shared_object {
	struct timer_list timer;
	struct work_struct work, kick;
	struct delayed_work delayed;
	struct irq_work irq_work;
	struct account timers, works, delays, irq_works;
	u64 wanted;           /* kicks asked for; atomic */
	u64 seen;             /* by the function of kick, which alone writes */
};

/* Freed by the task that has made it. */
struct short_object {
	struct timer_list timer;
	struct work_struct work;
	struct completion fired;
	u32 freed;            /* 1 = both are shut down; its task writes */
};

struct work_torture {
	u32 weight[WORK_OPERATIONS];
	u32 nr_objects;
	u32 longest;          /* delay of a timer, ticks */
	u32 delay;            /* longest delay in a function, cycles */
	u32 pad;
	u64 objects;          /* struct shared_object[]: Python allocates, work_begin() fills */
	u64 tasks_left;       /* atomic; the last one looks at the accounts */
	u64 tokens;           /* that nobody has taken yet; atomic */
	u64 timers, works, delays, irq_works; /* functions that ran, for who watches; atomic */
};

/* One task; it alone writes. */
struct work_task {
	struct work_torture *torture;
	u64 random;           /* state of its generator, not 0 */
	u64 made[WORK_OPERATIONS];
} __cacheline_aligned;

static struct work_torture *torture;
static struct workqueue_struct *queues[3];
static DECLARE_WAIT_QUEUE_HEAD(token_queue);

/* As long as the low bits of the clock say: no CPU is in step with another. */
static void spin_a_while(void)
{
	u64 start = machine_cycles();
	u64 cycles = torture->delay ? start * 0x9e3779b9UL % torture->delay : 0;

	while (machine_cycles() - start < cycles)
		barrier();
}

static void enter(struct account *account)
{
	claim(!xchg(&account->running, 1UL), (u64)account, account->begun, account->ran);
	spin_a_while();
}

static void leave(struct account *account)
{
	atomic_inc(&account->ran);
	claim(xchg(&account->running, 0UL), (u64)account, account->begun, account->ran);
}

static void timer_function(struct timer_list *timer)
{
	struct shared_object *object = container_of(timer, struct shared_object, timer);
	bool again = machine_cycles() % 4 == 0;

	enter(&object->timers);
	claim(in_serving_softirq(), preempt_count());
	atomic_inc(&torture->timers);
	leave(&object->timers);
	if (again && !READ_ONCE(the_machine->stop) && !mod_timer(timer, jiffies + 1))
		atomic_inc(&object->timers.begun);
}

static void work_function(struct work_struct *work)
{
	struct shared_object *object = container_of(work, struct shared_object, work);

	enter(&object->works);
	atomic_inc(&torture->works);
	if (machine_cycles() % 64 == 0)
		msleep(1);
	leave(&object->works);
}

/* Who asks for a kick counts first, and is seen by the run that comes. */
static void kick_function(struct work_struct *work)
{
	struct shared_object *object = container_of(work, struct shared_object, kick);

	u64 wanted = READ_ONCE(object->wanted);

	spin_a_while();
	WRITE_ONCE(object->seen, wanted);
}

static void delayed_function(struct work_struct *work)
{
	struct shared_object *object =
		container_of(to_delayed_work(work), struct shared_object, delayed);

	enter(&object->delays);
	atomic_inc(&torture->delays);
	leave(&object->delays);
}

static void irq_work_function(struct irq_work *work)
{
	struct shared_object *object = container_of(work, struct shared_object, irq_work);

	claim(irqs_disabled() && in_interrupt(), irqs_disabled(), in_interrupt());
	atomic_inc(&torture->irq_works);
	spin_a_while();
	atomic_inc(&object->irq_works.ran);
}

static struct shared_object *object_at(u32 n)
{
	return (struct shared_object *)torture->objects + n;
}

/* By Python, before any task begins. */
s64 work_begin(struct work_torture *begun);
s64 work_begin(struct work_torture *begun)
{
	torture = begun;
	queues[0] = alloc_workqueue("torture", 0, 0);
	queues[1] = alloc_workqueue("torture_two", 0, 2);
	queues[2] = alloc_ordered_workqueue("torture_ordered", 0);
	if (!queues[0] || !queues[1] || !queues[2])
		return -ENOMEM;
	for (u32 n = 0; n < torture->nr_objects; n++) {
		struct shared_object *object = object_at(n);

		timer_setup(&object->timer, timer_function, 0);
		INIT_WORK(&object->work, work_function);
		INIT_WORK(&object->kick, kick_function);
		INIT_DELAYED_WORK(&object->delayed, delayed_function);
		init_irq_work(&object->irq_work, irq_work_function);
	}
	return 0;
}

static u64 any_delay(struct work_task *task)
{
	return random_below(&task->random, torture->longest + 1);
}

static struct workqueue_struct *queue_of(const struct shared_object *object)
{
	return queues[(object - object_at(0)) % ARRAY_SIZE(queues)];
}

static void count(u64 *counter, bool happened)
{
	if (happened)
		atomic_inc(counter);
}

static void delete_timer(struct work_task *task, struct shared_object *object)
{
	if (random_below(&task->random, 2))
		count(&object->timers.taken_back, timer_delete(&object->timer));
	else
		count(&object->timers.taken_back, timer_delete_sync(&object->timer));
}

static void delay_work(struct work_task *task, struct shared_object *object)
{
	u64 delay = any_delay(task);
	bool begun;

	if (random_below(&task->random, 2))
		begun = queue_delayed_work(queue_of(object), &object->delayed, delay);
	else
		begun = !mod_delayed_work(queue_of(object), &object->delayed, delay);
	count(&object->delays.begun, begun);
}

static void cancel_work_of(struct work_task *task, struct shared_object *object)
{
	switch (random_below(&task->random, 4)) {
	case 0:
		count(&object->works.taken_back, cancel_work(&object->work));
		break;
	case 1:
		count(&object->works.taken_back, cancel_work_sync(&object->work));
		break;
	case 2:
		count(&object->delays.taken_back, cancel_delayed_work(&object->delayed));
		break;
	default:
		count(&object->delays.taken_back, cancel_delayed_work_sync(&object->delayed));
	}
}

static void flush(struct work_task *task, struct shared_object *object)
{
	u32 which = random_below(&task->random, 8);
	bool queued;
	u64 wanted;

	if (which == 0) {
		flush_workqueue(queue_of(object));
		return;
	}
	if (which < 4) {
		flush_delayed_work(&object->delayed);
		return;
	}
	/*
	 * Nobody cancels it: what was asked for before has been seen when it is flushed. What
	 * somebody else is about to queue is not waited for.
	 */
	wanted = READ_ONCE(object->wanted);
	queued = queue_work(queue_of(object), &object->kick);
	flush_work(&object->kick);
	claim(!queued || READ_ONCE(object->seen) >= wanted, object->seen, wanted);
}

static void sleep_a_while(struct work_task *task)
{
	u64 ms = any_delay(task), began = machine_now();

	msleep(ms);
	claim(machine_now() - began >= ms * NSEC_PER_JIFFY, machine_now() - began, ms);
}

static void short_fires(struct timer_list *timer)
{
	struct short_object *object = container_of(timer, struct short_object, timer);

	claim(!READ_ONCE(object->freed), object->freed);
	schedule_work(&object->work);
	complete(&object->fired);
	spin_a_while();
	claim(!READ_ONCE(object->freed), object->freed);
}

static void short_works(struct work_struct *work)
{
	struct short_object *object = container_of(work, struct short_object, work);

	claim(!READ_ONCE(object->freed), object->freed);
	spin_a_while();
	mod_timer(&object->timer, jiffies + 1);
	if (machine_cycles() % 4 == 0)
		schedule_work(work);
}

/* Its timer and its work arm each other, whatever runs when they are shut down. */
static void live_shortly(struct work_task *task)
{
	struct short_object *object = kzalloc(sizeof(*object), GFP_KERNEL);

	if (!object)
		return;
	timer_setup(&object->timer, short_fires, 0);
	INIT_WORK(&object->work, short_works);
	init_completion(&object->fired);
	mod_timer(&object->timer, jiffies + any_delay(task));
	if (random_below(&task->random, 2))
		schedule_work_on(random_below(&task->random, num_cpus()), &object->work);
	if (random_below(&task->random, 2))
		wait_for_completion(&object->fired);
	timer_shutdown_sync(&object->timer);
	spin_a_while();
	cancel_work_sync(&object->work);
	WRITE_ONCE(object->freed, 1);
	kfree(object);
}

static void wait_with_limit(struct work_task *task)
{
	DECLARE_COMPLETION(never);
	u64 ticks = any_delay(task), began = jiffies;

	claim(!wait_for_completion_timeout(&never, ticks), ticks);
	claim(time_after_eq(jiffies, began + ticks), jiffies, began, ticks);
}

static bool take_token(void)
{
	u64 left = READ_ONCE(torture->tokens);

	while (left) {
		u64 seen = cmpxchg(&torture->tokens, left, left - 1);

		if (seen == left)
			return true;
		left = seen;
	}
	return false;
}

/* Each gives one and takes one: so there is one for everybody, and nobody sleeps for long. */
static void pass_token(void)
{
	atomic_inc(&torture->tokens);
	wake_up(&token_queue);
	wait_event_exclusive(token_queue, take_token());
	if (READ_ONCE(torture->tokens))
		wake_up(&token_queue);
}

static void one_operation(struct work_task *task, enum work_operation operation)
{
	struct shared_object *object = object_at(random_below(&task->random, torture->nr_objects));

	switch (operation) {
	case WORK_ARM:
		count(&object->timers.begun,
		      !mod_timer(&object->timer, jiffies + any_delay(task)));
		break;
	case WORK_DELETE:
		delete_timer(task, object);
		break;
	case WORK_QUEUE:
		count(&object->works.begun,
		      queue_work_on(random_below(&task->random, num_cpus()), queue_of(object),
				    &object->work));
		break;
	case WORK_KICK:
		atomic_inc(&object->wanted);
		queue_work(queue_of(object), &object->kick);
		break;
	case WORK_DELAY:
		delay_work(task, object);
		break;
	case WORK_CANCEL:
		cancel_work_of(task, object);
		break;
	case WORK_FLUSH:
		flush(task, object);
		break;
	case WORK_IRQ:
		count(&object->irq_works.begun, irq_work_queue(&object->irq_work));
		break;
	case WORK_SLEEP:
		sleep_a_while(task);
		break;
	case WORK_TIMEOUT:
		wait_with_limit(task);
		break;
	case WORK_TOKEN:
		pass_token();
		break;
	default:
		live_shortly(task);
	}
}

static enum work_operation choose_operation(struct work_task *task)
{
	u32 all = 0, left;

	for (u32 n = 0; n < WORK_OPERATIONS; n++)
		all += torture->weight[n];
	left = random_below(&task->random, all);
	for (u32 n = 0; n < WORK_OPERATIONS; n++) {
		if (left < torture->weight[n])
			return n;
		left -= torture->weight[n];
	}
	return WORK_ARM;
}

static void check_account(const struct account *account)
{
	u64 ended = account->ran + account->taken_back;

	claim(account->begun == ended, (u64)account, account->begun, account->ran,
	      account->taken_back);
}

/* Nobody makes anything pending any more, but timers that are armed may arm themselves. */
static void settle(struct shared_object *object)
{
	count(&object->timers.taken_back, timer_shutdown_sync(&object->timer));
	count(&object->delays.taken_back, cancel_delayed_work_sync(&object->delayed));
	flush_work(&object->work);
	flush_work(&object->kick);
	irq_work_sync(&object->irq_work);
	check_account(&object->timers);
	check_account(&object->works);
	check_account(&object->delays);
	check_account(&object->irq_works);
	claim(object->seen == object->wanted, object->seen, object->wanted);
}

s64 work_torturer(void *argument);
s64 work_torturer(void *argument)
{
	struct work_task *task = argument;

	while (!READ_ONCE(the_machine->stop)) {
		enum work_operation operation = choose_operation(task);

		one_operation(task, operation);
		task->made[operation]++;
		current->progress++;
		cond_resched();
	}
	if (atomic_sub_return(1, &torture->tasks_left))
		return 0;
	for (u32 n = 0; n < torture->nr_objects; n++)
		settle(object_at(n));
	for (u32 n = 0; n < ARRAY_SIZE(queues); n++)
		destroy_workqueue(queues[n]);
	return 0;
}
