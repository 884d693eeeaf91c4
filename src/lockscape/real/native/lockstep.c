/* Keeps all processors of a QEMU guest in step, and counts what they execute: a TCG plugin.
 *
 * Every processor that is not idle executes a quantum of instructions, then waits for the others. One
 * instruction is one cycle, so simulated time is the number of rounds times the quantum. A processor that
 * halts leaves the round and joins the current one when it wakes up; while all are idle, time stands still.
 *
 * Only QEMU's public plugin API is used; its header is not packaged by distributions, so what is used of it
 * is declared here. PLUGIN_API is the API's version: 1 (QEMU before 9.0), 2 (9.0), or 3 and later, where the
 * bytes of an instruction are copied.
 *
 * Named in LD_PRELOAD as well, it is QEMU's clock, through the C library's clock_gettime: the guest's timers
 * then follow the simulated time, a nanosecond a cycle. Otherwise they follow the host's, and a guest has the
 * more timer interrupts the slower the host is. While all processors are idle the clock runs as the host's.
 *
 * The guest marks places with a long NOP, 0F 1F 80 and a number of 32 bits (a NOP with the operand
 * [EAX + number], or [RAX + number]): MAGIC in its upper half, what it marks in its lower one; see marks.h.
 *
 * Arguments: fd=N (where messages go, a line of JSON each), quantum=N, and kernel=HEX (the lowest address of
 * the kernel). The messages' readers are lockscape/real/simulator/messages.py.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "marks.h"

#ifndef PLUGIN_API
#error "say -DPLUGIN_API=N, the version of the plugin API of the installed QEMU"
#endif
#define EXPORT __attribute__((visibility("default")))
#define NEWEST_API 5 /* what is known; later ones change the type of callbacks */

/* ---- the plugin API ---- */

typedef uint64_t qemu_plugin_id_t;
typedef struct {
    const char *target_name;
    struct { int min, cur; } version;
    bool system_emulation;
    union {
        struct { int smp_vcpus, max_vcpus; } system;
    };
} qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
typedef void (*vcpu_cb)(qemu_plugin_id_t, unsigned);
typedef void (*udata_cb)(unsigned, void *);
typedef void (*trans_cb)(qemu_plugin_id_t, struct qemu_plugin_tb *);

void qemu_plugin_register_vcpu_init_cb(qemu_plugin_id_t, vcpu_cb);
void qemu_plugin_register_vcpu_exit_cb(qemu_plugin_id_t, vcpu_cb);
void qemu_plugin_register_vcpu_idle_cb(qemu_plugin_id_t, vcpu_cb);
void qemu_plugin_register_vcpu_resume_cb(qemu_plugin_id_t, vcpu_cb);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, trans_cb);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, udata_cb, enum qemu_plugin_cb_flags, void *);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, udata_cb, enum qemu_plugin_cb_flags, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
#if PLUGIN_API >= 3
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
#else
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
#endif

EXPORT int qemu_plugin_version = PLUGIN_API;

/* ---- state ---- */

#define MOST_PROCESSORS 256
#define PATIENCE_MS 50       /* a processor that is late by so much of the host's time is not waited for */
#define SPIN_LOOP 64         /* instructions from a PAUSE to the same one again, at most, for a loop that spins */
#define MESSAGE_NS 250000000 /* between two messages about progress */
#define BUCKETS 512          /* of a call's instructions: eight a power of two */

struct call {
    uint64_t count, total, least, most;
    uint32_t bucket[BUCKETS];
};

struct processor {
    int64_t left;                    /* instructions of the quantum still to execute */
    uint64_t user, kernel;           /* instructions executed, ever */
    uint64_t spinning, pauses;
    uint64_t pause_address, pause_when;
    uint64_t begun;                  /* kernel instructions when the open call began */
    uint64_t calls;                  /* calls that ended, ever ... */
    uint64_t ended[CALLS];           /* ... of each kind */
    uint64_t round;                  /* in which it left */
    int open;                        /* the call that is open, -1 for none */
    bool present;                    /* takes part in the round */
    struct call call[CALLS];
} __attribute__((aligned(128)));

