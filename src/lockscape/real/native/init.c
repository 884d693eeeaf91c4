/*
 * The only program of a booted guest: process 1. It loads modules, makes and mounts the file system, starts
 * the processes of the workload together, waits for them and powers off. It does what /config says, line by
 * line, and prints lines that begin with "lockscape: " on the console; real/guest/ writes the one and reads
 * the other. Compiled FREESTANDING, see calls.h: it uses old system calls only and runs on Linux since 2.4.
 *
 *     module PATH PARAMETERS   load a kernel module
 *     blocks DEVICE PATH       write what PATH holds into DEVICE: pairs of an offset (64 bits, little endian)
 *                              and BLOCK_BYTES bytes
 *     mount TYPE DEVICE        mount the file system that the workload uses
 *     directory PATH           a working folder in it; the processes take them in turns
 *     stream PATH              a packed stream; the processes take them in turns
 *     run NUMBER               run so many processes
 */
#define FREESTANDING
#include "calls.h"
#include "marks.h"

#define ON_MARK(which) mark_phase(which)
#define BEFORE_CALL(call, bytes) mark_call(call)
#define AFTER_CALL(call, result) mark_return(call)

/* A mark's number is a constant, so each has its own place. */
#define EIGHT(kind, n)                                                                                        \
    case n: MARK(kind, n); break;                                                                             \
    case n + 1: MARK(kind, n + 1); break;                                                                     \
    case n + 2: MARK(kind, n + 2); break;                                                                     \
    case n + 3: MARK(kind, n + 3); break;                                                                     \
    case n + 4: MARK(kind, n + 4); break;                                                                     \
    case n + 5: MARK(kind, n + 5); break;                                                                     \
    case n + 6: MARK(kind, n + 6); break;                                                                     \
    case n + 7: MARK(kind, n + 7); break;

static void mark_call(int call)
{
    switch (call) { EIGHT(MARK_CALL, 0) EIGHT(MARK_CALL, 8) EIGHT(MARK_CALL, 16) EIGHT(MARK_CALL, 24) }
}

static void mark_return(int call)
{
    switch (call) { EIGHT(MARK_RETURN, 0) EIGHT(MARK_RETURN, 8) EIGHT(MARK_RETURN, 16) EIGHT(MARK_RETURN, 24) }
}

static void mark_phase(int which)
{
    switch (which) { EIGHT(MARK_PHASE, 0) }
}

#include "worker.c"

typedef char every_call_has_a_mark[(int)CALL_KINDS <= (int)CALLS ? 1 : -1];

enum { BLOCK_BYTES = 4096, MOST = 256, SETTLE_NS = 50000000 };

#if defined(__x86_64__)
enum {
    NR_ioctl = 16, NR_pipe = 22, NR_nanosleep = 35, NR_fork = 57, NR_exit = 60, NR_wait4 = 61, NR_fcntl = 72, NR_chdir = 80, NR_mount = 165, NR_reboot = 169,
    NR_iopl = 172, NR_init_module = 175
};
#else
enum {
    NR_exit = 1, NR_fork = 2, NR_chdir = 12, NR_mount = 21, NR_pipe = 42, NR_ioctl = 54, NR_fcntl = 55,
    NR_reboot = 88, NR_iopl = 110, NR_wait4 = 114, NR_init_module = 128, NR_nanosleep = 162
};
#endif

#define call1(number, a) raw_call(number, (long)(a), 0, 0, 0, 0, 0)
#define call3(number, a, b, c) raw_call(number, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define call5(number, a, b, c, d, e) raw_call(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

static char root[] = "/work";
static char *directories[MOST];
static struct { const char *at; long bytes; } streams[MOST];
static int directory_count, stream_count;

static void say(const char *text)
{
    sys_write(1, text, strlen(text));
}

static void say_number(u32 number)
{
    char digits[12];
    append_number(digits, number);
    say(digits);
}

/* Print what went wrong, and with which error, and end everything. */
static void give_up(const char *what, const char *which, long error);

/* ---- files ---- */

/* Read a whole file into fresh memory, and end it with a zero. */
static char *read_whole(const char *path, long *bytes)
{
    long size = 1 << 16, at = 0, got;
    char *memory, *larger;
    int fd = (int)sys_open(path, O_RDONLY, 0);
    if (fd < 0)
        return 0;
    memory = (char *)sys_map(size);
    while (!is_error((long)memory) && (got = sys_read(fd, memory + at, size - 1 - at)) > 0) {
        at += got;
        if (at == size - 1) {
            larger = (char *)sys_map(size * 4);
            if (is_error((long)larger))
                return 0;
            memcpy(larger, memory, at);
            sys_unmap((long)memory, size);
            memory = larger;
            size *= 4;
        }
    }
    sys_close(fd);
    if (is_error((long)memory))
        return 0;
    memory[at] = '\0';
    *bytes = at;
    return memory;
}

