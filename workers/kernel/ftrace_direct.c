// SPDX-License-Identifier: MIT
/*
 * One tracer serves all direct calls: it looks the function up in a table that is never changed
 * while it can be seen. Who changes it makes another one, and frees the old one when nobody
 * looks at it: a task that was preempted in the tracer's trampoline, or an idle CPU.
 */
#include <error.h>
#include <kernel/ftrace_direct.h>
#include <kernel/rcu_tasks.h>
#include <kernel/rcu_tasks_rude.h>
#include <kernel/slab.h>

struct direct_entry {
	u64 ip;
	ftrace_direct_t direct;
};

struct direct_table {
	u32 count;
	u32 pad;
	struct direct_entry entry[];
};

static void call_direct_funcs(u64 ip, u64 parent_ip, struct ftrace_ops *op,
			      struct ftrace_regs *fregs);

static DEFINE_MUTEX(direct_mutex);
static struct direct_table *direct_functions; /* RCU-tasks and -rude; under direct_mutex */
static struct ftrace_ops direct_ops = { .func = call_direct_funcs };

static struct direct_entry *find_direct(struct direct_table *table, u64 ip)
{
	for (u32 n = 0; table && n < table->count; n++) {
		if (table->entry[n].ip == ip)
			return &table->entry[n];
	}
	return NULL;
}

static void call_direct_funcs(u64 ip, u64 parent_ip, struct ftrace_ops *op,
			      struct ftrace_regs *fregs)
{
	struct direct_entry *entry = find_direct(smp_load_acquire(&direct_functions), ip);

	if (entry)
		entry->direct(ip, fregs);
}

/* The table without @ip, and with @direct for it unless that is NULL. */
static struct direct_table *make_table(u64 ip, ftrace_direct_t direct)
{
	u32 before = direct_functions ? direct_functions->count : 0;
	struct direct_table *table;

	table = kzalloc(sizeof(*table) + (before + 1) * sizeof(struct direct_entry), GFP_KERNEL);
	if (!table)
		return NULL;
	for (u32 n = 0; n < before; n++) {
		if (direct_functions->entry[n].ip != ip)
			table->entry[table->count++] = direct_functions->entry[n];
	}
	if (direct)
		table->entry[table->count++] = (struct direct_entry){ ip, direct };
	return table;
}

/* Nobody looks at @old, or is in what it has, when this returns. */
static void free_table(struct direct_table *old)
{
	if (!old)
		return;
	synchronize_rcu_tasks_rude();
	synchronize_rcu_tasks();
	kfree(old);
}

/* The tracer traces what the table has. */
static int trace_table(const struct direct_table *table)
{
	bool enabled = direct_ops.flags & FTRACE_OPS_FL_ENABLED;
	u64 *ips;
	int error;

	if (!table->count)
		return enabled ? unregister_ftrace_function(&direct_ops) : 0;
	ips = kcalloc(table->count, sizeof(*ips), GFP_KERNEL);
	if (!ips)
		return -ENOMEM;
	for (u32 n = 0; n < table->count; n++)
		ips[n] = table->entry[n].ip;
	error = ftrace_set_filter_ips(&direct_ops, ips, table->count, true);
	kfree(ips);
	return error || enabled ? error : register_ftrace_function(&direct_ops);
}

/*
 * Published before what is traced grows, and after what is left is traced no more. Neither text
 * nor filter has to do with whom a function is to call instead.
 */
static int replace_table(u64 ip, ftrace_direct_t direct)
{
	struct direct_table *old = direct_functions, *new = make_table(ip, direct);
	bool traced = direct && find_direct(old, ip);
	int error;

	if (!new)
		return -ENOMEM;
	smp_store_release(&direct_functions, new);
	error = traced ? 0 : trace_table(new);
	if (error) {
		smp_store_release(&direct_functions, old);
		free_table(new);
		return error;
	}
	free_table(old);
	if (!new->count) {
		smp_store_release(&direct_functions, NULL);
		ftrace_free_filter(&direct_ops);
		free_table(new);
	}
	return 0;
}

int register_ftrace_direct(u64 ip, ftrace_direct_t direct)
{
	int error = -EBUSY;

	mutex_lock(&direct_mutex);
	if (!find_direct(direct_functions, ip))
		error = replace_table(ip, direct);
	mutex_unlock(&direct_mutex);
	return error;
}

int modify_ftrace_direct(u64 ip, ftrace_direct_t direct)
{
	int error = -ENOENT;

	mutex_lock(&direct_mutex);
	if (find_direct(direct_functions, ip))
		error = replace_table(ip, direct);
	mutex_unlock(&direct_mutex);
	return error;
}

int unregister_ftrace_direct(u64 ip)
{
	return modify_ftrace_direct(ip, NULL);
}
