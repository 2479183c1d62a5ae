#define _GNU_SOURCE
#include "CPlatform.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

// This file is compiled for the build's level, but the check must run on a CPU that lacks it.
#define BASELINE __attribute__((target("arch=x86-64"), noinline))

/// Which vector registers the operating system saves on a context switch: without that, AVX is not usable.
BASELINE static uint64_t saved_state(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((uint64_t)high << 32) | low;
}

BASELINE const char *martlet_cpu_supports_build_level(void) {
    uint32_t a = 0, b1 = 0, c1 = 0, d1 = 0, b7 = 0, c7 = 0, d7 = 0, bx = 0, cx = 0, dx = 0, unused = 0;
    if (!__get_cpuid(1, &a, &b1, &c1, &d1)) return "cpuid";
    if (!__get_cpuid_count(7, 0, &unused, &b7, &c7, &d7)) b7 = c7 = d7 = 0;
    if (!__get_cpuid(0x80000001, &unused, &bx, &cx, &dx)) bx = cx = dx = 0;
    (void)unused, (void)c7, (void)d7;
    const uint64_t state = (c1 & bit_OSXSAVE) ? saved_state() : 0;
    (void)state, (void)b7, (void)cx;
// x86-64-v2.
#ifdef __SSE3__
    if (!(c1 & bit_SSE3)) return "sse3";
#endif
#ifdef __SSSE3__
    if (!(c1 & bit_SSSE3)) return "ssse3";
#endif
#ifdef __SSE4_1__
    if (!(c1 & bit_SSE4_1)) return "sse4.1";
#endif
#ifdef __SSE4_2__
    if (!(c1 & bit_SSE4_2)) return "sse4.2";
#endif
#ifdef __POPCNT__
    if (!(c1 & bit_POPCNT)) return "popcnt";
#endif
// x86-64-v3.
#ifdef __AVX__
    if (!(c1 & bit_OSXSAVE)) return "osxsave";
    if (!(c1 & bit_AVX)) return "avx";
    if ((state & 0x6) != 0x6) return "avx (not enabled by the operating system)";
#endif
#ifdef __AVX2__
    if (!(b7 & bit_AVX2)) return "avx2";
#endif
#ifdef __FMA__
    if (!(c1 & bit_FMA)) return "fma";
#endif
#ifdef __F16C__
    if (!(c1 & bit_F16C)) return "f16c";
#endif
#ifdef __BMI__
    if (!(b7 & bit_BMI)) return "bmi1";
#endif
#ifdef __BMI2__
    if (!(b7 & bit_BMI2)) return "bmi2";
#endif
#ifdef __LZCNT__
    if (!(cx & bit_LZCNT)) return "lzcnt";
#endif
#ifdef __MOVBE__
    if (!(c1 & bit_MOVBE)) return "movbe";
#endif
// x86-64-v4, and what `-march=native` may add for kernels.
#ifdef __AVX512F__
    if (!(b7 & bit_AVX512F)) return "avx512f";
    if ((state & 0xe6) != 0xe6) return "avx512f (not enabled by the operating system)";
#endif
#ifdef __AVX512BW__
    if (!(b7 & bit_AVX512BW)) return "avx512bw";
#endif
#ifdef __AVX512DQ__
    if (!(b7 & bit_AVX512DQ)) return "avx512dq";
#endif
#ifdef __AVX512CD__
    if (!(b7 & bit_AVX512CD)) return "avx512cd";
#endif
#ifdef __AVX512VL__
    if (!(b7 & bit_AVX512VL)) return "avx512vl";
#endif
#ifdef __AVX512VNNI__
    if (!(c7 & bit_AVX512VNNI)) return "avx512vnni";
#endif
    return 0;
}
#else
const char *martlet_cpu_supports_build_level(void) {
    return 0;
}
#endif

const char *martlet_build_level(void) {
#if defined(__AVX512F__)
    return "x86-64-v4 features";
#elif defined(__AVX2__) && defined(__FMA__) && defined(__BMI2__)
    return "x86-64-v3";
#elif defined(__x86_64__)
    return "x86-64";
#elif defined(__aarch64__)
    return "aarch64";
#else
    return "unknown";
#endif
}

int martlet_thread_pin(int cpu) {
    if (cpu < 0 || cpu >= CPU_SETSIZE) return EINVAL;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

int martlet_cpu_check(int cpu) {
    cpu_set_t before;
    int error = pthread_getaffinity_np(pthread_self(), sizeof before, &before);
    if (error) return error;
    error = martlet_thread_pin(cpu);
    if (error) return error;
    return pthread_setaffinity_np(pthread_self(), sizeof before, &before);
}

int martlet_thread_avoid(int cpu) {
    if (cpu < 0 || cpu >= CPU_SETSIZE) return EINVAL;
    cpu_set_t set;
    int error = pthread_getaffinity_np(pthread_self(), sizeof set, &set);
    if (error) return error;
    CPU_CLR(cpu, &set);
    return pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

int martlet_thread_cpu(void) {
    return sched_getcpu();
}

int martlet_thread_set_name(const char *name) {
    char cut[16] = {0};
    strncpy(cut, name, sizeof cut - 1);
    return pthread_setname_np(pthread_self(), cut);
}

int martlet_thread_get_name(char *name, int byte_count) {
    if (byte_count < 16) return ERANGE;
    return pthread_getname_np(pthread_self(), name, (size_t)byte_count);
}

// Bits that flush: MXCSR 15 (results) and 6 (operands); FPCR 24 (single, double) and 19 (half).
#if defined(__x86_64__)
typedef uint32_t control_t;
static const control_t flush_bits = (1u << 15) | (1u << 6);
static control_t control_get(void) { return __builtin_ia32_stmxcsr(); }
static void control_set(control_t value) { __builtin_ia32_ldmxcsr(value); }
#elif defined(__aarch64__)
typedef uint64_t control_t;
static const control_t flush_bits = (1u << 24) | (1u << 19);
static control_t control_get(void) {
    control_t value;
    __asm__ volatile("mrs %0, fpcr" : "=r"(value));
    return value;
}
static void control_set(control_t value) { __asm__ volatile("msr fpcr, %0" : : "r"(value)); }
#else
typedef uint32_t control_t;
static const control_t flush_bits = 0;
static control_t control_get(void) { return 0; }
static void control_set(control_t value) { (void)value; }
#endif

void martlet_denormals_keep(void) {
    control_set(control_get() & ~flush_bits);
}

void martlet_denormals_flush(void) {
    control_set(control_get() | flush_bits);
}

bool martlet_denormals_are_kept(void) {
    return (control_get() & flush_bits) == 0;
}