static int starts_with(const char *text, const char *start)
{
    while (*start != '\0')
        if (*text++ != *start++)
            return 0;
    return 1;
}

/* Print the lines of a file that begin with `start` (blanks before it aside), each behind a name. */
static int say_lines(const char *name, const char *path, const char *start)
{
    long bytes;
    int found = 0;
    char *text = read_whole(path, &bytes), *from, *end;
    for (from = text; from != 0 && *from != '\0'; from = end) {
        while (*from == ' ')
            from++;
        for (end = from; *end != '\0' && *end != '\n'; end++)
            ;
        if (starts_with(from, start)) {
            say("lockscape: ");
            say(name);
            say(" ");
            sys_write(1, from, end - from);
            say("\n");
            found++;
        }
        if (*end == '\n')
            end++;
    }
    if (text != 0)
        sys_unmap((long)text, bytes);
    return found;
}

static u32 count_processors(void)
{
    long bytes;
    u32 count = 0;
    char *text = read_whole("/proc/cpuinfo", &bytes);
    if (text == 0)
        return 0;
    count = starts_with(text, "processor\t");
    for (; *text != '\0'; text++)
        if (*text == '\n')
            count += starts_with(text + 1, "processor\t");
    return count;
}

/* ---- what /config says ---- */

static void load_module(const char *path, const char *parameters)
{
    long bytes, result;
    char *image = read_whole(path, &bytes);
    if (image == 0)
        give_up("no module", path, 0);
    result = call3(NR_init_module, image, bytes, parameters);
    if (is_error(result) && result != -17 /* EEXIST: it is there already */)
        give_up("module", path, -result);
}

static void write_blocks_to(const char *device, const char *path)
{
    long bytes, at;
    char *records = read_whole(path, &bytes);
    int fd = (int)sys_open(device, O_WRONLY, 0);
    if (records == 0 || fd < 0)
        give_up("file system on", device, records == 0 ? 0 : -fd);
    for (at = 0; at + 8 + BLOCK_BYTES <= bytes; at += 8 + BLOCK_BYTES) {
        long offset = *(long *)(records + at); /* below 2 GB: the upper half is 0 */
        long result = sys_lseek(fd, offset, SEEK_SET);
        if (!is_error(result))
            result = sys_write(fd, records + at + 8, BLOCK_BYTES);
        if (result != BLOCK_BYTES)
            give_up("writing to", device, is_error(result) ? -result : 0);
    }
    sys_close(fd);
}

static void mount_work(const char *type, const char *device)
{
    long result = call5(NR_mount, device, root, type, 0, 0);
    if (is_error(result))
        give_up("mount", type, -result);
    say_lines("mounted", "/proc/mounts", device);
}

static void add_directory(char *path)
{
    long result = sys_mkdir(path, 0755);
    if (is_error(result) && result != -17)
        give_up("mkdir", path, -result);
    if (directory_count < MOST)
        directories[directory_count++] = path;
}

static void add_stream(const char *path)
{
    long bytes;
    char *memory = read_whole(path, &bytes);
    if (memory == 0 || stream_count == MOST)
        give_up("no stream", path, 0);
    streams[stream_count].at = memory;
    streams[stream_count++].bytes = bytes;
}

/* ---- the workload ---- */

static void be_process(int number, int ready, const int *start)
{
    char byte = 0, text[LONGEST_PATH + 64];
    long result = call1(NR_chdir, directories[number % directory_count]);
    if (is_error(result))
        give_up("chdir", directories[number % directory_count], -result);
    sys_close(start[1]);
    sys_write(ready, &byte, 1);
    while (sys_read(start[0], &byte, 1) == -11 /* EAGAIN, until process 1 closes its end */)
        ;
    if (run_stream(streams[number % stream_count].at, streams[number % stream_count].bytes, "") < 0) {
        describe_failure(text);
        say("lockscape: process failed ");
        say(text);
        say("\n");
        call1(NR_exit, 1);
    }
    call1(NR_exit, 0);
}

static void say_counters(const char *name)
{
    say_lines(name, "/proc/stat", "ctxt ");
    say_lines(name, "/proc/interrupts", "LOC:");
}

