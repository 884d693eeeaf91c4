/*
 * The system calls of the worker, in two forms. All return what the kernel does: a result, or -errno.
 *
 * HOSTED (the default): through the C library, so with the calls that the host's programs make.
 * FREESTANDING (defined before inclusion, or with -DFREESTANDING): raw calls of x86-64 (syscall) and i386
 * (int $0x80), without a header or a library:
 *
 *     cc -O2 -ffreestanding -nostdlib -static -fno-stack-protector -fno-pie -no-pie [-m32] ...
 *
 * Only calls that Linux has had since 2.4 on both (and, but for one, since 2.0 on i386), with numbers and structures that never changed (those of
 * arch/x86/entry/syscalls and of asm/stat.h): such a program runs from 2.0 to now. Its includer defines _start.
 */
#ifndef LOCKSCAPE_CALLS_H
#define LOCKSCAPE_CALLS_H

typedef unsigned int u32;

struct file_status {
    u32 block_bytes; /* st_blksize */
    u32 size_bytes;
};

#ifndef FREESTANDING

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static long or_errno(long result) { return result < 0 ? -(long)errno : result; }

static long sys_open(const char *path, int flags, int mode) { return or_errno(open(path, flags, mode)); }
static long sys_close(int fd) { return or_errno(close(fd)); }
static long sys_read(int fd, void *to, u32 bytes) { return or_errno(read(fd, to, bytes)); }
static long sys_write(int fd, const void *from, u32 bytes) { return or_errno(write(fd, from, bytes)); }
static long sys_lseek(int fd, long offset, int origin) { return or_errno(lseek(fd, offset, origin)); }
static long sys_unlink(const char *path) { return or_errno(unlink(path)); }
static long sys_mkdir(const char *path, int mode) { return or_errno(mkdir(path, mode)); }
static long sys_rmdir(const char *path) { return or_errno(rmdir(path)); }

static long sys_fstat(int fd, struct file_status *status)
{
    struct stat found;
    long result = or_errno(fstat(fd, &found));
    if (result == 0) {
        status->block_bytes = found.st_blksize;
        status->size_bytes = found.st_size;
    }
    return result;
}

/* Map fresh memory: its address, or -errno. */
static long sys_map(unsigned long bytes)
{
    void *at = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? -(long)errno : (long)at;
}

static long sys_unmap(long at, unsigned long bytes) { return or_errno(munmap((void *)at, bytes)); }

#else /* FREESTANDING */

enum { O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0100, O_TRUNC = 01000, O_APPEND = 02000 };
enum { SEEK_SET = 0, SEEK_CUR = 1, SEEK_END = 2 };

#if defined(__x86_64__)

enum {
    NR_read = 0, NR_write = 1, NR_open = 2, NR_close = 3, NR_fstat = 5, NR_lseek = 8, NR_mmap = 9,
    NR_munmap = 11, NR_mkdir = 83, NR_rmdir = 84, NR_unlink = 87
};

static inline long raw_call(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

struct kernel_stat {
    unsigned long dev, ino, nlink;
    u32 mode, uid, gid, pad;
    unsigned long rdev;
    long size, blksize, rest[9];
};

static long sys_map(unsigned long bytes)
{
    return raw_call(NR_mmap, 0, bytes, 3 /* read, write */, 0x22 /* private, anonymous */, -1, 0);
}

#elif defined(__i386__)

enum {
    NR_read = 3, NR_write = 4, NR_open = 5, NR_close = 6, NR_unlink = 10, NR_lseek = 19, NR_mkdir = 39,
    NR_rmdir = 40, NR_mmap = 90 /* arguments in memory */, NR_munmap = 91, NR_fstat = 197 /* fstat64 */
};

/* At most five arguments: the sixth would need %ebp. */
static inline long raw_call(long number, long a, long b, long c, long d, long e, long unused)
{
    long result;
    (void)unused;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                     : "memory");
    return result;
}

struct kernel_stat {
    unsigned long long dev;
    u32 pad, old_ino, mode, nlink, uid, gid;
    unsigned long long rdev;
    u32 pad_too, size, size_high, blksize, rest[10];
};

static long sys_map(unsigned long bytes)
{
    unsigned long arguments[6] = {0, bytes, 3 /* read, write */, 0x22 /* private, anonymous */, -1ul, 0};
    return raw_call(NR_mmap, (long)arguments, 0, 0, 0, 0, 0);
}

#else
#error "FREESTANDING is for x86-64 and i386"
#endif

static long sys_open(const char *path, int flags, int mode)
{
    return raw_call(NR_open, (long)path, flags, mode, 0, 0, 0);
}

static long sys_close(int fd) { return raw_call(NR_close, fd, 0, 0, 0, 0, 0); }
static long sys_read(int fd, void *to, u32 bytes) { return raw_call(NR_read, fd, (long)to, bytes, 0, 0, 0); }

static long sys_write(int fd, const void *from, u32 bytes)
{
    return raw_call(NR_write, fd, (long)from, bytes, 0, 0, 0);
}

static long sys_lseek(int fd, long offset, int origin) { return raw_call(NR_lseek, fd, offset, origin, 0, 0, 0); }
static long sys_unlink(const char *path) { return raw_call(NR_unlink, (long)path, 0, 0, 0, 0, 0); }
static long sys_mkdir(const char *path, int mode) { return raw_call(NR_mkdir, (long)path, mode, 0, 0, 0, 0); }
static long sys_rmdir(const char *path) { return raw_call(NR_rmdir, (long)path, 0, 0, 0, 0, 0); }
static long sys_unmap(long at, unsigned long bytes) { return raw_call(NR_munmap, at, bytes, 0, 0, 0, 0); }

#if defined(__i386__)
/* Linux before 2.4 has no fstat64: the status that its fstat tells. */
static long sys_old_fstat(int fd, struct file_status *status)
{
    struct {
        unsigned short dev, pad;
        u32 ino;
        unsigned short mode, nlink, uid, gid, rdev, pad_too;
        u32 size, blksize, rest[10];
    } found;
    long result = raw_call(108, fd, (long)&found, 0, 0, 0, 0);
    if (result == 0) {
        status->block_bytes = found.blksize;
        status->size_bytes = found.size;
    }
    return result;
}
#endif

static long sys_fstat(int fd, struct file_status *status)
{
    struct kernel_stat found;
    long result = raw_call(NR_fstat, fd, (long)&found, 0, 0, 0, 0);
#if defined(__i386__)
    if (result == -38 /* ENOSYS */)
        return sys_old_fstat(fd, status);
#endif
    if (result == 0) {
        status->block_bytes = found.blksize;
        status->size_bytes = found.size;
    }
    return result;
}

/* The compiler calls these by itself; as instructions, they cannot become calls of themselves. */
void *memcpy(void *to, const void *from, unsigned long bytes)
{
    void *at = to;
    unsigned long words = bytes / sizeof(long), rest = bytes % sizeof(long);
#if defined(__x86_64__)
    __asm__ volatile("rep movsq" : "+D"(at), "+S"(from), "+c"(words) : : "memory");
#else
    __asm__ volatile("rep movsl" : "+D"(at), "+S"(from), "+c"(words) : : "memory");
#endif
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(rest) : : "memory");
    return to;
}

void *memset(void *to, int value, unsigned long bytes)
{
    void *at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(value) : "memory");
    return to;
}

static unsigned long strlen(const char *text)
{
    unsigned long length = 0;
    while (text[length] != '\0')
        length++;
    return length;
}

#endif /* FREESTANDING */

/* Whether the result of any of the calls above is an error. */
static int is_error(long result) { return result < 0 && result >= -4095; }

#endif
