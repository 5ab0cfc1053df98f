// SPDX-License-Identifier: MIT
/* A reference-counted object: who drops the last reference frees it. */
// expect: held
// expect -D USE_AFTER_FREE: violated use-after-free
// expect -D DOUBLE_FREE: violated double-free
// expect -D OVERRUN: violated overrun
// expect -D UNDERRUN: violated overrun
// expect -D LEAK: violated leak
// expect -D BAD_FREE: violated bad-free
// expect -D COPIED_OVERRUN: violated overrun
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct object {
	atomic_int references;
	int value[3];
	char name[10];
};

static void put(struct object *it)
{
#ifdef LEAK
	int left = atomic_load(&it->references) - 1;

	/* Two may see the same count. */
	atomic_store(&it->references, left);
#else
	int left = atomic_fetch_sub(&it->references, 1) - 1;
#endif
	if (!left)
		free(it);
}

static void *user(void *unused)
{
	struct object *it = unused;

	put(it);
#ifdef USE_AFTER_FREE
	atomic_load(&it->references);
#endif
	return NULL;
}

int main(void)
{
	pthread_t one, two;
	struct object *it = malloc(sizeof(*it));
	char *bytes = malloc(21);

	atomic_store(&it->references, 2);
	memset(it->value, 0, sizeof(it->value));
	strcpy(it->name, "a name");
	memset(bytes, 1, 21);
#ifdef OVERRUN
	bytes[21] = 1;
#endif
#ifdef UNDERRUN
	bytes[-1] = 1;
#endif
#ifdef COPIED_OVERRUN
	memcpy(bytes, "one more than there is", 22);
#endif
	bytes = realloc(bytes, 30);
	if (bytes[20] != 1)
		return 1;
#ifdef BAD_FREE
	free(bytes + 1);
#endif
	free(bytes);
	pthread_create(&one, NULL, user, it);
	pthread_create(&two, NULL, user, it);
	pthread_join(one, NULL);
	pthread_join(two, NULL);
#ifdef DOUBLE_FREE
	free(it);
#endif
	return 0;
}
