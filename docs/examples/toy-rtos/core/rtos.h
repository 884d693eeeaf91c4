/* A small real-time kernel with lock names of its own. */
#ifndef RTOS_H
#define RTOS_H

typedef struct { volatile int owner; } os_spin_t;
typedef struct { os_spin_t guard; int taken; struct os_task *waiting; } os_mutex_t;

struct os_task {
	int priority;
	struct os_task *next;
};

extern os_spin_t os_kernel_lock;

void os_spin_take(os_spin_t *lock);
int os_spin_poll(os_spin_t *lock);
void os_spin_give(os_spin_t *lock);

int os_mutex_take(os_mutex_t *mutex, int ticks);
void os_mutex_give(os_mutex_t *mutex);

void os_ready(struct os_task *task);
void os_block(struct os_task **queue, int ticks);

#define OS_ENTER() os_spin_take(&os_kernel_lock)
#define OS_LEAVE() os_spin_give(&os_kernel_lock)

#endif
