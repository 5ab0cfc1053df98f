// SPDX-License-Identifier: MIT
/* Python's requests: an interrupt wakes the task of CPU 0 that serves them in order. */
#include <error.h>
#include <kernel/kthread.h>
#include <kernel/request.h>

static struct task_struct *server;

void request_interrupt(void)
{
	if (server)
		wake_up_process(server);
}

static s64 serve(const struct request *request)
{
	const u64 *a = request->args;

	switch (request->op) {
	case REQUEST_CALL:
		return ((s64 (*)(u64, u64, u64, u64, u64))a[0])(a[1], a[2], a[3], a[4], a[5]);
	case REQUEST_TEXT_CALL:
		return ((s64 (*)(u64, u64))a[0])(a[1], a[2]);
	case REQUEST_SPAWN: {
		struct task_struct *task = (a[4] ? user_task_run : kthread_run)(
			a[0], (s64 (*)(void *))a[1], (void *)a[2], (const char *)a[3]);

		return task ? (s64)task->index : -EAGAIN;
	}
	default:
		return -EINVAL;
	}
}

static bool requests_pending(void)
{
	for (u32 n = 0; n < MAX_REQUESTS; n++) {
		if (READ_ONCE(the_machine->request[n].state) == REQUEST_READY)
			return true;
	}
	return false;
}

static void serve_ready(void)
{
	for (u32 n = 0; n < MAX_REQUESTS; n++) {
		struct request *request = &the_machine->request[n];

		if (smp_load_acquire(&request->state) != REQUEST_READY)
			continue;
		request->result = serve(request);
		smp_store_release(&request->state, REQUEST_DONE);
		machine_notify();
	}
}

static s64 request_server(void *unused)
{
	while (!kthread_should_stop()) {
		struct wait_note before;

		set_current_blocked();
		if (requests_pending()) {
			set_current_running();
			serve_ready();
			continue;
		}
		before = wait_begin(WAIT_WORK, NULL, 0);
		schedule();
		wait_end(before);
	}
	return 0;
}

void request_init(void)
{
	server = kthread_run(0, request_server, NULL, "requests");
}
