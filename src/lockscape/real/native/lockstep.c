/*
 * Keeps all processors of a QEMU guest in step, and counts what they execute: a TCG plugin.
 *
 * Every processor that is not idle executes a quantum of instructions, then waits for the others. One
 * instruction is one cycle, so simulated time is the number of rounds times the quantum. A processor that
 * halts leaves the others, and joins the round that is running when it is woken. While all are idle,
 * simulated time stands still.
 *
 * The guest marks places with a long NOP, 0F 1F 80 and a number of 32 bits; see marks.h.
 *
 * It is named in LD_PRELOAD as well, and then stands before two functions of the C library that QEMU calls:
 *
 * - clock_gettime is QEMU's clock. The guest's timers so follow the simulated time, a nanosecond a cycle.
 *   Otherwise they follow the host's, and a guest has the more timer interrupts the slower the host is.
 *   While all processors are idle the clock runs as the host's.
 * - pthread_cond_broadcast wakes a halted processor. It joins at that moment, not when the host has got
 *   around to run its thread, so that the others are not ahead of it by then.
 *
 * Arguments: fd=N (where messages go), quantum=N, and kernel=HEX (the lowest address of the kernel).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>

#include "processors.h"
#include "qemu_plugin.h"

#define MOST_PROCESSORS 256
#define PATIENCE_MS 1000       /* a processor that is late by so much of the host's time is not waited for ... */
#define LITTLE_MS 50           /* ... and outside of what is measured, where it happens at each boot */
#define SPIN_LOOP 64           /* instructions from a PAUSE to the same one again, at most, for a loop that spins */
#define MESSAGE_NS 250000000   /* between two messages about progress */
#define COARSE 50000           /* the quantum outside of what is measured */

_Static_assert(sizeof(void *) == 8, "what blocks of code count is packed into a pointer");

static struct processor processors[MOST_PROCESSORS];
static struct counts base[MOST_PROCESSORS]; /* when what is measured began */
static int processor_count;
static uint64_t kernel_from;

enum { BEFORE, WITHIN, AFTER };
static volatile int region = BEFORE; /* what is measured, or before or after it */

static int64_t fine;                 /* the quantum within what is measured ... */
static int64_t quantum = COARSE;     /* ... and now */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below */
static int present, waiting;         /* processors in the round; those that are at its end */
static uint32_t generation;          /* of rounds, for futexes */
static uint64_t rounds, late, all_idle;
static volatile int64_t elapsed;     /* cycles in all rounds that have ended */
static volatile int64_t idle_since, idle_ns; /* since when all are idle, or 0; how long they were before */
static int64_t message_at;

static struct { uint64_t time, late, all_idle; int64_t idle_ns, host_ns; } begin;

/* Return the simulated time of a processor, in cycles. */
static uint64_t time_of(const struct processor *p) { return elapsed + (quantum - left_of(p)); }

/* ---- rounds ---- */

