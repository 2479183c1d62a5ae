/// Vector instructions that Swift's SIMD types do not give.
#pragma once

/// Swift sees it as SIMD8<Float>.
typedef float martlet_float8 __attribute__((ext_vector_type(8)));

/// Eight roots in one instruction, where Swift's `squareRoot()` goes lane by lane and through the C library.
static inline __attribute__((always_inline)) martlet_float8 martlet_square_root8(martlet_float8 x) {
    return __builtin_elementwise_sqrt(x);
}

/// a + x · y, rounded once. Swift's `addingProduct` is written lane by lane, and the compiler does not find back to
/// vectors in long functions.
static inline __attribute__((always_inline)) martlet_float8 martlet_add_product8(
    martlet_float8 a, martlet_float8 x, martlet_float8 y) {
    return __builtin_elementwise_fma(x, y, a);
}

/// All bits set where the comparison holds, which it does not for NaN. Swift sees it as SIMD8<Int32>.
typedef int martlet_mask8 __attribute__((ext_vector_type(8)));

static inline __attribute__((always_inline)) martlet_mask8 martlet_less8(martlet_float8 x, martlet_float8 y) {
    return x < y;
}

static inline __attribute__((always_inline)) martlet_mask8 martlet_equal8(martlet_float8 x, martlet_float8 y) {
    return x == y;
}

/// `yes` where the mask's highest bit is set, otherwise `no`. Swift's `replacing(with:where:)` with two vectors may
/// become a branch for each lane.
static inline __attribute__((always_inline)) martlet_float8 martlet_select8(
    martlet_mask8 mask, martlet_float8 yes, martlet_float8 no) {
    return mask ? yes : no;
}
