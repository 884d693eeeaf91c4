#include "rtos.h"

#define SLOTS 16

static os_mutex_t queue_mutex;
static int queue[SLOTS], queued;

int os_send(int message, int ticks)
{
	int sent;

	if (os_mutex_take(&queue_mutex, ticks) < 0)
		return -1;
	sent = queued < SLOTS;
	if (sent)
		queue[queued++] = message;
	os_mutex_give(&queue_mutex);
	return sent ? 0 : -1;
}

/* From an interrupt: nothing is waited for, os_spin_take(&os_kernel_lock) would be too late. */
int os_tick(struct os_task *due)
{
	if (!os_spin_poll(&os_kernel_lock))
		return 0;
	os_ready(due);
	os_spin_give(&os_kernel_lock);
	return 1;
}