static long futex(int operation, uint32_t value, const struct timespec *timeout)
{
    return syscall(SYS_futex, &generation, operation | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

/* Begin the next round; `sleeping` threads wait for it. Called with the lock. */
static void next_round(int sleeping)
{
    waiting = 0;
    rounds++;
    elapsed = elapsed + quantum;
    if (region == WITHIN)
        quantum = fine;
    __atomic_fetch_add(&generation, 1, __ATOMIC_RELEASE);
    if (sleeping)
        futex(FUTEX_WAKE, INT32_MAX, NULL);
    if (rounds % 256 == 0 && now_ns() >= message_at) {
        message_at = now_ns() + MESSAGE_NS;
        say_progress(processors, processor_count);
    }
}

/* Wait for the others, but not for ever: the late one may itself wait for this processor to leave its block of
 * code (QEMU stops all of them now and then), or the host may have no time for it. */
static void wait_for_others(uint32_t mine)
{
    int ms = region == WITHIN ? PATIENCE_MS : LITTLE_MS;
    struct timespec patience = { ms / 1000, ms % 1000 * 1000000L };
    while (__atomic_load_n(&generation, __ATOMIC_ACQUIRE) == mine) {
        if (futex(FUTEX_WAIT, mine, &patience) == 0 || errno != ETIMEDOUT)
            continue;
        pthread_mutex_lock(&lock);
        bool still = generation == mine;
        if (still) {
            waiting--;
            late++;
        }
        pthread_mutex_unlock(&lock);
        if (still)
            return;
    }
}

static void end_of_quantum(struct processor *p)
{
    pthread_mutex_lock(&lock);
    uint32_t mine = generation;
    bool last = ++waiting >= present;
    if (last)
        next_round(waiting - 1);
    pthread_mutex_unlock(&lock);
    if (!last)
        wait_for_others(mine);
    int64_t left = left_of(p) + quantum;
    set_left(p, left > 0 ? left : 1); /* a block may be longer than what was left, by 512 at most */
}

static void leave(struct processor *p)
{
    pthread_mutex_lock(&lock);
    if (p->present) {
        p->present = false;
        p->round = rounds;
        present--;
        if (present == 0) {
            all_idle++;
            idle_since = now_ns();
        } else if (waiting >= present) {
            next_round(waiting);
        }
    }
    pthread_mutex_unlock(&lock);
}

/* Take part again, in the round that is running and from its beginning. Does not wait: QEMU's lock is held. */
static void join(struct processor *p)
{
    pthread_mutex_lock(&lock);
    if (!p->present) {
        p->present = true;
        p->bed = NULL;
        if (present++ == 0 && idle_since) {
            idle_ns = idle_ns + (now_ns() - idle_since);
            idle_since = 0;
        }
        if (p->round != rounds)
            set_left(p, quantum);
    }
    pthread_mutex_unlock(&lock);
}

/* ---- before the C library ---- */

static int64_t clock_from;       /* the host's nanoseconds at which QEMU's clock was taken over, or 0 */
static volatile int clock_asked; /* whether QEMU asks for the time here */

static __thread struct processor *halted; /* the processor of this thread, while it is idle */

EXPORT int clock_gettime(clockid_t which, struct timespec *t)
{
    if (which != CLOCK_MONOTONIC || !clock_from)
        return (int)syscall(SYS_clock_gettime, which, t);
    static int64_t latest; /* time never goes back, also where the numbers below do not fit together */
    int64_t since = idle_since, now = clock_from + elapsed + idle_ns + (since ? now_ns() - since : 0);
    int64_t before = __atomic_load_n(&latest, __ATOMIC_RELAXED);
    while (now > before &&
           !__atomic_compare_exchange_n(&latest, &before, now, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    now = now > before ? now : before;
    t->tv_sec = now / 1000000000;
    t->tv_nsec = now % 1000000000;
    clock_asked = 1;
    return 0;
}

EXPORT int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    static int (*real)(pthread_cond_t *, pthread_mutex_t *);
    if (!real)
        real = dlsym(RTLD_NEXT, "pthread_cond_wait");
    if (halted) { /* it sleeps, perhaps again: it was woken and there was nothing to do */
        leave(halted);
        pthread_mutex_lock(&lock);
        halted->bed = cond;
        pthread_mutex_unlock(&lock);
    }
    return real(cond, mutex);
}

EXPORT int pthread_cond_broadcast(pthread_cond_t *cond)
{
    static int (*real)(pthread_cond_t *);
    if (!real)
        real = dlsym(RTLD_NEXT, "pthread_cond_broadcast");
    for (int i = 0; i < processor_count; i++)
        if (__atomic_load_n(&processors[i].bed, __ATOMIC_RELAXED) == cond)
            join(&processors[i]);
    return real(cond);
}

/* ---- what is measured ---- */

static void begin_region(const struct processor *p)
{
    for (int i = 0; i < processor_count; i++) {
        base[i] = counts_of(&processors[i]);
        memset(processors[i].call, 0, sizeof processors[i].call);
    }
    begin.time = time_of(p);
    begin.late = late;
    begin.all_idle = all_idle;
    begin.idle_ns = idle_ns;
    begin.host_ns = now_ns();
    region = WITHIN;
    say("{\"kind\":\"begin\"}\n");
}

static void end_region(const struct processor *p)
{
    region = AFTER;
    for (int i = 0; i < processor_count; i++)
        say_processor(i, base[i], counts_of(&processors[i]));
    say_calls(processors, processor_count);
    say("{\"kind\":\"end\",\"time\":%llu,\"quantum\":%lld,\"late\":%llu,\"all_idle\":%llu,\"all_idle_ns\":%lld,"
        "\"host_ns\":%lld,\"clock\":%s}\n", (ull)(time_of(p) - begin.time), (long long)fine,
        (ull)(late - begin.late), (ull)(all_idle - begin.all_idle), (long long)(idle_ns - begin.idle_ns),
        (long long)(now_ns() - begin.host_ns), clock_asked ? "true" : "false");
}

/* ---- what is executed ---- */

static void on_block(unsigned number, void *what)
{
    struct processor *p = &processors[number];
    p->count += (uintptr_t)what;
    if (__builtin_expect((p->count & FULL) != 0, 0))
        end_of_quantum(p);
}

static void on_pause(unsigned number, void *address)
{
    struct processor *p = &processors[number];
    uint64_t when = executed_of(p), since = when - p->pause_when;
    p->pauses++;
    if (p->pause_address == (uintptr_t)address && since <= SPIN_LOOP)
        p->spinning += since;
    p->pause_address = (uintptr_t)address;
    p->pause_when = when;
}

static void on_mark(unsigned number, void *what)
{
    struct processor *p = &processors[number];
    unsigned mark = (uintptr_t)what, code = mark % MARK_KIND;
    switch (mark - code) {
    case MARK_CALL:
        begin_call(p, code);
        break;
    case MARK_RETURN:
        end_call(p, code);
        break;
    case MARK_PHASE:
        if (region == WITHIN)
            say_phase(processors, processor_count, code, time_of(p) - begin.time);
        break;
    case MARK_REGION:
        if (code == 0 && region == BEFORE)
            begin_region(p);
        else if (code == 1 && region == WITHIN)
            end_region(p);
    }
}

static void look_at(struct qemu_plugin_insn *insn)
{
    size_t size = qemu_plugin_insn_size(insn);
    if (size != 2 && size != 7)
        return;
#if PLUGIN_API >= 3
    uint8_t bytes[7];
    if (qemu_plugin_insn_data(insn, bytes, size) != size)
        return;
#else
    const uint8_t *bytes = qemu_plugin_insn_data(insn);
#endif
    if (size == 2 && bytes[0] == 0xf3 && bytes[1] == 0x90)
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_pause, QEMU_PLUGIN_CB_NO_REGS,
                                               (void *)(uintptr_t)qemu_plugin_insn_vaddr(insn));
    if (size == 7 && bytes[0] == 0x0f && bytes[1] == 0x1f && bytes[2] == 0x80) {
        uint32_t number = bytes[3] | bytes[4] << 8 | bytes[5] << 16 | (uint32_t)bytes[6] << 24;
        if (number >> 16 == MAGIC)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, QEMU_PLUGIN_CB_NO_REGS,
                                                   (void *)(uintptr_t)(number & 0xffff));
    }
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    uint64_t count = qemu_plugin_tb_n_insns(tb);
    bool kernel = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0)) >= kernel_from;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_NO_REGS,
                                         (void *)(uintptr_t)(kernel ? count << 32 | count : count));
    for (size_t i = 0; i < count; i++)
        look_at(qemu_plugin_tb_get_insn(tb, i));
}

