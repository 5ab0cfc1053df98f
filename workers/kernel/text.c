// SPDX-License-Identifier: MIT
/* The symbols of text, and the life of its modules. */
#include <error.h>
#include <finding.h>
#include <kernel/ftrace.h>
#include <kernel/kprobes.h>
#include <kernel/smp.h>
#include <kernel/spinlock.h>
#include <kernel/text_poke.h>
#include <memory.h>

static DEFINE_SPINLOCK(module_lock); /* state and refs of the_machine->text.module[] */

/* Who unloaded a module last; for reports. Whoever moves it to MODULE_GONE writes. */
static struct side unloaders[MAX_TEXT_MODULES];

static const struct text_function *functions(void)
{
	return region_at(REGION_FUNCTIONS, 0);
}

const struct text_function *text_function_at(u64 addr)
{
	const struct text_function *function = functions();
	u32 low = 0, high = the_machine->text.nr_functions;

	while (low < high) {
		u32 middle = (low + high) / 2;

		if (addr < function[middle].addr)
			high = middle;
		else
			low = middle + 1;
	}
	/* The last one that starts at or before addr. */
	if (!low || addr - function[low - 1].addr >= function[low - 1].size)
		return NULL;
	return &function[low - 1];
}

const struct text_function *text_function_named(const char *name)
{
	const struct text_function *function = functions();

	for (u32 n = 0; n < the_machine->text.nr_functions; n++) {
		if (same_string(function[n].name, name))
			return &function[n];
	}
	return NULL;
}

bool is_text_data(u64 addr)
{
	for (u32 n = 0; n < the_machine->text.nr_segments; n++) {
		const struct text_segment *segment = &the_machine->text.segment[n];

		if (addr - TEXT_BASE - segment->offset < segment->size)
			return segment->protection & SEGMENT_WRITE;
	}
	return false;
}

int text_module_at(u64 addr)
{
	for (u32 n = 0; n < the_machine->text.nr_modules; n++) {
		struct text_module *module = &the_machine->text.module[n];

		if (addr - READ_STABLE(module->start) < READ_STABLE(module->size))
			return n;
	}
	return -1;
}

bool text_holds_several(u64 addr, size_t length)
{
	return text_insn_at(addr)->length < length &&
	       !compare_bytes(text_alias(addr), text_pristine(addr), length);
}

bool text_is_there(u64 addr)
{
	int module = text_module_at(addr);

	return module < 0 ||
	       READ_ONCE(the_machine->text.module[module].state) == MODULE_LIVE;
}

void text_check_there(u64 addr)
{
	int index = is_made_text(addr) ? -1 : text_module_at(addr);
	const struct text_module *module;

	if (index < 0)
		return;
	module = &the_machine->text.module[index];
	if (unlikely(READ_ONCE(module->state) == MODULE_GONE))
		report_finding(FINDING_FREED_TEXT, &unloaders[index], addr, module->start,
			       module->size);
}

static struct text_module *module_at(int index)
{
	if (index < 0 || index >= (int)the_machine->text.nr_modules)
		return NULL;
	return &the_machine->text.module[index];
}

bool try_module_get(int index)
{
	struct text_module *module = module_at(index);
	bool live;
	u32 flags;

	if (!module)
		return false;
	flags = spin_lock_irqsave(&module_lock);
	live = module->state == MODULE_LIVE;
	if (live)
		module->refs++;
	spin_unlock_irqrestore(&module_lock, flags);
	return live;
}

void module_put(int index)
{
	u32 flags = spin_lock_irqsave(&module_lock);

	module_at(index)->refs--;
	spin_unlock_irqrestore(&module_lock, flags);
}

/* Move a module that nobody holds from one state to the next. */
static int change_state(struct text_module *module, enum module_state from, enum module_state to)
{
	u32 flags = spin_lock_irqsave(&module_lock);
	int error = 0;

	if (module->state != from)
		error = -EINVAL;
	else if (module->refs)
		error = -EBUSY;
	else
		WRITE_ONCE(module->state, to);
	spin_unlock_irqrestore(&module_lock, flags);
	return error;
}

int text_module_unload(int index)
{
	struct text_module *module = module_at(index);
	int error = module ? change_state(module, MODULE_LIVE, MODULE_GOING) : -EINVAL;

	if (error)
		return error;
	kprobes_module_going(index);
	ftrace_release_mod(index);
	record_side(&unloaders[index]);
	machine_text_freed(module->start, module->size);
	return change_state(module, MODULE_GOING, MODULE_GONE);
}

int text_module_load(int index)
{
	struct text_module *module = module_at(index);
	int error = module ? change_state(module, MODULE_GONE, MODULE_COMING) : -EINVAL;

	if (error)
		return error;
	machine_text_allocated(module->start, module->size);
	/* Breakpoints of probes that are gone are still there: the old text was not touched. */
	mutex_lock(&text_mutex);
	for (u64 addr = module->start; addr < module->start + module->size; addr++) {
		if (!is_text_data(addr) && *text_alias(addr) != *text_pristine(addr))
			text_poke(addr, text_pristine(addr), 1);
	}
	sync_each_cpu();
	mutex_unlock(&text_mutex);
	ftrace_module_init(index);
	return change_state(module, MODULE_COMING, MODULE_LIVE);
}
