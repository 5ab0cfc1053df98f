// SPDX-License-Identifier: MIT
/* Where no probe may be set: functions marked so, and ranges that somebody asked for. */
#include <error.h>
#include <kernel/kprobe_internal.h>
#include <kernel/slab.h>
#include <kernel/text.h>

/* Looked at by register_kprobe() only, which holds kprobe_mutex: no RCU needed. */
struct blacklist_entry {
	struct list_head list;/* in kprobe_blacklist */
	u64 start;            /* text address */
	u64 end;              /* behind the last byte */
};

static LIST_HEAD(kprobe_blacklist);

bool kprobe_is_blacklisted(u64 addr)
{
	const struct text_function *function = text_function_at(addr);
	const struct blacklist_entry *entry;

	if (function && function->flags & FUNCTION_NOPROBE)
		return true;
	list_for_each_entry(entry, &kprobe_blacklist, list) {
		if (addr >= entry->start && addr < entry->end)
			return true;
	}
	return false;
}

int kprobe_blacklist_add(u64 start, u64 end)
{
	struct blacklist_entry *entry;

	if (start >= end)
		return -EINVAL;
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry)
		return -ENOMEM;
	entry->start = start;
	entry->end = end;
	mutex_lock(&kprobe_mutex);
	list_add(&entry->list, &kprobe_blacklist);
	mutex_unlock(&kprobe_mutex);
	return 0;
}

int kprobe_blacklist_remove(u64 start, u64 end)
{
	struct blacklist_entry *entry, *next;
	int error = -ENOENT;

	mutex_lock(&kprobe_mutex);
	list_for_each_entry_safe(entry, next, &kprobe_blacklist, list) {
		if (entry->start != start || entry->end != end)
			continue;
		list_del(&entry->list);
		kfree(entry);
		error = 0;
		break;
	}
	mutex_unlock(&kprobe_mutex);
	return error;
}
