/// The little C that Swift cannot say. Header-only where it must inline into Swift loops.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MARTLET_INLINE static inline __attribute__((always_inline))

#include "CInt8.h"
#include "CPlatformTrees.h"
#include "Vectors.h"

/// Tells the core that this is a spin loop, which saves power and yields to the sibling hardware thread.
MARTLET_INLINE void martlet_cpu_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

/// Nanoseconds of CLOCK_MONOTONIC: for durations on this machine. Some 20 ns through the vDSO; no system call.
MARTLET_INLINE uint64_t martlet_monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/// Nanoseconds since the Unix epoch, CLOCK_REALTIME: for time stamps that other machines read. It can be set back.
MARTLET_INLINE uint64_t martlet_realtime_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/// Nanoseconds of CPU time that the calling thread has used. A system call, some 200 ns.
MARTLET_INLINE uint64_t martlet_thread_cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/// Ticks of the core's constant-rate counter: the cheapest stage timer. Not ordered with the instructions around it, so it
/// is for stretches of a hundred nanoseconds and more. Its rate is found by comparing with `martlet_monotonic_ns`;
/// where there is no such counter the ticks are nanoseconds.
MARTLET_INLINE uint64_t martlet_cycles(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return martlet_monotonic_ns();
#endif
}

/// The same in order: what stands before it has ended when the counter is read, and nothing behind it has begun. Some 20 ns;
/// for stretches of any length, in benchmarks. Counters may move in steps of several ticks.
MARTLET_INLINE uint64_t martlet_cycles_in_order(void) {
#if defined(__x86_64__)
    __builtin_ia32_lfence();
    uint64_t ticks = __builtin_ia32_rdtsc();
    __builtin_ia32_lfence();
    return ticks;
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(ticks) : : "memory");
    return ticks;
#else
    return martlet_monotonic_ns();
#endif
}

/// Asks for the cache lines of `byteCount` bytes at `start`, all at once, where reading them in turn would wait for each.
MARTLET_INLINE void martlet_prefetch(const void *start, size_t byteCount) {
    for (size_t offset = 0; offset < byteCount; offset += 64) __builtin_prefetch((const char *)start + offset);
}

/// What this CPU lacks of the instruction-set level that this build was compiled for, for example "avx2", or NULL if it
/// lacks nothing. To be asked first of all by an executable. The string is static.
const char *martlet_cpu_supports_build_level(void);

/// The instruction-set level of this build: "x86-64-v3", "x86-64", "x86-64-v4 features" or "aarch64". Static.
const char *martlet_build_level(void);

/// Pins the calling thread to one CPU, counted from 0. Returns 0 or an errno value: EINVAL for a CPU that does not exist or is
/// not allowed to this process.
int martlet_thread_pin(int cpu);

/// Whether threads of this process can be pinned to one CPU, counted from 0. Returns 0 or an errno value, as `martlet_thread_pin`,
/// which it asks; the calling thread is where it was after it.
int martlet_cpu_check(int cpu);

/// Keeps the calling thread, and the threads that it makes after that, off one CPU. Returns 0 or an errno value: EINVAL if
/// it is the only one.
int martlet_thread_avoid(int cpu);

/// The CPU that the calling thread is on now, or -1.
int martlet_thread_cpu(void);

/// Names the calling thread for `ps`, `top` and debuggers; the kernel keeps 15 bytes, the rest is cut. Returns 0 or errno.
int martlet_thread_set_name(const char *name);

/// The calling thread's name, NUL-terminated, into at least 16 bytes. Returns 0 or an errno value.
int martlet_thread_get_name(char *name, int byte_count);

/// Makes the calling thread compute with subnormal numbers as IEEE 754 says (flush-to-zero and denormals-are-zero off), so
/// that results do not depend on what a library set before. Threads inherit the setting: call it first on each.
void martlet_denormals_keep(void);

/// The opposite, for tests of the above.
void martlet_denormals_flush(void);

/// Whether the calling thread keeps subnormal numbers, as operands and as results.
bool martlet_denormals_are_kept(void);

#ifdef __cplusplus
}
#endif
