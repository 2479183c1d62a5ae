/// Products of 8-bit and 16-bit integers summed in 32 bits, which Swift's SIMD types cannot express.
///
/// Each function exists in five forms, chosen by what the build is compiled for: VNNI (AVX-512 or AVX), AVX2, NEON with
/// dot products, NEON, and plain C. Within the ranges that each function states, all forms give the same integers: every
/// partial sum is exact, so that the order of additions cannot matter. AVX2 is the form that the layout of the weights
/// and the ranges were made for.
///
/// Header-only, and free of any other header of this module, so that it inlines into Swift loops and compiles for targets that
/// have no C library. The byte order is little-endian on all of them.
#pragma once
#include <stdint.h>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

#ifndef MARTLET_INLINE
#define MARTLET_INLINE static inline __attribute__((always_inline))
#endif

#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
#define MARTLET_INT8_FORM "avx512vnni"
#define MARTLET_DPBUSD(sum, x, w) _mm256_dpbusd_epi32(sum, x, w)
#define MARTLET_DPWSSD(sum, x, w) _mm256_dpwssd_epi32(sum, x, w)
#elif defined(__AVXVNNI__) && defined(__AVX2__)
#define MARTLET_INT8_FORM "avxvnni"
#define MARTLET_DPBUSD(sum, x, w) _mm256_dpbusd_avx_epi32(sum, x, w)
#define MARTLET_DPWSSD(sum, x, w) _mm256_dpwssd_avx_epi32(sum, x, w)
#elif defined(__AVX2__)
#define MARTLET_INT8_FORM "avx2"
#elif defined(__ARM_NEON) && defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#define MARTLET_INT8_FORM "neon-dotprod"
#elif defined(__ARM_NEON) && defined(__aarch64__)
#define MARTLET_INT8_FORM "neon"
#else
#define MARTLET_INT8_FORM "plain"
#endif

/// 8 sums, or 8 times the same 4 bytes or 2 halfwords. `SIMD8<Int32>` in Swift.
typedef int32_t martlet_int32x8 __attribute__((ext_vector_type(8)));
typedef int8_t martlet_int8x8 __attribute__((ext_vector_type(8)));
typedef uint8_t martlet_uint8x8 __attribute__((ext_vector_type(8)));
typedef int16_t martlet_int16x16 __attribute__((ext_vector_type(16)));
typedef uint16_t martlet_uint16x16 __attribute__((ext_vector_type(16)));
/// 8 floats. `SIMD8<Float>` in Swift.
typedef float martlet_float32x8 __attribute__((ext_vector_type(8)));

/// Which form this build has: "avx512vnni", "avxvnni", "avx2", "neon-dotprod", "neon" or "plain". Static.
MARTLET_INLINE const char *martlet_int8_form(void) { return MARTLET_INT8_FORM; }

#if defined(__AVX2__)

MARTLET_INLINE __m256i martlet_load32(const void *bytes) { return _mm256_loadu_si256((const __m256i *)bytes); }

#elif defined(__ARM_NEON) && defined(__aarch64__)

MARTLET_INLINE int32x4_t martlet_low4(martlet_int32x8 value) {
    int32x4_t result = {value[0], value[1], value[2], value[3]};
    return result;
}

MARTLET_INLINE int32x4_t martlet_high4(martlet_int32x8 value) {
    int32x4_t result = {value[4], value[5], value[6], value[7]};
    return result;
}

MARTLET_INLINE martlet_int32x8 martlet_join4(int32x4_t low, int32x4_t high) {
    martlet_int32x8 result = {low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]};
    return result;
}

/// 4 outputs of a group, or of two groups whose products are added in 16 bits first.
MARTLET_INLINE int32x4_t martlet_dot4_quarter(int32x4_t sum, int8x16_t x, int8x16_t w) {
#if defined(__ARM_FEATURE_DOTPROD)
    return vdotq_s32(sum, x, w);
#else
    int16x8_t low = vmull_s8(vget_low_s8(x), vget_low_s8(w));
    int16x8_t high = vmull_high_s8(x, w);
    return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
#endif
}

