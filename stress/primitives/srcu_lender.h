/* SPDX-License-Identifier: MIT */
/* A section of SRCU that one task enters for another one, and who waits for its end. */
#ifndef STRESS_PRIMITIVES_SRCU_LENDER_H
#define STRESS_PRIMITIVES_SRCU_LENDER_H

#include <explore.h>
#include <kernel/slab.h>
#include <kernel/srcu.h>

DEFINE_STATIC_SRCU(domain);

static u64 *shared;
static const u64 *lent;       /* the borrower's, with phase, once it is told */
static u32 phase;

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
}

static void lend(void)
{
	phase = srcu_down_read(&domain);
	lent = srcu_dereference(shared, &domain);
}

static void update(void)
{
	u64 *old = shared;

	WRITE_ONCE(shared, NULL);
	synchronize_srcu(&domain);
	kfree(old);
}

#endif
