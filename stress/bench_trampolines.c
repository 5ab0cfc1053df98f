// SPDX-License-Identifier: MIT
/*
 * What a traced call costs, with as many tracers as functions: each function has one, with a
 * callback of its own.
 */
#include <kernel/ftrace.h>
#include <kernel/slab.h>
#include <kernel/text.h>

#define CALLBACKS 1000

/* What was done by the last measurement. CPU 0 writes. */
struct trampolines_bench {
	u64 count;            /* calls */
	u64 ns;
	u64 hits;             /* of callbacks */
};

struct trampolines_bench trampolines_bench;

/* By callback, a cache line each: nothing but counting. */
static struct {
	u64 count;
} __cacheline_aligned hits[CALLBACKS];

static struct ftrace_ops *tracers[CALLBACKS];
static u64 functions[CALLBACKS];
static u32 nr_tracers;

#define CALLBACK(n) \
	static void callback_##n(u64 ip, u64 parent_ip, struct ftrace_ops *op, \
				 struct ftrace_regs *fregs) \
	{ \
		hits[1##n - 1000].count++; \
	}
#define NAME(n) callback_##n,
#define TEN(what, n) \
	what(n##0) what(n##1) what(n##2) what(n##3) what(n##4) \
	what(n##5) what(n##6) what(n##7) what(n##8) what(n##9)
#define HUNDRED(what, n) \
	TEN(what, n##0) TEN(what, n##1) TEN(what, n##2) TEN(what, n##3) TEN(what, n##4) \
	TEN(what, n##5) TEN(what, n##6) TEN(what, n##7) TEN(what, n##8) TEN(what, n##9)
#define THOUSAND(what) \
	HUNDRED(what, 0) HUNDRED(what, 1) HUNDRED(what, 2) HUNDRED(what, 3) HUNDRED(what, 4) \
	HUNDRED(what, 5) HUNDRED(what, 6) HUNDRED(what, 7) HUNDRED(what, 8) HUNDRED(what, 9)

THOUSAND(CALLBACK)

static const ftrace_func_t callbacks[CALLBACKS] = { THOUSAND(NAME) };

/* @addresses[count]: trace each by a tracer of its own. @list: all by ftrace_caller. */
s64 bench_trace(u64 addresses, u64 count, u64 list)
{
	s64 error = 0;

	for (u32 n = 0; n < count && n < CALLBACKS && !error; n++) {
		struct ftrace_ops *ops = kzalloc(sizeof(*ops), GFP_NOFAIL);

		functions[n] = ((const u64 *)addresses)[n];
		ops->func = callbacks[n];
		ops->flags = list ? FTRACE_OPS_FL_NO_TRAMPOLINE : 0;
		error = ftrace_set_filter_ips(ops, &functions[n], 1, true);
		if (!error)
			error = register_ftrace_function(ops);
		tracers[nr_tracers++] = ops;
	}
	return error;
}

s64 bench_untrace(void)
{
	s64 error = 0;

	while (nr_tracers && !error) {
		struct ftrace_ops *ops = tracers[--nr_tracers];

		error = unregister_ftrace_function(ops);
		ftrace_free_filter(ops);
		kfree(ops);
	}
	return error;
}

/*
 * Call the first @count of @addresses, each @in_row times before the next one, and all of them
 * @rounds times.
 */
s64 bench_traced_calls(u64 addresses, u64 count, u64 in_row, u64 rounds)
{
	const u64 *function = (const u64 *)addresses;
	u64 start, before = 0, after = 0;

	for (u32 n = 0; n < CALLBACKS; n++)
		before += hits[n].count;
	start = machine_now();
	for (u64 round = 0; round < rounds; round++) {
		for (u64 n = 0; n < count; n++) {
			for (u64 call = 0; call < in_row; call++)
				machine_call_text(function[n], call, 1);
		}
	}
	trampolines_bench.ns = machine_now() - start;
	for (u32 n = 0; n < CALLBACKS; n++)
		after += hits[n].count;
	trampolines_bench.count = rounds * count * in_row;
	trampolines_bench.hits = after - before;
	return 0;
}
