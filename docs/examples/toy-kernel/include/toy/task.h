#ifndef TOY_TASK_H
#define TOY_TASK_H

#include <toy/spinlock.h>

enum task_state { TASK_RUNNING, TASK_SLEEPING, TASK_DEAD };

struct task {
	int pid;
	enum task_state state;
	int ticks;
	spinlock_t lock;		/* state, ticks */
	struct task *next;		/* in a run queue or behind a semaphore */
#ifdef CONFIG_SMP
	int cpu;
#endif
};

#define task_lock(t)	spin_lock(&(t)->lock)
#define task_unlock(t)	spin_unlock(&(t)->lock)

struct runqueue {
	spinlock_t lock;
	struct task *first;
	int length;
	int need_resched;
};

extern struct runqueue runqueues[NR_CPUS];
extern struct task *current_task[NR_CPUS];

#define this_rq()	(&runqueues[cpu_id()])
#define current		(current_task[cpu_id()])

/* Lock the run queue of a task, wherever the task is. */
static inline struct runqueue *task_rq_lock(struct task *t)
{
#ifdef CONFIG_SMP
	struct runqueue *rq = &runqueues[t->cpu];
#else
	struct runqueue *rq = &runqueues[0];
#endif
	(void)t;
	spin_lock(&rq->lock);
	return rq;
}

static inline void task_rq_unlock(struct runqueue *rq)
{
	spin_unlock(&rq->lock);
}

void schedule(void);
void wake_up(struct task *t);
void sleep_on(struct task **queue, spinlock_t *lock);
void switch_to(struct task *from, struct task *to);

#endif
