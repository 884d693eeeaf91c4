#ifndef TOY_SEQLOCK_H
#define TOY_SEQLOCK_H

#include <toy/spinlock.h>

typedef struct {
	volatile unsigned sequence;
	spinlock_t lock;
} seqlock_t;

unsigned read_seqbegin(const seqlock_t *lock);
int read_seqretry(const seqlock_t *lock, unsigned start);
void write_seqlock(seqlock_t *lock);
void write_sequnlock(seqlock_t *lock);

#endif