static struct processor *processors;
static int processor_count;
static uint64_t kernel_from;         /* the lowest address of the kernel */
static int64_t fine = 2000;          /* the quantum within what is measured */
static int64_t quantum = 50000;      /* the quantum now */
static int out = -1;

enum { BEFORE, WITHIN, AFTER };
static volatile int region = BEFORE; /* what is measured, or before or after it */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int present, waiting;         /* processors in the round; those that are at its end */
static uint32_t generation;          /* of rounds, for futexes */
static volatile int64_t elapsed;     /* cycles in all rounds that have ended */
static uint64_t rounds;
static uint64_t late;                /* how often a late processor was not waited for */
static uint64_t idle_times;          /* how often all processors were idle */
static volatile int64_t idle_since, idle_ns; /* since when they are, or 0; how long they were before */
static int64_t message_at;

struct snapshot { uint64_t user, kernel, spinning, pauses, calls; };
static struct snapshot *base;
static uint64_t base_time, base_late, base_idle_times;
static int64_t base_idle_ns, base_host_ns;

static int64_t clock_from;           /* the host's nanoseconds at which QEMU's clock was taken over, or 0 */
static volatile int clock_asked;     /* whether QEMU asks for the time here */

/* ---- messages ---- */

/* The host's time: past clock_gettime, which is below. */
static int64_t now_ns(void)
{
    struct timespec t;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER;

/* Write a message. Processors write at the same time, but one after the other. */
static __attribute__((format(printf, 1, 2))) void say(const char *format, ...)
{
    char line[16384];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&out_lock);
    for (int sent = 0; sent < length; ) {
        ssize_t n = write(out, line + sent, length - sent);
        if (n < 0 && errno != EINTR)
            _exit(1); /* nobody reads any more: lockscape was killed */
        sent += n > 0 ? n : 0;
    }
    pthread_mutex_unlock(&out_lock);
}

static uint64_t all_calls(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < processor_count; i++)
        sum += processors[i].calls;
    return sum;
}

static uint64_t all_user(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < processor_count; i++)
        sum += processors[i].user;
    return sum;
}

static void say_progress(void)
{
    int64_t now = now_ns();
    if (now < message_at)
        return;
    message_at = now + MESSAGE_NS;
    say("{\"kind\":\"progress\",\"user\":%llu,\"calls\":%llu}\n",
        (unsigned long long)all_user(), (unsigned long long)all_calls());
}

/* ---- rounds ---- */

