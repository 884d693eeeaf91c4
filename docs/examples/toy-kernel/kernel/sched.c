/*
 * The scheduler: one run queue for each processor, taken in turn.
 */
#include <toy/task.h>

struct runqueue runqueues[NR_CPUS];
struct task *current_task[NR_CPUS];

static void enqueue(struct runqueue *rq, struct task *t)
{
	struct task **end = &rq->first;

	while (*end)
		end = &(*end)->next;
	t->next = NULL;
	*end = t;
	rq->length++;
}

static struct task *dequeue(struct runqueue *rq)
{
	struct task *t = rq->first;

	if (t) {
		rq->first = t->next;
		rq->length--;
	}
	return t;
}

#ifdef CONFIG_SMP
/* Two run queues are locked in the order of their addresses, so that no two processors wait for each other. */
static void lock_two(struct runqueue *one, struct runqueue *other)
{
	if (one < other) {
		spin_lock(&one->lock);
		spin_lock(&other->lock);
	} else {
		spin_lock(&other->lock);
		spin_lock(&one->lock);
	}
}

static struct runqueue *busiest(void)
{
	struct runqueue *found = this_rq();
	int cpu;

	for (cpu = 0; cpu < NR_CPUS; cpu++)
		if (runqueues[cpu].length > found->length)
			found = &runqueues[cpu];
	return found;
}

static void balance(void)
{
	struct runqueue *mine = this_rq();
	struct runqueue *from = busiest();
	struct task *t;

	if (from == mine)
		return;
	lock_two(mine, from);
	t = dequeue(from);
	if (t) {
		t->cpu = cpu_id();
		enqueue(mine, t);
	}
	spin_unlock(&from->lock);
	spin_unlock(&mine->lock);
}
#endif

void schedule(void)
{
	struct runqueue *rq = this_rq();
	struct task *before = current;
	struct task *next;

#ifdef CONFIG_SMP
	if (!rq->length)
		balance();
#endif
	spin_lock(&rq->lock);
	rq->need_resched = 0;
	if (before->state == TASK_RUNNING)
		enqueue(rq, before);
	next = dequeue(rq);
	spin_unlock(&rq->lock);
	if (next && next != before) {
		current = next;
		switch_to(before, next);
	}
}

void wake_up(struct task *t)
{
	struct runqueue *rq = task_rq_lock(t);

	if (t->state == TASK_SLEEPING) {
		t->state = TASK_RUNNING;
		enqueue(rq, t);
		rq->need_resched = 1;
#ifdef CONFIG_SMP
		if (t->cpu != cpu_id())
			send_reschedule(t->cpu);
#endif
	}
	task_rq_unlock(rq);
}

/* Sleep in `queue`, whose lock is held by the caller and dropped meanwhile. */
void sleep_on(struct task **queue, spinlock_t *lock)
{
	struct task *me = current;

	task_lock(me);
	me->state = TASK_SLEEPING;
	task_unlock(me);
	me->next = *queue;
	*queue = me;
	spin_unlock(lock);
	schedule();
	spin_lock(lock);
}

void tick(void)
{
	struct runqueue *rq = this_rq();

	task_lock(current);
	if (--current->ticks <= 0) {
		current->ticks = HZ / 10;
		rq->need_resched = 1;
	}
	task_unlock(current);
#ifdef CONFIG_PREEMPT
	if (rq->need_resched)
		schedule();
#endif
}
