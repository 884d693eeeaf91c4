/*
 * Executes a stream of operations, packed by lockscape/real/stream.py (which documents the format), with the
 * system calls that the real PostMark makes through the C library (lockscape/workloads/user.py).
 *
 * An includer may define these before it includes this file; they are empty otherwise:
 *
 *     ON_MARK(which)             at a MARK: 0 start, 1 created, 2 transacted, 3 deleted
 *     BEFORE_CALL(call, bytes)   before each system call: its kind (enum call) and the bytes asked for
 *     AFTER_CALL(call, result)   after it
 */
#include "calls.h"

#ifndef ON_MARK
#define ON_MARK(which) ((void)(which))
#endif
#ifndef BEFORE_CALL
#define BEFORE_CALL(call, bytes) ((void)0)
#endif
#ifndef AFTER_CALL
#define AFTER_CALL(call, result) ((void)0)
#endif

enum { STREAM_MAGIC = 0x3153534c, BUFFERED = 1, MAPPED = 2 };
enum { LARGEST_BUFFER = 8192, LONGEST_ROOT = 1024, LONGEST_PATH = 4096 };

enum operation_kind {
    OP_MKDIR, OP_CREATE, OP_READ, OP_APPEND, OP_DELETE, OP_RMDIR, OP_NOTHING, OP_MARK, OP_COMPUTE, OP_OVERWRITE
};

/* The kinds of calls: those of one name that do different work in a kernel are apart. */
enum call {
    CALL_OPEN_READ, CALL_OPEN_CREATE, CALL_OPEN_APPEND, CALL_OPEN_WRITE, CALL_FSTAT, CALL_LSEEK, CALL_READ,
    CALL_WRITE, CALL_CLOSE, CALL_UNLINK, CALL_MKDIR, CALL_RMDIR, CALL_MAP, CALL_UNMAP, CALL_KINDS
};

static const char *const call_names[CALL_KINDS] = {
    "open", "open", "open", "open", "fstat", "lseek", "read", "write", "close", "unlink", "mkdir", "rmdir",
    "mmap", "munmap"
};

struct header {
    u32 magic, flags, write_block, read_block, source_bytes, target_bytes, operations, directories;
};

struct operation {
    u32 kind, directory, name, bytes;
};

/* Why run_stream() returned -1: the call, or 0 for a stream or root that is none; its errno, or 0 for a
 * transfer of fewer bytes than the file has. */
static struct {
    const char *call;
    int error;
    const char *path;
} failure;

static struct {
    const struct header *header;
    const struct operation *operations;
    const u32 *strings; /* where each directory's name begins, and last the prefix of file names */
    const char *prefix;
    char *source, *target;
    u32 root_length;
    char path[LONGEST_PATH];
    char buffer[LARGEST_BUFFER];
} worker;

/* An open stream's buffer, as the C library has one. */
struct stream {
    int fd;
    char *buffer;
    u32 bytes;
};

/* Make a call between its hooks. The result goes to a variable; an error ends the function with -1. */
#define CALL(result, kind, asked, expression)                                                                 \
    do {                                                                                                      \
        BEFORE_CALL(kind, asked);                                                                             \
        result = (expression);                                                                                \
        AFTER_CALL(kind, result);                                                                             \
        if (is_error(result))                                                                                 \
            return failed(kind, (int)-result);                                                                \
    } while (0)

static int failed(enum call call, int error)
{
    failure.call = call_names[call];
    failure.error = error;
    failure.path = worker.path;
    return -1;
}

static u32 least(u32 a, u32 b) { return a < b ? a : b; }

static char *append_text(char *at, const char *text)
{
    u32 length = strlen(text);
    memcpy(at, text, length + 1);
    return at + length;
}

static char *append_number(char *at, u32 number)
{
    char digits[10];
    int count = 0;
    do {
        digits[count++] = '0' + number % 10;
        number /= 10;
    } while (number != 0);
    while (count > 0)
        *at++ = digits[--count];
    *at = '\0';
    return at;
}

/* Put the path of an operation's file, or of its directory (name 0), behind the root. */
static void set_path(const struct operation *operation)
{
    const char *folder = (const char *)worker.header + worker.strings[operation->directory];
    char *at = append_text(worker.path + worker.root_length, folder);
    if (operation->name == 0)
        return;
    if (folder[0] != '\0')
        *at++ = '/';
    append_number(append_text(at, worker.prefix), operation->name);
}

static int write_all(int fd, const char *from, u32 bytes)
{
    long result;
    CALL(result, CALL_WRITE, bytes, sys_write(fd, from, bytes));
    return result == (long)bytes ? 0 : failed(CALL_WRITE, 0);
}

static int close_file(int fd)
{
    long result;
    CALL(result, CALL_CLOSE, 0, sys_close(fd));
    return 0;
}

static int open_file(enum call kind, int flags, int mode)
{
    long result;
    CALL(result, kind, 0, sys_open(worker.path, flags, mode));
    return result;
}

