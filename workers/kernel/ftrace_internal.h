/* SPDX-License-Identifier: MIT */
/* Between the files of ftrace. */
#ifndef KERNEL_FTRACE_INTERNAL_H
#define KERNEL_FTRACE_INTERNAL_H

#include <kernel/ftrace.h>
#include <kernel/slab.h>
#include <kernel/text.h>

/* Held by who changes tracers, sites or trampolines. Taken before cpu_hotplug_lock. */
extern struct mutex ftrace_lock;

/* Sites of one module, sorted. Written before it is in the list. */
struct ftrace_page {
	struct ftrace_page *next; /* RCU; sorted, too */
	s32 module;
	u32 count;
	struct dyn_ftrace record[];
};

extern struct ftrace_page *ftrace_pages;

#define do_for_each_ftrace_rec(page, rec) \
	for (page = ftrace_pages; page; page = page->next) \
		for (rec = page->record; rec < page->record + page->count; rec++)

/* ftrace_sites.c: make the pages of all modules that are there; 0 or -errno. ftrace_lock held. */
int ftrace_sites_init(void);
void ftrace_sites_free(void);

/* ftrace_hash.c */
bool ftrace_hash_has(const struct ftrace_hash *hash, u64 ip);
/* The same of a filter: an empty one has all. */
bool ftrace_filter_has(const struct ftrace_hash *hash, u64 ip);
/* NULL and *@error: no memory, or not a site. */
struct ftrace_hash *ftrace_hash_with(const struct ftrace_hash *old, const u64 *ips, u32 count,
				     int *error);

/* ftrace.c: make its lock, once. */
void ftrace_ops_init(struct ftrace_ops *ops);
/* A function's tracers changed by @change; find out what its site is to call. */
void ftrace_rec_update(struct dyn_ftrace *rec, int change);
/* May @ops trace what @new has and @old has not? NULL = nothing; ftrace_lock held. */
bool ftrace_may_trace(const struct ftrace_ops *ops, const struct ftrace_hash *old,
		      const struct ftrace_hash *new);
/* Bring text in line. ftrace_lock held. */
void ftrace_update_calls(void);

/* ftrace_call.c: what the text calls. */
void ftrace_ops_list_func(u64 ip, u64 parent_ip, struct ftrace_ops *op,
			  struct ftrace_regs *fregs);
void ftrace_ops_assist_func(u64 ip, u64 parent_ip, struct ftrace_ops *op,
			    struct ftrace_regs *fregs);
void ftrace_ops_sleep_func(u64 ip, u64 parent_ip, struct ftrace_ops *op,
			   struct ftrace_regs *fregs);
bool ftrace_ops_test(struct ftrace_ops *op, u64 ip);

extern struct ftrace_ops ftrace_list_end;
extern struct ftrace_ops *ftrace_ops_list; /* RCU-tasks-rude; under ftrace_lock */

#endif
