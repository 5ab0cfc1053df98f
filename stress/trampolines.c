// SPDX-License-Identifier: MIT
/*
 * Tasks call functions while tracers of them come and go. A task may be preempted at any
 * instruction: of a function, of a trampoline, of a callback that returns to one.
 *
 * Each call is judged: a tracer that surely traced the function from before the call to after it
 * was called once, and no other one than may have been there.
 */
#include <finding.h>
#include <kernel/fprobe.h>
#include <kernel/kthread.h>
#include <kernel/rcu_tasks.h>
#include <kernel/slab.h>
#include <kernel/text.h>
#include <tasks/random.h>

#define TRACER_FUNCTIONS 4    /* of one tracer, at most */
#define MOST_CHANGING 2       /* tracers that come or go at a time: more only wait */
#define QUICK_CALLS 64        /* between two looks at anything else */
#define LIVE 0x7261636572UL

/*
 * How many trace a function: surely in bits 0 to 15, perhaps in 16 to 31; changes above. All
 * who trace add; whoever calls it reads.
 */
#define SURELY 0x1UL
#define PERHAPS 0x10000UL
#define CHANGES 0x100000000UL

struct traced_function {
	u64 addr;
	u64 tracers;          /* as above; atomic */
} __cacheline_aligned;

struct trampolines {
	struct traced_function *functions;
	u32 nr_functions;
	u32 delay;            /* longest time in a callback, cycles */
	u32 pause;            /* longest time that a tracer stays, cycles */
	u32 changing;         /* tracers that come or go now; atomic */
};

/* One task; it alone writes. */
struct trampolines_task {
	struct trampolines *trampolines;
	u64 random;           /* state of its generator, not 0 */
	u64 calls;
	u64 hits;
	u64 sure_calls;       /* calls that a tracer surely traced */
	u64 nested;           /* calls out of callbacks */
	u64 tracers;          /* that came and went */
	u64 filters;          /* changed */
	u64 returns;          /* that were noticed */
} __cacheline_aligned;

/* A tracer of a task. */
struct tracer {
	struct ftrace_ops ops;
	u64 live;             /* LIVE; memory that was freed has something else */
	struct trampolines *trampolines;
	u32 nr;
	u32 place[TRACER_FUNCTIONS]; /* of its functions */
};

/* Is told of the returns of a function. */
struct return_tracer {
	struct fprobe fp;
	u64 live;             /* LIVE; memory that was freed has something else */
	u64 addr;             /* of the function */
	u64 returns;          /* atomic */
};

/* A call under way: current->scratch[0] is the innermost one. */
struct call {
	u64 addr;
	u64 hits;
	struct call *outer;
	struct trampolines_task *task;
};

static void spin(u64 cycles)
{
	u64 start = machine_cycles();

	while (machine_cycles() - start < cycles)
		barrier();
}

static u64 call_function(struct trampolines_task *task, struct traced_function *function);

/* By way of a trampoline or of ftrace_caller, in the task that calls the function. */
static void callback(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs)
{
	struct tracer *tracer = container_of(op, struct tracer, ops);
	struct call *call = (struct call *)current->scratch[0];
	struct trampolines_task *task = call->task;

	if (!slab_check(tracer, sizeof(*tracer)) || READ_ONCE(tracer->live) != LIVE ||
	    call->addr != ip)
		report_finding(FINDING_CLAIM, NULL, ip, call->addr, tracer->live, LIVE);
	call->hits++;
	if (random_below(&task->random, 4))
		return;
	spin(random_below(&task->random, tracer->trampolines->delay + 1));
	/* A call out of a callback; one that is two deep returns to two trampolines. */
	if (!call->outer && !random_below(&task->random, 4)) {
		u32 n = random_below(&task->random, tracer->trampolines->nr_functions);

		task->nested++;
		call_function(task, &tracer->trampolines->functions[n]);
	}
	if (READ_ONCE(tracer->live) != LIVE)
		report_finding(FINDING_CLAIM, NULL, ip, call->addr, tracer->live, LIVE);
}

/* Returns how many tracers there surely were. */
static u64 call_function(struct trampolines_task *task, struct traced_function *function)
{
	struct call call = {
		.addr = function->addr, .outer = (struct call *)current->scratch[0], .task = task,
	};
	u64 before = smp_load_acquire(&function->tracers), after, result;
	u64 surely, perhaps;

	current->scratch[0] = (u64)&call;
	barrier();
	result = machine_call_text(function->addr, 3, 4) - 3 - 4;
	barrier();
	current->scratch[0] = (u64)call.outer;
	after = smp_load_acquire(&function->tracers);
	task->calls++;
	task->hits += call.hits;
	if (result < 1 || result > 100)
		report_finding(FINDING_CLAIM, NULL, function->addr, result);
	if (before != after)
		return 0;
	/* The list calls nobody while one of its callbacks runs. */
	surely = call.outer ? 0 : before & 0xffff;
	perhaps = before >> 16 & 0xffff;
	if (call.hits < surely || call.hits > perhaps)
		report_finding(FINDING_CLAIM, NULL, function->addr, call.hits, surely, perhaps);
	return surely;
}

/* Nothing but calls: a tick finds it on the way into or out of a trampoline. */
static void call_quickly(struct trampolines_task *task)
{
	struct trampolines *trampolines = task->trampolines;
	struct traced_function *function =
		&trampolines->functions[random_below(&task->random, trampolines->nr_functions)];

	for (u32 n = 0; n < QUICK_CALLS; n++)
		task->sure_calls += call_function(task, function) > 0;
}

