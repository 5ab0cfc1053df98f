// SPDX-License-Identifier: MIT
/* What can still be found at the end is not lost: a list that a global leads to. */
// expect: held
// expect -D BROKEN: violated leak
#include <stdlib.h>

struct node {
	struct node *next;
};

struct node *head;

int main(void)
{
	for (int n = 0; n < 3; n++) {
		struct node *node = malloc(sizeof(*node));

		node->next = head;
		head = node;
	}
#ifdef BROKEN
	head = head->next;
#endif
	return 0;
}