/* Get a stream's buffer, of the file system's block: mapped as in 2005, else at hand and of 8192 at most. */
static int allocate(struct stream *stream)
{
    struct file_status status = {0, 0};
    long result;
    CALL(result, CALL_FSTAT, 0, sys_fstat(stream->fd, &status));
    stream->bytes = status.block_bytes;
    if (worker.header->flags & MAPPED) {
        CALL(result, CALL_MAP, stream->bytes, sys_map(stream->bytes));
        stream->buffer = (char *)result;
    } else {
        stream->bytes = least(stream->bytes, LARGEST_BUFFER);
        stream->buffer = worker.buffer;
    }
    return 0;
}

static int close_stream(struct stream *stream)
{
    long result;
    if (close_file(stream->fd) < 0)
        return -1;
    if (worker.header->flags & MAPPED)
        CALL(result, CALL_UNMAP, stream->bytes, sys_unmap((long)stream->buffer, stream->bytes));
    return 0;
}

/* Find the end of a stream that was opened to append, and get its buffer. */
static int seek_end(struct stream *stream)
{
    struct file_status status = {0, 0};
    long result;
    if (!(worker.header->flags & MAPPED)) {
        CALL(result, CALL_LSEEK, 0, sys_lseek(stream->fd, 0, SEEK_END));
        return allocate(stream);
    }
    if (allocate(stream) < 0)
        return -1;
    CALL(result, CALL_FSTAT, 0, sys_fstat(stream->fd, &status));
    CALL(result, CALL_LSEEK, 0, sys_lseek(stream->fd, status.size_bytes, SEEK_SET));
    return 0;
}

/* Write unbuffered: each block is one call, also an empty rest. */
static int write_blocks(int fd, u32 bytes)
{
    u32 block = worker.header->write_block, part, at = 0;
    do {
        part = least(bytes - at, block);
        if (write_all(fd, worker.source + at, part) < 0)
            return -1;
        at += part;
    } while (part == block);
    return close_file(fd);
}

/* Write through a buffer: when a block does not fit, what it holds, then whole buffers past it. */
static int write_stream(struct stream *stream, u32 bytes)
{
    u32 block = worker.header->write_block, used = 0, room = 0, at = 0, part, kept, whole;
    do {
        part = least(bytes - at, block);
        kept = least(part, room);
        memcpy(stream->buffer + used, worker.source + at, kept);
        used += kept;
        room -= kept;
        if (kept < part) {
            whole = part - kept - (part - kept) % stream->bytes;
            if (used > 0 && write_all(stream->fd, stream->buffer, used) < 0)
                return -1;
            if (whole > 0 && write_all(stream->fd, worker.source + at + kept, whole) < 0)
                return -1;
            used = part - kept - whole;
            room = stream->bytes - used;
            memcpy(stream->buffer, worker.source + at + kept + whole, used);
        }
        at += part;
    } while (part == block);
    if (used > 0 && write_all(stream->fd, stream->buffer, used) < 0)
        return -1;
    return close_stream(stream);
}

/* Read at most so many bytes: how many, or -1 at the end of the file, where there should be more. */
static long read_some(int fd, char *to, u32 bytes)
{
    long result;
    CALL(result, CALL_READ, bytes, sys_read(fd, to, bytes));
    return result > 0 ? result : failed(CALL_READ, 0);
}

/* Read unbuffered: each block is one call, also one for an empty rest. */
static int read_blocks(int fd, u32 bytes)
{
    u32 block = worker.header->read_block, part, at = 0;
    long result;
    do {
        part = least(bytes - at, block);
        CALL(result, CALL_READ, part, sys_read(fd, worker.target, part));
        if (result != (long)part)
            return failed(CALL_READ, 0);
        at += part;
    } while (part == block);
    return close_file(fd);
}

/* Read one block through a buffer, of which the last `held` bytes up to `end` are not yet taken. */
static int read_block(struct stream *stream, u32 wanted, u32 *held, u32 *end)
{
    char *to = worker.target;
    long got;
    while (wanted > *held) {
        memcpy(to, stream->buffer + *end - *held, *held);
        to += *held;
        wanted -= *held;
        *held = 0;
        if (wanted < stream->bytes) {
            got = read_some(stream->fd, stream->buffer, stream->bytes);
            if (got < 0)
                return -1;
            *held = *end = got;
        } else {
            got = read_some(stream->fd, to, wanted - wanted % stream->bytes);
            if (got < 0)
                return -1;
            to += got;
            wanted -= got;
        }
    }
    memcpy(to, stream->buffer + *end - *held, wanted);
    *held -= wanted;
    return 0;
}

static int read_stream(struct stream *stream, u32 bytes)
{
    u32 block = worker.header->read_block, held = 0, end = 0, part;
    do {
        part = least(bytes, block);
        if (read_block(stream, part, &held, &end) < 0)
            return -1;
        bytes -= part;
    } while (part == block);
    return close_stream(stream);
}

