// SPDX-License-Identifier: MIT
/* Callbacks come in order and in reverse, one that fails takes back what was done; threads park. */
#include <error.h>
#include <explore.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/kthread.h>

enum step { PREPARE = 1, FIRST, SECOND, STEPS };

static u64 trail;             /* steps called, four bits each: 8 is added on the way down */
static u32 failing;           /* step whose callbacks fail; 0 = none; 8 is added for a teardown */
static struct task_struct *worker;
static u64 turns;

static int note(u32 step)
{
	if (step == failing)
		return -EAGAIN;
	trail = trail << 4 | step;
	return 0;
}

#define CALLBACKS(name, step) \
	static int name##_up(unsigned int cpu) \
	{ \
		return cpu == 1 ? note(step) : 0; \
	} \
	static int name##_down(unsigned int cpu) \
	{ \
		return cpu == 1 ? note(8 | (step)) : 0; \
	}

CALLBACKS(prepare, PREPARE)
CALLBACKS(first, FIRST)
CALLBACKS(second, SECOND)

static s64 work(void *unused)
{
	kthread_set_per_cpu(current);
	while (!kthread_should_stop()) {
		if (kthread_should_park())
			kthread_parkme();
		WRITE_ONCE(turns, turns + 1);
		set_current_blocked();
		if (kthread_should_park() || kthread_should_stop())
			set_current_running();
		else
			schedule();
	}
	return 0;
}

static int unpark(unsigned int cpu)
{
	if (cpu == 1)
		kthread_unpark(worker);
	return 0;
}

static int park(unsigned int cpu)
{
	return cpu == 1 ? kthread_park(worker) : 0;
}

static u64 taken_trail(void)
{
	u64 was = trail;

	trail = 0;
	return was;
}

static void fails(u32 step, int (*change)(unsigned int cpu), u64 expected)
{
	bool online = cpu_online(1);
	int error;

	failing = step;
	error = change(1);
	failing = 0;
	claim(error == -EAGAIN && cpu_online(1) == online && trail == expected, error, trail);
	trail = 0;
}

INIT
{
	worker = kthread_run(1, work, NULL, "worker");
	claim(cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "first", first_up, first_down) ==
	      CPUHP_AP_ONLINE_DYN, 0);
	claim(cpuhp_setup_state(CPUHP_BP_PREPARE_DYN, "prepare", prepare_up, prepare_down) > 0, 1);
	claim(cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "second", second_up, second_down) > 0, 2);
	claim(cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "worker", NULL, park) > 0, 3);
	claim(cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "worker", unpark, NULL) > 0, 4);
	claim(taken_trail() == 0x213, trail);
}

TASK(0, hotplug)
{
	claim(cpu_down(0) == -EBUSY && cpu_down(9) == -EINVAL && cpu_up(9) == -EINVAL, 0);
	claim(cpu_up(1) == 0 && taken_trail() == 0, trail);
	fails(8 | FIRST, cpu_down, 0xb3);
	claim(cpu_down(1) == 0 && taken_trail() == 0xba9, trail);
	claim(cpu_down(1) == 0 && taken_trail() == 0, trail);
	fails(SECOND, cpu_up, 0x12a9);
	claim(cpu_up(1) == 0 && taken_trail() == 0x123, trail);
	kthread_stop(worker);
}

TASK(1, sleeper)
{
	cond_park();
	yield();
}
