// What the peers' harnesses share: the clock, the percentiles, pinning, and reading a NumPy file.
#pragma once

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CALLS_MAX = 1 << 20, TIMER_CALLS = 100000 };

struct Options {
    int core;          // the CPU to run on; below zero any
    int milliseconds;  // aimed length of one measurement, after a fifth of it to warm up
};

struct Matrix {
    int64_t rows, columns;
    float *values;
};

static inline void fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static inline uint64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline int compare_times(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static inline double quantile(const uint32_t *sorted, size_t count, double share) {
    size_t index = (size_t)(share * (double)count);
    return sorted[index < count ? index : count - 1];
}

// The median time of a pair of readings with nothing between them.
static inline double timer_cost(void) {
    static uint32_t times[TIMER_CALLS];
    for (size_t i = 0; i < TIMER_CALLS; i++) {
        uint64_t start = nanoseconds();
        times[i] = (uint32_t)(nanoseconds() - start);
    }
    qsort(times, TIMER_CALLS, sizeof times[0], compare_times);
    return quantile(times, TIMER_CALLS, 0.5);
}

static inline void pin(int core) {
    if (core < 0) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) fail("--core", "cannot run on this CPU");
}

// Calls `call(context, tick)` for the warm-up and then for the measurement, times only what lies between `before` and the end
// of `call`, and prints: NAME p50_ns p99_ns p999_ns timer_ns calls checksum. The timer is subtracted from the percentiles.
static inline void measure(
    const char *name, struct Options options, double checksum, void *context, void (*before)(void *, size_t),
    void (*call)(void *)
) {
    static uint32_t times[CALLS_MAX];
    double timer = timer_cost();
    uint64_t length = (uint64_t)options.milliseconds * 1000000u;
    size_t tick = 0, count = 0;
    for (uint64_t end = nanoseconds() + length / 5; nanoseconds() < end;) {
        before(context, tick++);
        call(context);
    }
    for (uint64_t end = nanoseconds() + length, now = 0; now < end && count < CALLS_MAX;) {
        before(context, tick++);
        uint64_t start = nanoseconds();
        call(context);
        now = nanoseconds();
        times[count++] = (uint32_t)(now - start);
    }
    qsort(times, count, sizeof times[0], compare_times);
    printf(
        "%s %.0f %.0f %.0f %.0f %zu %.6f\n", name, quantile(times, count, 0.5) - timer, quantile(times, count, 0.99) - timer,
        quantile(times, count, 0.999) - timer, timer, count, checksum);
    fflush(stdout);
}

// A file of little-endian float32 with two axes, in C order.
static inline struct Matrix read_npy(const char *path) {
    struct Matrix matrix = {0};
    unsigned char start[10];
    char header[65536] = {0};
    FILE *file = fopen(path, "rb");
    if (!file || fread(start, 1, sizeof start, file) != sizeof start || memcmp(start, "\x93NUMPY\x01", 7) != 0)
        fail(path, "not a NumPy file of version 1");
    size_t length = start[8] | (size_t)start[9] << 8;
    if (fread(header, 1, length, file) != length || !strstr(header, "'<f4'") || !strstr(header, "'fortran_order': False"))
        fail(path, "not float32 in C order");
    long long rows = 0, columns = 0;
    const char *shape = strstr(header, "'shape': (");
    if (!shape || sscanf(shape, "'shape': (%lld, %lld)", &rows, &columns) != 2 || rows < 1 || columns < 1)
        fail(path, "not two axes");
    size_t count = (size_t)rows * (size_t)columns;
    matrix = (struct Matrix){rows, columns, aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64)};
    if (!matrix.values || fread(matrix.values, sizeof(float), count, file) != count) fail(path, "shorter than its header says");
    fclose(file);
    return matrix;
}

// Takes --core N and --milliseconds M from the front of the arguments and returns how many they were.
static inline int read_options(int count, char **arguments, struct Options *options) {
    int taken = 1;
    *options = (struct Options){.core = -1, .milliseconds = 300};
    for (; taken + 1 < count && strncmp(arguments[taken], "--", 2) == 0; taken += 2) {
        if (strcmp(arguments[taken], "--core") == 0) options->core = atoi(arguments[taken + 1]);
        else if (strcmp(arguments[taken], "--milliseconds") == 0) options->milliseconds = atoi(arguments[taken + 1]);
        else fail(arguments[taken], "unknown option");
    }
    return taken;
}
