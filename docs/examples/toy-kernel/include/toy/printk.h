#ifndef TOY_PRINTK_H
#define TOY_PRINTK_H

void printk(const char *text);

#endif