MARTLET_INLINE int32x4_t martlet_dot2_quarter(int32x4_t sum, int16x8_t x, int16x8_t w) {
    int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(w));
    int32x4_t high = vmull_high_s16(x, w);
    return vaddq_s32(sum, vpaddq_s32(low, high));
}

#endif

/// The 4 bytes at `bytes`, which need no alignment, 8 times over.
MARTLET_INLINE martlet_int32x8 martlet_broadcast4(const void *bytes) {
    int32_t group;
    __builtin_memcpy(&group, bytes, sizeof group);
    return (martlet_int32x8)(group);
}

/// Bytes 0 and 2 of each 4 as halfwords without a sign: 0...255.
MARTLET_INLINE martlet_int32x8 martlet_even_unsigned(martlet_int32x8 x) { return x & 0x00FF00FF; }

/// Bytes 1 and 3 of each 4 as halfwords without a sign: 0...255.
MARTLET_INLINE martlet_int32x8 martlet_odd_unsigned(martlet_int32x8 x) {
    return (martlet_int32x8)((martlet_uint16x16)x >> 8);
}

/// Bytes 0 and 2 of each 4 as halfwords with a sign: -128...127.
MARTLET_INLINE martlet_int32x8 martlet_even_signed(martlet_int32x8 x) {
    return (martlet_int32x8)((martlet_int16x16)((martlet_uint16x16)x << 8) >> 8);
}

/// Bytes 1 and 3 of each 4 as halfwords with a sign: -128...127.
MARTLET_INLINE martlet_int32x8 martlet_odd_signed(martlet_int32x8 x) {
    return (martlet_int32x8)((martlet_int16x16)x >> 8);
}

/// Adds to each of 8 sums the products of 4 inputs with that output's 4 weights.
///
/// - x: The 4 inputs, one byte each and 0...127, 8 times over.
/// - weights: 32 signed bytes: 4 of the first output, 4 of the second, and so on; -128...127 (127 · 128 · 2 fits 16 bits).
MARTLET_INLINE martlet_int32x8 martlet_dot4(martlet_int32x8 sum, martlet_int32x8 x, const void *weights) {
#if defined(MARTLET_DPBUSD)
    return (martlet_int32x8)MARTLET_DPBUSD((__m256i)sum, (__m256i)x, martlet_load32(weights));
#elif defined(__AVX2__)
    __m256i products = _mm256_maddubs_epi16((__m256i)x, martlet_load32(weights));
    return sum + (martlet_int32x8)_mm256_madd_epi16(products, _mm256_set1_epi16(1));
#elif defined(__ARM_NEON) && defined(__aarch64__)
    const int8_t *w = (const int8_t *)weights;
    int32x4_t low = martlet_dot4_quarter(martlet_low4(sum), vreinterpretq_s8_s32(martlet_low4(x)), vld1q_s8(w));
    int32x4_t high = martlet_dot4_quarter(martlet_high4(sum), vreinterpretq_s8_s32(martlet_high4(x)), vld1q_s8(w + 16));
    return martlet_join4(low, high);
#else
    const int8_t *w = (const int8_t *)weights;
    for (int output = 0; output < 8; output++) {
        for (int input = 0; input < 4; input++) {
            sum[output] += (int32_t)((uint32_t)x[output] >> (8 * input) & 0xFF) * w[4 * output + input];
        }
    }
    return sum;
#endif
}

