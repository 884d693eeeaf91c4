/* Only in multiprocessor builds: obj-$(CONFIG_SMP) += smp.o */
#include <toy/task.h>

static DEFINE_SPINLOCK(boot_lock);
static int cpus_online = 1;

void cpu_is_up(void)
{
	spin_lock(&boot_lock);
	cpus_online++;
	spin_unlock(&boot_lock);
	schedule();
}

void boot_others(void)
{
	int cpu;

	for (cpu = 1; cpu < NR_CPUS; cpu++)
		start_cpu(cpu);
}
