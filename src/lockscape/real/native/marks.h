/* What the guest marks, and what the plugin lockstep.c understands: the number of a long NOP,
 * MAGIC << 16 | kind | code. */
#ifndef LOCKSCAPE_MARKS_H
#define LOCKSCAPE_MARKS_H

enum {
    MAGIC = 0x4c53, /* "LS" */
    MARK_KIND = 0x100,
    MARK_REGION = 0x100, /* code 0: what is measured begins; 1: it ends */
    MARK_CALL = 0x200,   /* a system call of kind `code` begins ... */
    MARK_RETURN = 0x300, /* ... and has returned */
    MARK_PHASE = 0x400,  /* a process has come to mark `code` of its stream */
    CALLS = 32           /* kinds of calls */
};

/* Execute a mark; its kind and code must be constants. The operand is not accessed. */
#define MARK(kind, code)                                                                                      \
    __asm__ volatile(".byte 0x0f, 0x1f, 0x80; .long %c0" : : "i"(MAGIC << 16 | (kind) | (code)) : "memory")

#endif
