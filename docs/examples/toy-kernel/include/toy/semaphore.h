#ifndef TOY_SEMAPHORE_H
#define TOY_SEMAPHORE_H

#include <toy/spinlock.h>

struct task;

struct semaphore {
	spinlock_t lock;
	int count;
	struct task *waiting;
};

void sema_init(struct semaphore *sem, int count);
void down(struct semaphore *sem);
int down_trylock(struct semaphore *sem);
void up(struct semaphore *sem);

#endif