/* Open a file to write and write it. Buffered and plain flags differ: fopen() and open() of PostMark. */
static int write_file(enum call kind, int stream_flags, int plain_flags, u32 bytes)
{
    struct stream stream;
    if (!(worker.header->flags & BUFFERED)) {
        int fd = open_file(kind, plain_flags, 0644);
        return fd < 0 ? -1 : write_blocks(fd, bytes);
    }
    stream.fd = open_file(kind, stream_flags, 0666);
    if (stream.fd < 0)
        return -1;
    if ((kind == CALL_OPEN_APPEND ? seek_end(&stream) : allocate(&stream)) < 0)
        return -1;
    return write_stream(&stream, bytes);
}

static int read_file(u32 bytes)
{
    struct stream stream;
    stream.fd = open_file(CALL_OPEN_READ, O_RDONLY, 0666);
    if (stream.fd < 0)
        return -1;
    if (!(worker.header->flags & BUFFERED))
        return read_blocks(stream.fd, bytes);
    return allocate(&stream) < 0 ? -1 : read_stream(&stream, bytes);
}

/* Compute, in user mode and in registers only: one multiplication and one addition an iteration. */
static void compute(u32 iterations)
{
    u32 x = 1;
    for (; iterations > 0; iterations--) {
        x = x * 1664525u + 1013904223u;
        __asm__ volatile("" : "+r"(x));
    }
}

static int do_operation(const struct operation *operation)
{
    long result;
    switch (operation->kind) {
    case OP_CREATE:
        return write_file(CALL_OPEN_CREATE, O_WRONLY | O_CREAT | O_TRUNC, O_RDWR | O_CREAT, operation->bytes);
    case OP_READ:
        return read_file(operation->bytes);
    case OP_APPEND:
        return write_file(CALL_OPEN_APPEND, O_WRONLY | O_CREAT | O_APPEND, O_RDWR | O_APPEND, operation->bytes);
    case OP_DELETE:
        CALL(result, CALL_UNLINK, 0, sys_unlink(worker.path));
        return 0;
    case OP_MKDIR:
        CALL(result, CALL_MKDIR, 0, sys_mkdir(worker.path, 0700));
        return 0;
    case OP_RMDIR:
        CALL(result, CALL_RMDIR, 0, sys_rmdir(worker.path));
        return 0;
    case OP_MARK:
        ON_MARK(operation->name);
        return 0;
    case OP_COMPUTE:
        compute(operation->bytes);
        return 0;
    case OP_OVERWRITE:
        return write_file(CALL_OPEN_WRITE, O_WRONLY | O_CREAT, O_WRONLY | O_CREAT, operation->bytes);
    default: /* OP_NOTHING */
        return 0;
    }
}

/* Map a program's memory and use it, so that no page of it is missing later. */
static char *fresh_memory(u32 bytes)
{
    long at = sys_map((unsigned long)bytes + 1);
    if (is_error(at)) {
        failure.call = "mmap";
        failure.error = (int)-at;
        failure.path = "";
        return 0;
    }
    memset((char *)at, 'x', bytes);
    return (char *)at;
}

/* Look whether a stream is one, and where its parts are. */
static int open_stream(const char *stream, unsigned long bytes)
{
    const struct header *header = (const void *)stream;
    unsigned long strings = sizeof *header, operations;
    if (bytes < sizeof *header || header->magic != STREAM_MAGIC || header->write_block == 0 || header->read_block == 0)
        return -1;
    if (header->directories >= bytes / 4 || header->operations > bytes / sizeof *worker.operations)
        return -1;
    operations = strings + 4ul * (header->directories + 1);
    if (operations > bytes || bytes - operations < header->operations * sizeof *worker.operations || stream[bytes - 1] != '\0')
        return -1;
    worker.header = header;
    worker.strings = (const void *)(stream + strings);
    worker.operations = (const void *)(stream + operations);
    worker.prefix = stream + worker.strings[header->directories];
    worker.source = fresh_memory(header->source_bytes);
    worker.target = worker.source == 0 ? 0 : fresh_memory(header->target_bytes);
    return worker.target == 0 ? -1 : 0;
}

/*
 * Execute the stream of so many bytes. File names are put behind root, an absolute path; with "" they are
 * relative to the working folder. Returns 0, or -1 and says in `failure` why.
 */
static int run_stream(const void *stream, long bytes, const char *root)
{
    const struct operation *operation, *end;
    failure.call = 0;
    if (strlen(root) > LONGEST_ROOT)
        return -1;
    worker.root_length = append_text(worker.path, root) - worker.path;
    if (worker.root_length > 0)
        worker.path[worker.root_length++] = '/';
    if (open_stream(stream, bytes) < 0)
        return -1;
    end = worker.operations + worker.header->operations;
    for (operation = worker.operations; operation < end; operation++) {
        if (operation->kind < OP_NOTHING || operation->kind == OP_OVERWRITE)
            set_path(operation);
        if (do_operation(operation) < 0)
            return -1;
    }
    return 0;
}

/* Write `failure` as text, without a line's end: "open s1/17 28" (0: fewer bytes than asked for). */
static char *describe_failure(char *at)
{
    if (failure.call == 0)
        return append_text(at, "stream - 0");
    at = append_text(append_text(at, failure.call), " ");
    at = append_text(append_text(at, failure.path), " ");
    return append_number(at, failure.error);
}
