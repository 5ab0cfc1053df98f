// SPDX-License-Identifier: MIT
/* What a published pointer leads to is read after the pointer: an address dependency. */
// expect: held
// expect -D BROKEN=1: violated data-race
// expect -D BROKEN=2: violated data-race
#include <compiler.h>
#include <pthread.h>
#include <stdlib.h>

#ifndef BROKEN
#define BROKEN 0
#endif

struct node {
	int value;
	struct node *next;
};

struct node *head;
int seen, other;

static void *publisher(void *unused)
{
	struct node *second = malloc(sizeof(*second)), *first = malloc(sizeof(*first));

	second->value = 2;
	second->next = NULL;
	first->value = 1;
	first->next = second;
	other = 3;
	if (BROKEN == 1)
		WRITE_ONCE(head, first);
	else
		smp_store_release(&head, first);
	return NULL;
}

static void *reader(void *unused)
{
	struct node *first = READ_ONCE(head);

	if (!first)
		return NULL;
	seen = first->value + first->next->value;
	/* Not reached by the pointer: nothing orders it. */
	if (BROKEN == 2)
		seen = other;
	return NULL;
}

int main(void)
{
	pthread_t one, two;

	pthread_create(&one, NULL, publisher, NULL);
	pthread_create(&two, NULL, reader, NULL);
	pthread_join(one, NULL);
	pthread_join(two, NULL);
	return 0;
}
