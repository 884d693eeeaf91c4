#ifndef TOY_FS_H
#define TOY_FS_H

#include <toy/semaphore.h>

#define BLOCK_BYTES 1024

struct inode {
	unsigned long number;
	int users;
	size_t size;
	struct semaphore busy;		/* held across reads of blocks, so it may sleep */
	struct inode *next;		/* in its hash chain */
};

struct inode *get_inode(unsigned long number);
void put_inode(struct inode *inode);
long read_inode(struct inode *inode, size_t at, char *to, size_t bytes);

void *read_block(unsigned long block);
void release_block(void *data);

#endif
