/* Inodes in memory: a hash table under one lock, and a semaphore for each inode. */
#include <toy/fs.h>
#include <toy/mm.h>

#define CHAINS 64

static DEFINE_SPINLOCK(inode_lock);
static struct inode *chains[CHAINS];

static struct inode *find(unsigned long number)
{
	struct inode *inode = chains[number % CHAINS];

	while (inode && inode->number != number)
		inode = inode->next;
	return inode;
}

struct inode *get_inode(unsigned long number)
{
	struct inode *fresh, *inode;

	spin_lock(&inode_lock);
	inode = find(number);
	if (inode)
		inode->users++;
	spin_unlock(&inode_lock);
	if (inode)
		return inode;

	fresh = alloc_page();		/* may sleep one day: not under the lock */
	if (!fresh)
		return NULL;
	sema_init(&fresh->busy, 1);
	fresh->number = number;
	fresh->users = 1;
	spin_lock(&inode_lock);
	inode = find(number);
	if (inode) {			/* somebody was quicker */
		inode->users++;
	} else {
		fresh->next = chains[number % CHAINS];
		chains[number % CHAINS] = fresh;
	}
	spin_unlock(&inode_lock);
	if (!inode)
		return fresh;
	free_page(fresh);
	return inode;
}

void put_inode(struct inode *inode)
{
	spin_lock(&inode_lock);
	inode->users--;
	spin_unlock(&inode_lock);
}

long read_inode(struct inode *inode, size_t at, char *to, size_t bytes)
{
	char *data;
	size_t done;

	down(&inode->busy);
	data = read_block(inode->number + at / BLOCK_BYTES);
	if (!data) {
		up(&inode->busy);
		return -1;
	}
	for (done = 0; done < bytes && at + done < inode->size; done++)
		to[done] = data[(at + done) % BLOCK_BYTES];
	release_block(data);
	up(&inode->busy);
	return (long)done;
}
