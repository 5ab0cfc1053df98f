// SPDX-License-Identifier: MIT
/* The rethook goes after the tracer: until then it is called, and takes nodes from it. */
#include <error.h>
#include <kernel/fprobe.h>

#define NODES_OF_CPU 8        /* calls under way at a time that are noticed */

static void fprobe_handler(u64 ip, u64 parent_ip, struct ftrace_ops *ops,
			   struct ftrace_regs *fregs)
{
	struct fprobe *fp = container_of(ops, struct fprobe, ops);
	struct rethook_node *node = NULL;

	if (fp->rethook) {
		node = rethook_try_get(fp->rethook);
		if (!node) {
			atomic_inc(&fp->nmissed);
			return;
		}
	}
	if (fp->entry_handler)
		fp->entry_handler(fp, ip, fregs);
	if (node)
		rethook_hook(node, ip, fregs);
}

static void fprobe_exit_handler(void *data, u64 ip, u64 result)
{
	struct fprobe *fp = data;

	fp->exit_handler(fp, ip, result);
}

int register_fprobe_ips(struct fprobe *fp, const u64 *ips, u32 count)
{
	int error;

	fp->ops.func = fprobe_handler;
	fp->ops.flags |= FTRACE_OPS_FL_RECURSION | FTRACE_OPS_FL_RCU;
	if (fp->exit_handler) {
		fp->rethook = rethook_alloc(fp, fprobe_exit_handler, NODES_OF_CPU * num_cpus());
		if (!fp->rethook)
			return -ENOMEM;
	}
	error = ftrace_set_filter_ips(&fp->ops, ips, count, true);
	if (!error)
		error = register_ftrace_function(&fp->ops);
	if (!error)
		return 0;
	ftrace_free_filter(&fp->ops);
	if (fp->rethook)
		rethook_free(fp->rethook);
	return error;
}

int unregister_fprobe(struct fprobe *fp)
{
	int error;

	if (fp->rethook)
		rethook_stop(fp->rethook);
	error = unregister_ftrace_function(&fp->ops);
	if (error)
		return error;
	if (fp->rethook)
		rethook_free(fp->rethook);
	ftrace_free_filter(&fp->ops);
	return 0;
}
