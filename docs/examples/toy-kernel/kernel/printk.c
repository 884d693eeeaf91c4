/* The console. A message is dropped rather than waited for: no spin_lock(&console) in an interrupt. */
#include <toy/printk.h>
#include <toy/spinlock.h>

static DEFINE_SPINLOCK(console);

void put_char(char c);

void printk(const char *text)
{
	if (!spin_trylock(&console))
		return;
	while (*text)
		put_char(*text++);
	spin_unlock(&console);
}

void panic_held_lock(void)
{
	printk("panic: spin_lock(&console) from an interrupt\n");
}
