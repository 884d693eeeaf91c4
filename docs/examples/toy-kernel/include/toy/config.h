/* The build's choices: CONFIG_SMP and CONFIG_PREEMPT come from the compiler's command line. */
#ifndef TOY_CONFIG_H
#define TOY_CONFIG_H

#ifndef NR_CPUS
#ifdef CONFIG_SMP
#define NR_CPUS 8
#else
#define NR_CPUS 1
#endif
#endif

#define NULL ((void *)0)
#define HZ 100

typedef unsigned long size_t;

#endif
