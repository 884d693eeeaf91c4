#ifndef TOY_MM_H
#define TOY_MM_H

#include <toy/config.h>

void *alloc_page(void);
void free_page(void *page);
void add_memory(void *start, size_t pages);

#endif
