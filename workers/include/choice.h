/* SPDX-License-Identifier: MIT */
/* Data that nothing in the program decides: the explorer tries all of it. */
#ifndef WORKERS_CHOICE_H
#define WORKERS_CHOICE_H

#include <shm_layout/types.h>

/**
 * explore_choice() - any value below @options
 * @options: how many there are; 0 is taken for 1
 *
 * What comes from outside: an input, the result of an allocation that may fail, what a
 * device answers. An exhaustive search explores the program with each of the values, a
 * sample draws one, and a schedule says which it was. What INIT and FINAL_CHECK ask for,
 * of which there is one run, is 0.
 *
 * Bare hardware has no explorer, and nobody who would try all values: a pthread program
 * that is also to run there brings a function of this name along, under a macro of its
 * own, that draws the value (rand() % options) or always returns 0, the default.
 *
 * Context: any explored code; no operation that others could notice.
 */
u32 explore_choice(u32 options);

#endif
