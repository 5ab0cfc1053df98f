// SPDX-License-Identifier: MIT
/* Which functions can be traced, and of which module they are. */
#include <error.h>
#include <finding.h>
#include <kernel/ftrace_internal.h>
#include <kernel/rcu.h>

#define RECORDS_OF_PAGE 64

struct ftrace_page *ftrace_pages; /* RCU, sorted by address; under ftrace_lock */
static bool sites_known;      /* under ftrace_lock */

static const struct text_function *function_at(u32 n)
{
	return (const struct text_function *)region_at(REGION_FUNCTIONS, 0) + n;
}

static bool is_site_of(const struct text_function *function, int module)
{
	return function->flags & FUNCTION_TRACED && function->module == module;
}

/* At most RECORDS_OF_PAGE sites of @module from function *@next on. */
static struct ftrace_page *make_page(int module, u32 *next)
{
	struct ftrace_page *page;
	u32 count = 0, n;

	for (n = *next; n < the_machine->text.nr_functions && count < RECORDS_OF_PAGE; n++)
		count += is_site_of(function_at(n), module);
	page = kzalloc(sizeof(*page) + count * sizeof(struct dyn_ftrace), GFP_NOFAIL);
	if (!page)
		return NULL;
	page->module = module;
	for (; *next < n; ++*next) {
		if (is_site_of(function_at(*next), module))
			page->record[page->count++].ip = function_at(*next)->addr;
	}
	return page;
}

static void insert(struct ftrace_page *page)
{
	struct ftrace_page **place = &ftrace_pages;

	while (*place && (*place)->record[0].ip < page->record[0].ip)
		place = &(*place)->next;
	page->next = *place;
	rcu_assign_pointer(*place, page);
}

static bool is_known(int module)
{
	const struct ftrace_page *page = ftrace_pages;

	while (page && page->module != module)
		page = page->next;
	return page;
}

static int make_pages(int module)
{
	u32 next = 0;

	while (next < the_machine->text.nr_functions) {
		struct ftrace_page *page = make_page(module, &next);

		if (!page)
			return -ENOMEM;
		if (page->count)
			insert(page);
		else
			kfree(page);
	}
	return 0;
}

/* One that begins to go after this has its pages taken out when ftrace_lock is free. */
static int add_module(int module)
{
	u32 state = READ_ONCE(the_machine->text.module[module].state);

	if (is_known(module) || (state != MODULE_LIVE && state != MODULE_COMING))
		return 0;
	return make_pages(module);
}

int ftrace_sites_init(void)
{
	int error = 0;

	if (sites_known)
		return 0;
	for (u32 n = 0; n < the_machine->text.nr_modules && !error; n++)
		error = add_module(n);
	if (!error && !ftrace_pages)
		error = -ENOENT;
	sites_known = !error;
	return error;
}

void ftrace_sites_free(void)
{
	struct ftrace_page *page = ftrace_pages;

	sites_known = false;
	rcu_assign_pointer(ftrace_pages, NULL);
	if (page)
		synchronize_rcu();
	while (page) {
		struct ftrace_page *next = page->next;

		kfree(page);
		page = next;
	}
}

void ftrace_module_init(int module)
{
	mutex_lock(&ftrace_lock);
	if (sites_known)
		add_module(module);
	mutex_unlock(&ftrace_lock);
}

/* Take the pages of @module out of the list, and return them. */
static struct ftrace_page *take_out(int module)
{
	struct ftrace_page **place = &ftrace_pages, *taken = NULL;

	while (*place) {
		struct ftrace_page *page = *place;

		if (page->module != module) {
			place = &page->next;
			continue;
		}
		/* Who is at the page goes on from it: its next stays. One at a time is enough. */
		rcu_assign_pointer(*place, page->next);
		taken = page;
		break;
	}
	return taken;
}

void ftrace_release_mod(int module)
{
	struct ftrace_page *page;

	mutex_lock(&ftrace_lock);
	while ((page = take_out(module))) {
		/* ftrace_location() may be looking at it. */
		synchronize_rcu();
		kfree(page);
	}
	mutex_unlock(&ftrace_lock);
}

static u64 find_in(const struct ftrace_page *page, u64 ip)
{
	u32 low = 0, high = page->count;

	while (low < high) {
		u32 middle = (low + high) / 2;
		u64 start = page->record[middle].ip;

		if (ip - start < MCOUNT_INSN_SIZE)
			return start;
		if (ip < start)
			high = middle;
		else
			low = middle + 1;
	}
	return 0;
}

u64 ftrace_location(u64 ip)
{
	const struct ftrace_page *page;
	u64 found = 0;

	rcu_read_lock();
	for (page = rcu_dereference(ftrace_pages); page && !found;
	     page = rcu_dereference(page->next))
		found = find_in(page, ip);
	rcu_read_unlock();
	return found;
}
