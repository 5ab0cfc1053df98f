// SPDX-License-Identifier: MIT
/* A completion may be freed as soon as its waiter has returned. */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/slab.h>

struct job {
	struct completion done;
	u64 result;
};

static struct job *job;

INIT
{
	job = kzalloc(sizeof(*job), GFP_KERNEL);
	init_completion(&job->done);
}

TASK(0, waiter)
{
	wait_for_completion(&job->done);
	claim(job->result == 42, job->result);
	kfree(job);
}

TASK(1, worker)
{
	job->result = 42;
	complete(&job->done);
}
