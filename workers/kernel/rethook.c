// SPDX-License-Identifier: MIT
/*
 * Calls under way are a list of their task's, the innermost first: an interrupt has taken out
 * what it put there before it returns. Who frees a rethook leaves the nodes of such calls; each
 * is freed when its call returns, and the last one frees the rethook.
 */
#include <finding.h>
#include <kernel/ftrace_trampoline.h>
#include <kernel/rcu.h>
#include <kernel/rethook.h>
#include <kernel/slab.h>

static struct rethook_node *calls[MAX_TASKS]; /* by task; NULL = none.  The task alone */

static void put_in_pool(struct rethook *rethook, struct rethook_node *node)
{
	node->next = rethook->pool;
	rethook->pool = node;
}

struct rethook *rethook_alloc(void *data, rethook_handler_t handler, u32 nodes)
{
	struct rethook *rethook = kzalloc(sizeof(*rethook), GFP_KERNEL);

	if (!rethook)
		return NULL;
	rethook->data = data;
	rethook->handler = handler;
	for (; rethook->nodes < nodes; rethook->nodes++) {
		struct rethook_node *node = kzalloc(sizeof(*node), GFP_KERNEL);

		if (!node) {
			rethook_free(rethook);
			return NULL;
		}
		node->rethook = rethook;
		put_in_pool(rethook, node);
	}
	return rethook;
}

void rethook_stop(struct rethook *rethook)
{
	WRITE_ONCE(rethook->handler, NULL);
}

void rethook_free(struct rethook *rethook)
{
	struct rethook_node *node, *next;
	u32 flags, left;

	rethook_stop(rethook);
	/* Who has seen the handler has called it, or taken a node. */
	synchronize_rcu();
	flags = spin_lock_irqsave(&rethook->lock);
	node = rethook->pool;
	rethook->pool = NULL;
	for (next = node; next; next = next->next)
		rethook->nodes--;
	left = rethook->nodes;
	spin_unlock_irqrestore(&rethook->lock, flags);
	for (; node; node = next) {
		next = node->next;
		kfree(node);
	}
	if (!left)
		kfree(rethook);
}

struct rethook_node *rethook_try_get(struct rethook *rethook)
{
	struct rethook_node *node;
	u32 flags;

	if (!READ_ONCE(rethook->handler))
		return NULL;
	flags = spin_lock_irqsave(&rethook->lock);
	node = rethook->pool;
	if (node)
		rethook->pool = node->next;
	spin_unlock_irqrestore(&rethook->lock, flags);
	return node;
}

void rethook_hook(struct rethook_node *node, u64 ip, struct ftrace_regs *fregs)
{
	/* Behind the registers: where the trampoline returns to, and where the function does. */
	u64 *ret_addr = (u64 *)(fregs + 1) + 1;
	struct rethook_node **innermost = &calls[current->index];

	node->ip = ip;
	node->ret_addr = *ret_addr;
	node->outer = *innermost;
	*innermost = node;
	*ret_addr = ftrace_text.rethook;
}

/* Back into the pool; if there is none any more, who is last leaves nothing. */
static void recycle(struct rethook_node *node)
{
	struct rethook *rethook = node->rethook;
	u32 flags = spin_lock_irqsave(&rethook->lock);
	bool pooled = READ_ONCE(rethook->handler), last = false;

	if (pooled)
		put_in_pool(rethook, node);
	else
		last = !--rethook->nodes;
	spin_unlock_irqrestore(&rethook->lock, flags);
	if (!pooled)
		kfree(node);
	if (last)
		kfree(rethook);
}

u64 rethook_trampoline_handler(u64 result)
{
	struct rethook_node **innermost = &calls[current->index], *node = *innermost;
	rethook_handler_t handler;
	u64 ret_addr;

	if (!node)
		report_finding(FINDING_BAD_STATE, NULL, ftrace_text.rethook, 0, 1);
	preempt_disable();
	handler = READ_ONCE(node->rethook->handler);
	if (handler)
		handler(node->rethook->data, node->ip, result);
	ret_addr = node->ret_addr;
	*innermost = node->outer;
	recycle(node);
	preempt_enable();
	return ret_addr;
}