static long futex(int operation, uint32_t value, const struct timespec *timeout)
{
    return syscall(SYS_futex, &generation, operation | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

/* Begin the next round. Called with the lock. */
static void next_round(void)
{
    bool alone = waiting == 1;
    waiting = 0;
    rounds++;
    elapsed = elapsed + quantum;
    if (region == WITHIN)
        quantum = fine;
    __atomic_fetch_add(&generation, 1, __ATOMIC_RELEASE);
    if (!alone)
        futex(FUTEX_WAKE, INT32_MAX, NULL);
    if (rounds % 256 == 0)
        say_progress();
}

/* Wait for the others, for no longer than PATIENCE_MS: the late one may itself wait for this processor to
 * leave its block of code (QEMU stops all of them now and then), or the host may have no time for it. */
static void wait_for_others(uint32_t mine)
{
    struct timespec patience = { PATIENCE_MS / 1000, PATIENCE_MS % 1000 * 1000000L };
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
        next_round();
    pthread_mutex_unlock(&lock);
    if (!last)
        wait_for_others(mine);
    p->left += quantum;
    if (p->left <= 0)
        p->left = 1; /* a block longer than the quantum: at most 512 instructions */
}

static void leave(struct processor *p)
{
    pthread_mutex_lock(&lock);
    if (p->present) {
        p->present = false;
        p->round = rounds;
        present--;
        if (present == 0) {
            idle_times++;
            idle_since = now_ns();
        } else if (waiting >= present) {
            waiting++; /* they all wait, and this one is none of them */
            next_round();
        }
    }
    pthread_mutex_unlock(&lock);
}

/* Take part again: in the round that is running, from its beginning. Must not wait: QEMU's lock is held. */
static void join(struct processor *p)
{
    pthread_mutex_lock(&lock);
    if (!p->present) {
        p->present = true;
        if (present++ == 0 && idle_since) {
            idle_ns = idle_ns + (now_ns() - idle_since);
            idle_since = 0;
        }
        if (p->round != rounds)
            p->left = quantum;
    }
    pthread_mutex_unlock(&lock);
}

/* Return the simulated time of a processor, in cycles. */
static uint64_t time_of(const struct processor *p)
{
    return elapsed + idle_ns + (quantum - p->left);
}

/* ---- QEMU's clock ---- */

EXPORT int clock_gettime(clockid_t which, struct timespec *t)
{
    if (which != CLOCK_MONOTONIC || !clock_from)
        return (int)syscall(SYS_clock_gettime, which, t);
    int64_t since = idle_since, now = clock_from + elapsed + idle_ns;
    if (since)
        now += now_ns() - since;
    static int64_t latest; /* time never goes back, also where two of these numbers do not fit together */
    int64_t before = __atomic_load_n(&latest, __ATOMIC_RELAXED);
    while (now > before && !__atomic_compare_exchange_n(&latest, &before, now, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    now = now > before ? now : before;
    t->tv_sec = now / 1000000000;
    t->tv_nsec = now % 1000000000;
    clock_asked = 1;
    return 0;
}

/* ---- the region that is measured ---- */

static void begin_region(const struct processor *p)
{
    for (int i = 0; i < processor_count; i++) {
        struct processor *each = &processors[i];
        base[i] = (struct snapshot){ each->user, each->kernel, each->spinning, each->pauses, each->calls };
        memset(each->call, 0, sizeof each->call);
    }
    base_time = time_of(p);
    base_late = late;
    base_idle_times = idle_times;
    base_idle_ns = idle_ns;
    base_host_ns = now_ns();
    region = WITHIN;
    say("{\"kind\":\"begin\"}\n");
}

/* A process has come to a mark: when, and how many calls of each kind had ended in all processes. */
static void say_phase(const struct processor *p, unsigned phase)
{
    char counts[CALLS * 21], *at = counts;
    for (int code = 0; code < CALLS; code++) {
        uint64_t sum = 0;
        for (int i = 0; i < processor_count; i++)
            sum += processors[i].ended[code];
        at += sprintf(at, "%s%llu", code ? "," : "", (unsigned long long)sum);
    }
    say("{\"kind\":\"phase\",\"phase\":%u,\"time\":%llu,\"ended\":[%s]}\n", phase,
        (unsigned long long)(time_of(p) - base_time), counts);
}

static void say_call(int code, const struct call *sum)
{
    char buckets[BUCKETS * 17 + 1], *at = buckets;
    *at = '\0';
    for (int k = 0; k < BUCKETS; k++)
        if (sum->bucket[k])
            at += sprintf(at, "%s\"%d\":%u", at == buckets ? "" : ",", k, sum->bucket[k]);
    say("{\"kind\":\"call\",\"code\":%d,\"count\":%llu,\"total\":%llu,\"least\":%llu,\"most\":%llu,"
        "\"buckets\":{%s}}\n", code, (unsigned long long)sum->count, (unsigned long long)sum->total,
        (unsigned long long)sum->least, (unsigned long long)sum->most, buckets);
}

static void say_calls(void)
{
    for (int code = 0; code < CALLS; code++) {
        struct call sum = { .least = UINT64_MAX };
        for (int i = 0; i < processor_count; i++) {
            const struct call *each = &processors[i].call[code];
            if (!each->count)
                continue;
            sum.count += each->count;
            sum.total += each->total;
            sum.least = each->least < sum.least ? each->least : sum.least;
            sum.most = each->most > sum.most ? each->most : sum.most;
            for (int k = 0; k < BUCKETS; k++)
                sum.bucket[k] += each->bucket[k];
        }
        if (!sum.count)
            continue;
        say_call(code, &sum);
    }
}

static void end_region(const struct processor *p)
{
    region = AFTER;
    for (int i = 0; i < processor_count; i++) {
        const struct processor *each = &processors[i];
        const struct snapshot *from = &base[i];
        say("{\"kind\":\"processor\",\"number\":%d,\"user\":%llu,\"kernel\":%llu,\"spinning\":%llu,"
            "\"pauses\":%llu,\"calls\":%llu}\n", i,
            (unsigned long long)(each->user - from->user), (unsigned long long)(each->kernel - from->kernel),
            (unsigned long long)(each->spinning - from->spinning),
            (unsigned long long)(each->pauses - from->pauses), (unsigned long long)(each->calls - from->calls));
    }
    say_calls();
    say("{\"kind\":\"end\",\"time\":%llu,\"quantum\":%lld,\"late\":%llu,\"all_idle\":%llu,"
        "\"all_idle_ns\":%lld,\"host_ns\":%lld,\"clock\":%s}\n",
        (unsigned long long)(time_of(p) - base_time), (long long)fine, (unsigned long long)(late - base_late),
        (unsigned long long)(idle_times - base_idle_times), (long long)(idle_ns - base_idle_ns),
        (long long)(now_ns() - base_host_ns), clock_asked ? "true" : "false");
}

/* ---- what is executed ---- */

static int bucket_of(uint64_t value)
{
    if (value < 16)
        return value;
    int power = 63 - __builtin_clzll(value);
    int found = power * 8 + (value >> (power - 3) & 7) - 16; /* 16 is the first of them: 4 * 8 - 16 */
    return found < BUCKETS ? found : BUCKETS - 1;
}

static void on_block(unsigned number, void *what)
{
    struct processor *p = &processors[number];
    uintptr_t packed = (uintptr_t)what;
    int64_t count = packed >> 1;
    if (packed & 1)
        p->kernel += count;
    else
        p->user += count;
    p->left -= count;
    if (__builtin_expect(p->left <= 0, 0))
        end_of_quantum(p);
}

static void on_pause(unsigned number, void *address)
{
    struct processor *p = &processors[number];
    uint64_t when = p->user + p->kernel, since = when - p->pause_when;
    p->pauses++;
    if (p->pause_address == (uintptr_t)address && since <= SPIN_LOOP)
        p->spinning += since;
    p->pause_address = (uintptr_t)address;
    p->pause_when = when;
}

static void end_call(struct processor *p, int code)
{
    p->calls++;
    p->ended[code]++;
    if (p->open == code) {
        struct call *call = &p->call[code];
        uint64_t took = p->kernel - p->begun;
        if (!call->count++ || took < call->least)
            call->least = took;
        if (took > call->most)
            call->most = took;
        call->total += took;
        call->bucket[bucket_of(took)]++;
    }
    p->open = -1;
}

static void on_mark(unsigned number, void *what)
{
    struct processor *p = &processors[number];
    unsigned mark = (uintptr_t)what, code = mark % MARK_KIND;
    switch (mark - code) {
    case MARK_CALL:
        p->open = code < CALLS ? (int)code : -1;
        p->begun = p->kernel;
        break;
    case MARK_RETURN:
        if (code < CALLS)
            end_call(p, code);
        break;
    case MARK_PHASE:
        if (region == WITHIN)
            say_phase(p, code);
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
    size_t count = qemu_plugin_tb_n_insns(tb);
    bool kernel = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0)) >= kernel_from;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_NO_REGS,
                                         (void *)(uintptr_t)(count << 1 | kernel));
    for (size_t i = 0; i < count; i++)
        look_at(qemu_plugin_tb_get_insn(tb, i));
}

/* ---- processors come and go ---- */

static void on_init(qemu_plugin_id_t id, unsigned number)
{
    (void)id;
    processors[number].left = quantum;
    processors[number].open = -1;
    join(&processors[number]);
}

static void on_resume(qemu_plugin_id_t id, unsigned number)
{
    (void)id;
    join(&processors[number]);
}

static void on_leave(qemu_plugin_id_t id, unsigned number)
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
    processor_count = info->system.max_vcpus;
    processors = aligned_alloc(128, sizeof *processors * processor_count);
    base = calloc(processor_count, sizeof *base);
    if (!processors || !base || out < 0 || fine < 512 || !kernel_from)
        return -1;
    memset(processors, 0, sizeof *processors * processor_count);
    clock_from = now_ns();
    qemu_plugin_register_vcpu_init_cb(id, on_init);
    qemu_plugin_register_vcpu_resume_cb(id, on_resume);
    qemu_plugin_register_vcpu_idle_cb(id, on_leave);
    qemu_plugin_register_vcpu_exit_cb(id, on_leave);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
