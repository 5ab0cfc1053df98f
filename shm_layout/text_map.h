/* SPDX-License-Identifier: MIT */
/*
 * What Python's decoder knows of the text: C consults this, and owns no decoder.
 *
 * Written by Python before boot, read-only afterwards, except the reference
 * counts and states of modules.
 */
#ifndef SHM_LAYOUT_TEXT_MAP_H
#define SHM_LAYOUT_TEXT_MAP_H

#include "types.h"

#define MAX_TEXT_MODULES 8
#define MAX_TEXT_SEGMENTS 32
#define MAX_INSN_LENGTH 15

/* How a probed instruction can be made to happen without running it in place. */
enum insn_class {
	INSN_NONE,            /* no instruction starts here */
	INSN_STEP,            /* copy to a slot and run it there */
	INSN_CALL_REL,        /* call rel32 */
	INSN_JMP_REL,         /* jmp rel8, rel32 */
	INSN_JCC,             /* jcc rel8, rel32: condition in insn->condition */
	INSN_LOOP,            /* loopne, loope, loop, jrcxz: condition 0 to 3 */
	INSN_CALL_REG,        /* call reg: register in insn->condition */
	INSN_JMP_REG,         /* jmp reg: register in insn->condition */
	INSN_RET,             /* ret, ret imm16 (in insn->target) */
	INSN_PUSHF,           /* pushf */
	INSN_POPF,            /* popf */
	INSN_REFUSED,         /* far, int3, iret, call/jmp through memory: -EOPNOTSUPP */
	INSN_CLASSES
};

#define INSN_BOOSTABLE 0x01   /* the copy may run with a jump behind it */
#define INSN_RIP_RELATIVE 0x02 /* offset of its disp32 in insn->target */
#define INSN_LAST 0x04        /* last instruction of its function */
#define INSN_NOP 0x08         /* does nothing: a site for text_poke */
#define INSN_PATCHABLE 0x10   /* a nop5 that the harness may turn into jmp or call */
#define INSN_VECTOR 0x20      /* uses vector or x87 registers */
#define INSN_MEMORY 0x40      /* accesses memory: INSN_STEP has the operand in insn->target */

/*
 * The memory operand of INSN_STEP, unless it is RIP-relative. Registers are 0..15, or
 * OPERAND_NONE. An operand that does not fit, or more than one, has OPERAND_UNKNOWN bytes.
 */
#define OPERAND_BASE(target) ((u32)(target) & 31)
#define OPERAND_INDEX(target) ((u32)(target) >> 5 & 31)
#define OPERAND_SCALE(target) ((u32)(target) >> 10 & 3)   /* shift */
#define OPERAND_SIZE(target) ((u32)(target) >> 12 & 7)    /* shift; bytes */
#define OPERAND_READ 0x8000
#define OPERAND_WRITE 0x10000
#define OPERAND_DISPLACEMENT(target) ((s32)(target) >> 17)
#define OPERAND_NONE 31
#define OPERAND_UNKNOWN 7

/* One per byte of text; length 0 = not an instruction boundary. */
struct text_insn {
	u8 length;            /* bytes */
	u8 class;             /* enum insn_class */
	u8 flags;             /* INSN_* flags */
	u8 condition;         /* condition code 0..15, or register number 0..15 (rax..r15);
				 refused: 1 = a near jump through memory */
	s32 target;           /* branches: displacement from the next instruction;
				 ret: bytes to pop; RIP-relative: offset of disp32 in the insn;
				 INSN_MEMORY: the operand */
};

static_assert(sizeof(struct text_insn) == 8, "eight bytes per byte of text");

#define FUNCTION_NOPROBE 0x01 /* on the blacklist */
#define FUNCTION_ASSEMBLED 0x02 /* one of ours, u64 f(u64, u64) */
#define FUNCTION_TRACED 0x04 /* begins with a nop of five bytes, for tracers */

struct text_function {
	char name[48];        /* NUL-terminated */
	u64 addr;             /* address as it runs */
	u32 size;             /* bytes */
	u16 flags;            /* FUNCTION_* */
	u16 module;           /* index into text.module */
};

/* LIVE -> GOING -> GONE -> COMING -> LIVE; under the text module lock. */
enum module_state { MODULE_NONE, MODULE_LIVE, MODULE_GOING, MODULE_GONE, MODULE_COMING };

struct text_module {
	char name[48];
	u64 start;            /* address as it runs */
	u64 size;             /* bytes */
	u32 state;            /* enum module_state */
	s32 refs;             /* who holds it; under the same lock */
};

#define SEGMENT_WRITE 0x2
#define SEGMENT_EXEC 0x4

/* A page-aligned run of the text region that has one protection. */
struct text_segment {
	u64 offset;           /* bytes from TEXT_BASE */
	u64 size;             /* bytes, whole pages */
	u64 protection;       /* SEGMENT_* flags; read is implied */
};

struct text {
	u64 size;             /* bytes of the region, whole pages */
	u64 trampolines_offset; /* room for trampolines: bytes from TEXT_BASE */
	u64 trampolines_size; /* bytes; executable, written at run time */
	u64 slots_offset;     /* instruction slots: bytes from TEXT_BASE */
	u64 slots_size;       /* bytes; executable, written at run time */
	u32 nr_functions;
	u32 nr_modules;
	u32 nr_segments;
	u32 pad;
	struct text_segment segment[MAX_TEXT_SEGMENTS];
	struct text_module module[MAX_TEXT_MODULES]; /* constant up to here */
};

#endif
