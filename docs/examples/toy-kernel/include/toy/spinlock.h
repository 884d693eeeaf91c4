/*
 * Spin locks. On a uniprocessor they only mask interrupts: spin_lock(&lock) costs nothing there.
 */
#ifndef TOY_SPINLOCK_H
#define TOY_SPINLOCK_H

#include <toy/config.h>
#include <toy/irq.h>

#ifdef CONFIG_SMP

typedef struct {
	volatile int held;
} spinlock_t;

#define SPIN_LOCK_INIT { 0 }

static inline int spin_trylock(spinlock_t *lock)
{
	return !__sync_lock_test_and_set(&lock->held, 1);
}

static inline void spin_lock(spinlock_t *lock)
{
	while (!spin_trylock(lock))
		while (lock->held)
			;
}

static inline void spin_unlock(spinlock_t *lock)
{
	__sync_lock_release(&lock->held);
}

#else

typedef struct {
} spinlock_t;

#define SPIN_LOCK_INIT { }
#define spin_trylock(lock) ((void)(lock), 1)
#define spin_lock(lock) ((void)(lock))
#define spin_unlock(lock) ((void)(lock))

#endif

#define DEFINE_SPINLOCK(name) spinlock_t name = SPIN_LOCK_INIT

#define spin_lock_irqsave(lock, flags) \
	do { \
		flags = irq_save(); \
		spin_lock(lock); \
	} while (0)

#define spin_unlock_irqrestore(lock, flags) \
	do { \
		spin_unlock(lock); \
		irq_restore(flags); \
	} while (0)

#endif