/* Processes wait for the start in a loop, and for a while: asleep, all could be on one processor, and it would
 * take the kernel some ticks to spread them, which weigh much in a short run. */
static void run(int count)
{
    int ready[2], start[2], number, status, ended = 0;
    long settle[2] = {0, SETTLE_NS};
    char byte;
    if (!directory_count || !stream_count || is_error(call1(NR_pipe, ready)) || is_error(call1(NR_pipe, start)))
        give_up("pipe", "", 0);
    call3(NR_fcntl, start[0], 4 /* F_SETFL */, 04000 /* O_NONBLOCK */);
    for (number = 0; number < count; number++) {
        long child = call1(NR_fork, 0);
        if (is_error(child))
            give_up("fork", "", -child);
        if (child == 0)
            be_process(number, ready[1], start);
    }
    for (number = 0; number < count; number++)
        sys_read(ready[0], &byte, 1);
    call3(NR_nanosleep, settle, 0, 0);
    say_counters("before");
    MARK(MARK_REGION, 0);
    sys_close(start[1]);
    for (number = 0; number < count; number++) {
        long child = raw_call(NR_wait4, -1, (long)&status, 0, 0, 0, 0);
        ended += !is_error(child) && status == 0;
    }
    MARK(MARK_REGION, 1);
    say_counters("after");
    say("lockscape: ended ");
    say_number(ended);
    say("\n");
}

/* ---- beginning and end ---- */

static void power_off(void)
{
    call3(NR_ioctl, 1, 0x5409, 1); /* TCSBRK: wait until the console has it all */
    if (!is_error(call1(NR_iopl, 3)))
        __asm__ volatile("outb %b0, %w1" : : "a"(0), "d"(0xf4)); /* QEMU's isa-debug-exit */
    call3(NR_reboot, 0xfee1dead, 672274793, 0x01234567); /* restart, which QEMU takes for the end */
    for (;;)
        ;
}

static void give_up(const char *what, const char *which, long error)
{
    say("lockscape: failed ");
    say(what);
    say(" ");
    say(which);
    say(" ");
    say_number((u32)error);
    say("\n");
    power_off();
}

/* Cut a word off a line: return it, and move the line to the next. */
static char *word(char **line)
{
    char *found = *line;
    while (**line != '\0' && **line != ' ')
        ++*line;
    if (**line == ' ')
        *(*line)++ = '\0';
    return found;
}

static int number_of(const char *text)
{
    int number = 0;
    while (*text >= '0' && *text <= '9')
        number = number * 10 + (*text++ - '0');
    return number;
}

static void obey(char *line)
{
    const char *what = word(&line), *first = word(&line);
    if (starts_with(what, "module"))
        load_module(first, line);
    else if (starts_with(what, "blocks"))
        write_blocks_to(first, line);
    else if (starts_with(what, "mount"))
        mount_work(first, line);
    else if (starts_with(what, "directory"))
        add_directory((char *)first);
    else if (starts_with(what, "stream"))
        add_stream(first);
    else if (starts_with(what, "run"))
        run(number_of(first));
    else
        give_up("line", what, 0);
}

static void say_facts(void)
{
    say("lockscape: processors ");
    say_number(count_processors());
    say("\n");
    say_lines("version", "/proc/version", "");
    say_lines("command", "/proc/cmdline", "");
    say_lines("security", "/sys/kernel/security/lsm", "");
}

static void start(void)
{
    char *config, *line, *end;
    long bytes;
    call5(NR_mount, "proc", "/proc", "proc", 0, 0);
    call5(NR_mount, "sysfs", "/sys", "sysfs", 0, 0);                              /* not in 2.4 */
    call5(NR_mount, "securityfs", "/sys/kernel/security", "securityfs", 0, 0);    /* not in all */
    say_facts();
    config = read_whole("/config", &bytes);
    if (config == 0)
        give_up("no", "/config", 0);
    for (line = config; *line != '\0'; line = end) {
        for (end = line; *end != '\0' && *end != '\n'; end++)
            ;
        if (*end == '\n')
            *end++ = '\0';
        obey(line);
    }
    say("lockscape: done\n");
    power_off();
}

/* The compiler must not rely on the stack's alignment at the entry. */
__asm__(".globl _start\n_start:\n"
#if defined(__x86_64__)
        "xorl %ebp, %ebp; andq $-16, %rsp; call entry\n");
#else
        "xorl %ebp, %ebp; andl $-16, %esp; call entry\n");
#endif

__attribute__((used)) void entry(void) { start(); }
