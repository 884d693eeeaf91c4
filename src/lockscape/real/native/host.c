/*
 * One process of `lockscape host`: maps a packed stream, goes to its folder, waits for the common start,
 * executes the stream there and prints one line.
 *
 *     worker STREAM FOLDER READY START PARENT
 *
 * FOLDER is the descriptor of a folder; READY and START are those of pipes; -1 stands for the current folder
 * and for no waiting. When everything is in memory it writes a byte to READY, then reads START, which ends
 * when the parent closes it: the start. It is killed if its parent, the process PARENT (0: any), dies.
 *
 * It prints "ok", the nanoseconds of CLOCK_MONOTONIC at the start, at the end and at each of the four marks
 * (0: none), then the user and the system microseconds and the voluntary and the involuntary switches from
 * start to end; or "failed", the call, the path and the errno (0: fewer bytes than the file should have).
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

enum { MARKS = 4 };

static long long marks[MARKS];

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

#define ON_MARK(which) (marks[(which) % MARKS] = now_ns())
#include "worker.c"

static long long microseconds(struct timeval from, struct timeval to)
{
    return (to.tv_sec - from.tv_sec) * 1000000LL + (to.tv_usec - from.tv_usec);
}

static const void *map_file(const char *path, long *bytes)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *at;
    if (fd < 0 || fstat(fd, &status) < 0)
        return 0;
    *bytes = status.st_size;
    at = mmap(0, status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    close(fd);
    return at == MAP_FAILED ? 0 : at;
}

static void wait_for_start(int ready, int start)
{
    char byte = 0;
    if (ready >= 0 && (write(ready, &byte, 1) != 1 || close(ready) < 0))
        exit(3);
    if (start >= 0 && (read(start, &byte, 1) < 0 || close(start) < 0))
        exit(3);
}

int main(int count, char **arguments)
{
    struct rusage before, after;
    long long begun, ended;
    const void *stream;
    char text[LONGEST_PATH + 64];
    long bytes;
    int result, mark;
    if (count != 6)
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (atoi(arguments[5]) != 0 && atoi(arguments[5]) != getppid())
        return 3;
    stream = map_file(arguments[1], &bytes);
    if (stream == 0 || (atoi(arguments[2]) >= 0 && fchdir(atoi(arguments[2])) < 0)) {
        printf("failed open %s %d\n", stream == 0 ? arguments[1] : ".", errno);
        return 1;
    }
    wait_for_start(atoi(arguments[3]), atoi(arguments[4]));
    getrusage(RUSAGE_SELF, &before);
    begun = now_ns();
    result = run_stream(stream, bytes, "");
    ended = now_ns();
    getrusage(RUSAGE_SELF, &after);
    if (result < 0) {
        describe_failure(text);
        printf("failed %s\n", text);
        return 1;
    }
    printf("ok %lld %lld", begun, ended);
    for (mark = 0; mark < MARKS; mark++)
        printf(" %lld", marks[mark]);
    printf(" %lld %lld %ld %ld\n", microseconds(before.ru_utime, after.ru_utime),
           microseconds(before.ru_stime, after.ru_stime), after.ru_nvcsw - before.ru_nvcsw,
           after.ru_nivcsw - before.ru_nivcsw);
    return 0;
}