s64 trampolines_caller(void *argument)
{
	struct trampolines_task *task = argument;

	while (!READ_ONCE(the_machine->stop)) {
		call_quickly(task);
		current->progress++;
		cond_resched_tasks_rcu_qs();
	}
	return 0;
}

/* It is our turn to come or go; until then we call, and are traced. */
static void begin_change(struct trampolines_task *task)
{
	u32 *changing = &task->trampolines->changing;

	while (atomic_add_return(1, changing) > MOST_CHANGING) {
		atomic_add_return(-1, changing);
		call_quickly(task);
		current->progress++;
		cond_resched_tasks_rcu_qs();
	}
}

static void end_change(struct trampolines_task *task)
{
	atomic_add_return(-1, &task->trampolines->changing);
}

static void count_in(struct tracer *tracer, u64 change)
{
	for (u32 n = 0; n < tracer->nr; n++)
		atomic_fetch_add(CHANGES + change,
				 &tracer->trampolines->functions[tracer->place[n]].tracers);
}

/* Other functions than those that it has, all different. */
static int choose(struct tracer *tracer, struct trampolines_task *task)
{
	struct trampolines *trampolines = tracer->trampolines;
	u32 first = random_below(&task->random, trampolines->nr_functions);
	u64 ips[TRACER_FUNCTIONS];

	tracer->nr = 1 + random_below(&task->random, TRACER_FUNCTIONS);
	if (tracer->nr > trampolines->nr_functions)
		tracer->nr = trampolines->nr_functions;
	for (u32 n = 0; n < tracer->nr; n++) {
		tracer->place[n] = (first + n) % trampolines->nr_functions;
		ips[n] = trampolines->functions[tracer->place[n]].addr;
	}
	return ftrace_set_filter_ips(&tracer->ops, ips, tracer->nr, true);
}

/* Functions that it leaves and those that it gets are unsure until it is done. */
static void change_filter(struct tracer *tracer, struct trampolines_task *task)
{
	struct tracer before = *tracer;
	u64 ips[TRACER_FUNCTIONS];

	count_in(tracer, -SURELY);
	tracer->nr = 1;
	tracer->place[0] = random_below(&task->random, tracer->trampolines->nr_functions);
	ips[0] = tracer->trampolines->functions[tracer->place[0]].addr;
	count_in(tracer, PERHAPS);
	claim(!ftrace_set_filter_ips(&tracer->ops, ips, 1, true));
	/* A task that was on the way to it may still come: until it has switched by itself. */
	synchronize_rcu_tasks();
	count_in(&before, -PERHAPS);
	count_in(tracer, SURELY);
	task->filters++;
}

/* Others of this CPU come by meanwhile, so that they are traced, too. */
static void stay(struct trampolines_task *task)
{
	spin(random_below(&task->random, task->trampolines->pause + 1));
	yield();
	spin(random_below(&task->random, task->trampolines->pause + 1));
}

static void trace(struct tracer *tracer, struct trampolines_task *task)
{
	begin_change(task);
	claim(!choose(tracer, task));
	count_in(tracer, PERHAPS);
	claim(!register_ftrace_function(&tracer->ops));
	count_in(tracer, SURELY);
	end_change(task);
	stay(task);
	begin_change(task);
	if (!random_below(&task->random, 8))
		change_filter(tracer, task);
	count_in(tracer, -SURELY);
	claim(!unregister_ftrace_function(&tracer->ops));
	count_in(tracer, -PERHAPS);
	end_change(task);
	ftrace_free_filter(&tracer->ops);
	task->tracers++;
}

static void left(struct fprobe *fp, u64 ip, u64 result)
{
	struct return_tracer *tracer = container_of(fp, struct return_tracer, fp);

	if (!slab_check(tracer, sizeof(*tracer)) || tracer->live != LIVE || ip != tracer->addr ||
	    result < 3 + 4 + 1 || result > 3 + 4 + 100)
		report_finding(FINDING_CLAIM, NULL, ip, tracer->addr, tracer->live, result);
	atomic_inc(&tracer->returns);
}

static void trace_returns(struct trampolines_task *task)
{
	struct trampolines *trampolines = task->trampolines;
	struct return_tracer *tracer = kzalloc(sizeof(*tracer), GFP_NOFAIL);

	tracer->fp.exit_handler = left;
	tracer->live = LIVE;
	tracer->addr = trampolines->functions[random_below(&task->random,
							   trampolines->nr_functions)].addr;
	begin_change(task);
	claim(!register_fprobe_ips(&tracer->fp, &tracer->addr, 1));
	end_change(task);
	stay(task);
	begin_change(task);
	claim(!unregister_fprobe(&tracer->fp));
	end_change(task);
	task->returns += tracer->returns;
	kfree(tracer);
}

s64 trampolines_tracer(void *argument)
{
	struct trampolines_task *task = argument;

	while (!READ_ONCE(the_machine->stop)) {
		struct tracer *tracer = kzalloc(sizeof(*tracer), GFP_NOFAIL);

		*tracer = (struct tracer){
			.ops.func = callback, .trampolines = task->trampolines, .live = LIVE,
		};
		trace(tracer, task);
		kfree(tracer);
		if (!random_below(&task->random, 8))
			trace_returns(task);
		current->progress++;
		cond_resched_tasks_rcu_qs();
	}
	return 0;
}
