/* The clock, read far more often than it is set: a sequence lock. */
#include <toy/seqlock.h>

static seqlock_t clock_lock;
static unsigned long seconds, fraction;

void clock_tick(void)
{
	write_seqlock(&clock_lock);
	if (++fraction == HZ) {
		fraction = 0;
		seconds++;
	}
	write_sequnlock(&clock_lock);
}

unsigned long clock_now(void)
{
	unsigned long now;
	unsigned start;

	do {
		start = read_seqbegin(&clock_lock);
		now = seconds * HZ + fraction;
	} while (read_seqretry(&clock_lock, start));
	return now;
}

unsigned read_seqbegin(const seqlock_t *lock)
{
	unsigned now = lock->sequence;

	while (now & 1)
		now = lock->sequence;
	return now;
}

int read_seqretry(const seqlock_t *lock, unsigned start)
{
	return lock->sequence != start;
}

void write_seqlock(seqlock_t *lock)
{
	spin_lock(&lock->lock);
	lock->sequence++;
}

void write_sequnlock(seqlock_t *lock)
{
	lock->sequence++;
	spin_unlock(&lock->lock);
}