/// `martlet_dot4` of two groups of inputs in one step: on AVX2 their products are added in 16 bits before they are widened, which
/// saves one multiplication in four.
///
/// - weights: 64 bytes, those of `x` and then those of `y`; -63...63 (4 · 127 · 63 = 32,004 fits 16 bits).
MARTLET_INLINE martlet_int32x8 martlet_dot4_pair(
    martlet_int32x8 sum, martlet_int32x8 x, martlet_int32x8 y, const void *weights) {
    const int8_t *w = (const int8_t *)weights;
#if defined(__AVX2__) && !defined(MARTLET_DPBUSD)
    __m256i first = _mm256_maddubs_epi16((__m256i)x, martlet_load32(w));
    __m256i second = _mm256_maddubs_epi16((__m256i)y, martlet_load32(w + 32));
    __m256i products = _mm256_add_epi16(first, second);
    return sum + (martlet_int32x8)_mm256_madd_epi16(products, _mm256_set1_epi16(1));
#else
    return martlet_dot4(martlet_dot4(sum, x, w), y, w + 32);
#endif
}

/// Adds to each of 8 sums the products of 2 inputs with that output's 2 weights.
///
/// - x: The 2 inputs as signed halfwords, 8 times over. Any but that two products of -32,768 · -32,768 do not fit.
/// - weights: 16 signed halfwords: 2 of the first output, 2 of the second, and so on.
MARTLET_INLINE martlet_int32x8 martlet_dot2(martlet_int32x8 sum, martlet_int32x8 x, const void *weights) {
#if defined(MARTLET_DPWSSD)
    return (martlet_int32x8)MARTLET_DPWSSD((__m256i)sum, (__m256i)x, martlet_load32(weights));
#elif defined(__AVX2__)
    return sum + (martlet_int32x8)_mm256_madd_epi16((__m256i)x, martlet_load32(weights));
#elif defined(__ARM_NEON) && defined(__aarch64__)
    const int16_t *w = (const int16_t *)weights;
    int32x4_t low = martlet_dot2_quarter(martlet_low4(sum), vreinterpretq_s16_s32(martlet_low4(x)), vld1q_s16(w));
    int32x4_t high = martlet_dot2_quarter(martlet_high4(sum), vreinterpretq_s16_s32(martlet_high4(x)), vld1q_s16(w + 8));
    return martlet_join4(low, high);
#else
    const int16_t *w = (const int16_t *)weights;
    for (int output = 0; output < 8; output++) {
        int32_t low = (int16_t)(uint16_t)((uint32_t)x[output] & 0xFFFF);
        int32_t high = (int16_t)(uint16_t)((uint32_t)x[output] >> 16);
        sum[output] += low * w[2 * output] + high * w[2 * output + 1];
    }
    return sum;
#endif
}

/// 8 integers as floats, rounded to the nearest, halves to even.
MARTLET_INLINE martlet_float32x8 martlet_float_from_int32(martlet_int32x8 value) {
    return __builtin_convertvector(value, martlet_float32x8);
}

/// `value` within `low` and `high`; `low` where it is NaN. Instructions of their own, which Swift's `replacing` is not made into.
MARTLET_INLINE martlet_float32x8 martlet_bound(
    martlet_float32x8 value, martlet_float32x8 low, martlet_float32x8 high) {
    value = value > low ? value : low;
    return value < high ? value : high;
}

/// The 8 bytes at `bytes`, 0...255.
MARTLET_INLINE martlet_int32x8 martlet_load_unsigned(const void *bytes) {
    martlet_uint8x8 value;
    __builtin_memcpy(&value, bytes, sizeof value);
    return __builtin_convertvector(value, martlet_int32x8);
}

/// The 8 bytes at `bytes`, -128...127.
MARTLET_INLINE martlet_int32x8 martlet_load_signed(const void *bytes) {
    martlet_int8x8 value;
    __builtin_memcpy(&value, bytes, sizeof value);
    return __builtin_convertvector(value, martlet_int32x8);
}

/// Stores the lowest byte of each of 8 integers.
MARTLET_INLINE void martlet_store_bytes(void *bytes, martlet_int32x8 value) {
    martlet_uint8x8 result = __builtin_convertvector(value, martlet_uint8x8);
    __builtin_memcpy(bytes, &result, sizeof result);
}
