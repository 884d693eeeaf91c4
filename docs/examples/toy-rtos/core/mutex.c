#include "rtos.h"

int os_mutex_take(os_mutex_t *mutex, int ticks)
{
	os_spin_take(&mutex->guard);
	if (mutex->taken && ticks == 0) {
		os_spin_give(&mutex->guard);
		return -1;
	}
	while (mutex->taken) {
		os_spin_give(&mutex->guard);
		os_spin_take(&os_kernel_lock);
		os_block(&mutex->waiting, ticks);
		os_spin_give(&os_kernel_lock);
		os_spin_take(&mutex->guard);
	}
	mutex->taken = 1;
	os_spin_give(&mutex->guard);
	return 0;
}

void os_mutex_give(os_mutex_t *mutex)
{
	struct os_task *first;

	os_spin_take(&mutex->guard);
	mutex->taken = 0;
	first = mutex->waiting;
	if (first)
		mutex->waiting = first->next;
	os_spin_give(&mutex->guard);
	if (first) {
		OS_ENTER();
		os_ready(first);
		OS_LEAVE();
	}
}
