/* Free pages in one list. */
#include <toy/mm.h>
#include <toy/spinlock.h>

#define PAGE_BYTES 4096

struct free_page {
	struct free_page *next;
};

static DEFINE_SPINLOCK(page_lock);
static struct free_page *free_pages;

#ifdef CONFIG_SMP
#define KEPT 16
/* A few pages for each processor, which need no lock: only interrupts are masked. */
static struct free_page *kept[NR_CPUS];
static int kept_pages[NR_CPUS];
#endif

void *alloc_page(void)
{
	struct free_page *page;
	unsigned long flags;

#ifdef CONFIG_SMP
	flags = irq_save();
	page = kept[cpu_id()];
	if (page) {
		kept[cpu_id()] = page->next;
		kept_pages[cpu_id()]--;
	}
	irq_restore(flags);
	if (page)
		return page;
#endif
	spin_lock_irqsave(&page_lock, flags);
	page = free_pages;
	if (page)
		free_pages = page->next;
	spin_unlock_irqrestore(&page_lock, flags);
	return page;
}

void free_page(void *start)
{
	struct free_page *page = start;
	unsigned long flags;

#ifdef CONFIG_SMP
	flags = irq_save();
	if (kept_pages[cpu_id()] < KEPT) {
		page->next = kept[cpu_id()];
		kept[cpu_id()] = page;
		kept_pages[cpu_id()]++;
		irq_restore(flags);
		return;
	}
	irq_restore(flags);
#endif
	spin_lock_irqsave(&page_lock, flags);
	page->next = free_pages;
	free_pages = page;
	spin_unlock_irqrestore(&page_lock, flags);
}

void add_memory(void *start, size_t pages)
{
	char *at = start;

	while (pages--) {
		free_page(at);
		at += PAGE_BYTES;
	}
}
