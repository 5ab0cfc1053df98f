// SPDX-License-Identifier: MIT
/*
 * Filters: sets of sites. A set that a tracer has never changes; another one takes its place,
 * and it is freed when nobody looks at it any more.
 */
#include <error.h>
#include <kernel/ftrace_internal.h>
#include <kernel/rcu_tasks_rude.h>

static u32 place_of(const struct ftrace_hash *hash, u64 ip)
{
	return (ip * 0x9e3779b97f4a7c15UL) >> (64 - hash->bits);
}

bool ftrace_hash_has(const struct ftrace_hash *hash, u64 ip)
{
	u32 mask = (1u << hash->bits) - 1;

	for (u32 place = place_of(hash, ip); hash->ip[place]; place = (place + 1) & mask) {
		if (hash->ip[place] == ip)
			return true;
	}
	return false;
}

bool ftrace_filter_has(const struct ftrace_hash *hash, u64 ip)
{
	return !hash || !hash->count || ftrace_hash_has(hash, ip);
}

static void add(struct ftrace_hash *hash, u64 ip)
{
	u32 place = place_of(hash, ip), mask = (1u << hash->bits) - 1;

	if (ftrace_hash_has(hash, ip))
		return;
	while (hash->ip[place])
		place = (place + 1) & mask;
	hash->ip[place] = ip;
	hash->count++;
}

/* At most half of its places are taken. */
static struct ftrace_hash *alloc_ftrace_hash(u32 count)
{
	struct ftrace_hash *hash;
	u32 bits = 1;

	while (1u << bits < 2 * count)
		bits++;
	hash = kzalloc(sizeof(*hash) + (sizeof(u64) << bits), GFP_KERNEL);
	if (hash)
		hash->bits = bits;
	return hash;
}

struct ftrace_hash *ftrace_hash_with(const struct ftrace_hash *old, const u64 *ips, u32 count,
				     int *error)
{
	struct ftrace_hash *hash = alloc_ftrace_hash(count + (old ? old->count : 0));

	*error = hash ? 0 : -ENOMEM;
	for (u32 n = 0; n < count && !*error; n++) {
		u64 ip = ftrace_location(ips[n]);

		if (ip)
			add(hash, ip);
		else
			*error = -EINVAL;
	}
	if (*error) {
		kfree(hash);
		return NULL;
	}
	for (u32 n = 0; old && n < 1u << old->bits; n++) {
		if (old->ip[n])
			add(hash, old->ip[n]);
	}
	return hash;
}

/* Sites that @ops traces from now on, or no more. ftrace_lock held. */
static void change_sites(const struct ftrace_hash *old, const struct ftrace_hash *new)
{
	struct ftrace_page *page;
	struct dyn_ftrace *rec;

	do_for_each_ftrace_rec(page, rec) {
		int change = ftrace_filter_has(new, rec->ip) - ftrace_filter_has(old, rec->ip);

		if (change)
			ftrace_rec_update(rec, change);
	}
	ftrace_update_calls();
}

/* Publish @new. 1: the old one may still be looked at; 0: nobody does; or -errno. */
static int replace_filter(struct ftrace_ops *ops, struct ftrace_hash *new)
{
	struct ftrace_hash *old = ops->filter;
	bool enabled;

	mutex_lock(&ftrace_lock);
	enabled = ops->flags & FTRACE_OPS_FL_ENABLED;
	if (enabled && !ftrace_may_trace(ops, old, new)) {
		mutex_unlock(&ftrace_lock);
		return -EBUSY;
	}
	smp_store_release(&ops->filter, new);
	if (enabled)
		change_sites(old, new);
	mutex_unlock(&ftrace_lock);
	return enabled && old;
}

int ftrace_set_filter_ips(struct ftrace_ops *ops, const u64 *ips, u32 count, bool reset)
{
	struct ftrace_hash *old, *new;
	int error;

	ftrace_ops_init(ops);
	mutex_lock(&ftrace_lock);
	error = ftrace_sites_init();
	mutex_unlock(&ftrace_lock);
	if (error)
		return error;
	mutex_lock(&ops->regex_lock);
	old = ops->filter;
	new = ftrace_hash_with(reset ? NULL : old, ips, count, &error);
	if (new)
		error = replace_filter(ops, new);
	/* Who calls it by the list may be looking at the old one, anywhere. */
	if (error > 0)
		synchronize_rcu_tasks_rude();
	if (new)
		kfree(error < 0 ? new : old);
	mutex_unlock(&ops->regex_lock);
	return error < 0 ? error : 0;
}

void ftrace_free_filter(struct ftrace_ops *ops)
{
	ftrace_ops_init(ops);
	mutex_lock(&ops->regex_lock);
	/* Who unregistered it has waited only if it may be freed. */
	if (ops->filter && !(READ_ONCE(ops->flags) & FTRACE_OPS_FL_DYNAMIC))
		synchronize_rcu_tasks_rude();
	kfree(ops->filter);
	ops->filter = NULL;
	mutex_unlock(&ops->regex_lock);
}
