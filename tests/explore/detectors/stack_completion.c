// SPDX-License-Identifier: MIT
/* A request on the stack of who waits for it: it must stay until the other is done with it. */
// expect: held
// expect -D BROKEN: violated use-after-free
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

struct request {
	atomic_int done;
	atomic_int answers;
};

static void __VERIFIER_assume(int condition);

_Atomic(struct request *) pending;

static void *server(void *unused)
{
	struct request *request = atomic_load(&pending);

	__VERIFIER_assume(request != NULL);
#ifdef BROKEN
	atomic_store(&request->done, 1);
	/* The other may have gone on, and its frame with it. */
	atomic_fetch_add(&request->answers, 1);
#else
	atomic_fetch_add(&request->answers, 1);
	atomic_store(&request->done, 1);
#endif
	return NULL;
}

static __attribute__((noinline)) void ask(void)
{
	struct request request = { 0, 0 };

	atomic_store(&pending, &request);
	/* In the place of a loop: there is no run in which it is not done yet. */
	__VERIFIER_assume(atomic_load(&request.done));
}

static void *client(void *unused)
{
	ask();
	atomic_store(&pending, NULL);
	return NULL;
}

int main(void)
{
	pthread_t one, two;

	pthread_create(&one, NULL, server, NULL);
	pthread_create(&two, NULL, client, NULL);
	pthread_join(one, NULL);
	pthread_join(two, NULL);
	return 0;
}
