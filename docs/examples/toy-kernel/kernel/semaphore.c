/* Semaphores: what a task may hold while it sleeps. */
#include <toy/semaphore.h>
#include <toy/task.h>

void sema_init(struct semaphore *sem, int count)
{
	sem->count = count;
	sem->waiting = NULL;
}

void down(struct semaphore *sem)
{
	unsigned long flags;

	spin_lock_irqsave(&sem->lock, flags);
	while (sem->count == 0)
		sleep_on(&sem->waiting, &sem->lock);
	sem->count--;
	spin_unlock_irqrestore(&sem->lock, flags);
}

int down_trylock(struct semaphore *sem)
{
	unsigned long flags;
	int failed;

	spin_lock_irqsave(&sem->lock, flags);
	failed = sem->count == 0;
	if (!failed)
		sem->count--;
	spin_unlock_irqrestore(&sem->lock, flags);
	return failed;
}

void up(struct semaphore *sem)
{
	struct task *first;
	unsigned long flags;

	spin_lock_irqsave(&sem->lock, flags);
	sem->count++;
	first = sem->waiting;
	if (first)
		sem->waiting = first->next;
	spin_unlock_irqrestore(&sem->lock, flags);
	if (first)
		wake_up(first);
}