/* ---- processors come and go ---- */

static void on_init(qemu_plugin_id_t id, unsigned number)
{
    struct processor *p = &processors[number];
    (void)id;
    p->count = p->start = FULL - (uint32_t)quantum;
    p->open = -1;
    join(p);
}

static void on_idle(qemu_plugin_id_t id, unsigned number)
{
    (void)id;
    halted = &processors[number];
    leave(halted);
}

static void on_resume(qemu_plugin_id_t id, unsigned number)
{
    (void)id;
    halted = NULL;
    join(&processors[number]);
}

static void on_end(qemu_plugin_id_t id, unsigned number)
{
    (void)id;
    leave(&processors[number]);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    if (!info->system_emulation || info->version.cur > NEWEST_API || info->system.max_vcpus > MOST_PROCESSORS) {
        fprintf(stderr, "lockstep: plugin API %d is not known, or no system, or more than %d processors\n",
                info->version.cur, MOST_PROCESSORS);
        return -1;
    }
    for (int i = 0; i < argc; i++)
        if (sscanf(argv[i], "fd=%d", &out) != 1 && sscanf(argv[i], "quantum=%ld", &fine) != 1 &&
            sscanf(argv[i], "kernel=%lx", &kernel_from) != 1) {
            fprintf(stderr, "lockstep: unknown argument %s\n", argv[i]);
            return -1;
        }
    if (out < 0 || fine < 512 || fine > 1000000 || !kernel_from) {
        fprintf(stderr, "lockstep: give fd, quantum (512 to 1000000) and kernel\n");
        return -1;
    }
    processor_count = info->system.max_vcpus;
    clock_from = now_ns();
    qemu_plugin_register_vcpu_init_cb(id, on_init);
    qemu_plugin_register_vcpu_idle_cb(id, on_idle);
    qemu_plugin_register_vcpu_resume_cb(id, on_resume);
    qemu_plugin_register_vcpu_exit_cb(id, on_end);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
