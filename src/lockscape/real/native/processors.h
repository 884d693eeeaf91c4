/* What the plugin lockstep.c counts of each processor, and how it tells it: lines of JSON, whose reader is
 * lockscape/real/simulator/messages.py. */
#ifndef LOCKSCAPE_PROCESSORS_H
#define LOCKSCAPE_PROCESSORS_H

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "marks.h"

#define BUCKETS 512     /* of a call's instructions: eight a power of two */
#define FULL 0x80000000u /* when a processor's quantum is used up */

struct call {
    uint64_t count, total, least, most;
    uint32_t bucket[BUCKETS];
};

struct processor {
    /* Instructions: in the lower half of `count` from FULL minus what is left of the quantum upwards, in the
     * upper half those of the kernel. So a block of code costs one addition. */
    uint64_t count;
    uint32_t start;            /* where the lower half began */
    bool present;              /* takes part in the round */
    uint64_t executed, kernel; /* before that: all instructions, and those of the kernel */
    uint64_t spinning, pauses;
    uint64_t pause_address, pause_when;
    uint64_t begun;            /* kernel instructions when the open call began */
    int open;                  /* the call that is open, -1 for none */
    uint64_t calls;            /* calls that ended ... */
    uint64_t ended[CALLS];     /* ... of each kind */
    uint64_t round;            /* in which it left the others */
    pthread_cond_t *bed;       /* what its thread sleeps on while it is idle */
    struct call call[CALLS];   /* in what is measured */
} __attribute__((aligned(128)));

struct counts {
    uint64_t user, kernel, spinning, pauses, calls;
};

static int out = -1; /* where messages go */

/* The host's time: past clock_gettime, which is the plugin's. */
static int64_t now_ns(void)
{
    struct timespec t;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t left_of(const struct processor *p) { return (int64_t)FULL - (uint32_t)p->count; }

/* Count what was executed since the last time, and give a processor so many instructions more to execute. */
static void set_left(struct processor *p, int64_t left)
{
    p->executed += (uint32_t)p->count - p->start;
    p->kernel += p->count >> 32;
    p->count = p->start = FULL - (uint32_t)left;
}

static uint64_t executed_of(const struct processor *p) { return p->executed + ((uint32_t)p->count - p->start); }
static uint64_t kernel_of(const struct processor *p) { return p->kernel + (p->count >> 32); }

static struct counts counts_of(const struct processor *p)
{
    uint64_t kernel = kernel_of(p);
    return (struct counts){ executed_of(p) - kernel, kernel, p->spinning, p->pauses, p->calls };
}

static int bucket_of(uint64_t value)
{
    if (value < 16)
        return value;
    int power = 63 - __builtin_clzll(value);
    int found = power * 8 + (value >> (power - 3) & 7) - 16; /* 16 itself is in the bucket after 15 */
    return found < BUCKETS ? found : BUCKETS - 1;
}

static void begin_call(struct processor *p, unsigned code)
{
    p->open = code < CALLS ? (int)code : -1;
    p->begun = kernel_of(p);
}

static void end_call(struct processor *p, unsigned code)
{
    if (code >= CALLS)
        return;
    p->calls++;
    p->ended[code]++;
    if (p->open == (int)code) {
        struct call *call = &p->call[code];
        uint64_t took = kernel_of(p) - p->begun;
        if (!call->count++ || took < call->least)
            call->least = took;
        if (took > call->most)
            call->most = took;
        call->total += took;
        call->bucket[bucket_of(took)]++;
    }
    p->open = -1;
}

/* Write a message. Processors write at the same time, but one after the other. */
static __attribute__((format(printf, 1, 2))) void say(const char *format, ...)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    char line[16384];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&lock);
    for (int sent = 0; sent < length; ) {
        ssize_t n = write(out, line + sent, length - sent);
        if (n < 0 && errno != EINTR)
            _exit(1); /* nobody reads any more: lockscape was killed */
        sent += n > 0 ? n : 0;
    }
    pthread_mutex_unlock(&lock);
}

typedef unsigned long long ull;

static void say_progress(const struct processor *all, int count)
{
    ull user = 0, calls = 0;
    for (int i = 0; i < count; i++) {
        user += counts_of(&all[i]).user;
        calls += all[i].calls;
    }
    say("{\"kind\":\"progress\",\"user\":%llu,\"calls\":%llu}\n", user, calls);
}

/* A process has come to a mark of its stream: when, and how many calls of each kind had ended in all. */
static void say_phase(const struct processor *all, int count, unsigned phase, uint64_t time)
{
    char ended[CALLS * 21], *at = ended;
    for (int code = 0; code < CALLS; code++) {
        uint64_t sum = 0;
        for (int i = 0; i < count; i++)
            sum += all[i].ended[code];
        at += sprintf(at, "%s%llu", code ? "," : "", (ull)sum);
    }
    say("{\"kind\":\"phase\",\"phase\":%u,\"time\":%llu,\"ended\":[%s]}\n", phase, (ull)time, ended);
}

static void say_processor(int number, struct counts from, struct counts to)
{
    say("{\"kind\":\"processor\",\"number\":%d,\"user\":%llu,\"kernel\":%llu,\"spinning\":%llu,\"pauses\":%llu,"
        "\"calls\":%llu}\n", number, (ull)(to.user - from.user), (ull)(to.kernel - from.kernel),
        (ull)(to.spinning - from.spinning), (ull)(to.pauses - from.pauses), (ull)(to.calls - from.calls));
}

static void say_call(int code, const struct call *call)
{
    char buckets[BUCKETS * 17 + 1], *at = buckets;
    *at = '\0';
    for (int k = 0; k < BUCKETS; k++)
        if (call->bucket[k])
            at += sprintf(at, "%s\"%d\":%u", at == buckets ? "" : ",", k, call->bucket[k]);
    say("{\"kind\":\"call\",\"code\":%d,\"count\":%llu,\"total\":%llu,\"least\":%llu,\"most\":%llu,"
        "\"buckets\":{%s}}\n", code, (ull)call->count, (ull)call->total, (ull)call->least, (ull)call->most,
        buckets);
}

/* Tell what calls of all processors took, a message for each kind that there was. */
static void say_calls(const struct processor *all, int count)
{
    for (int code = 0; code < CALLS; code++) {
        struct call sum = { .least = UINT64_MAX };
        for (int i = 0; i < count; i++) {
            const struct call *each = &all[i].call[code];
            if (!each->count)
                continue;
            sum.count += each->count;
            sum.total += each->total;
            sum.least = each->least < sum.least ? each->least : sum.least;
            sum.most = each->most > sum.most ? each->most : sum.most;
            for (int k = 0; k < BUCKETS; k++)
                sum.bucket[k] += each->bucket[k];
        }
        if (sum.count)
            say_call(code, &sum);
    }
}

#endif
