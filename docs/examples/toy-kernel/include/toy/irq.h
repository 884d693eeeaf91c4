#ifndef TOY_IRQ_H
#define TOY_IRQ_H

unsigned long irq_save(void);
void irq_restore(unsigned long flags);
void irq_disable(void);
void irq_enable(void);

#ifdef CONFIG_SMP
int cpu_id(void);
void send_reschedule(int cpu);
void start_cpu(int cpu);
#else
#define cpu_id() 0
#endif

#endif
