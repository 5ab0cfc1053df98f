// SPDX-License-Identifier: MIT
/* A program that does nothing. For testbed bench explore: what it costs to begin and end a run. */
int main(void)
{
	return 0;
}
