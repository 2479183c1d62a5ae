/// Vector instructions that Swift's SIMD types do not give.
#pragma once

/// Swift sees it as SIMD8<Float>.
typedef float martlet_float8 __attribute__((ext_vector_type(8)));

/// Eight roots in one instruction, where Swift's `squareRoot()` goes lane by lane and through the C library.
static inline __attribute__((always_inline)) martlet_float8 martlet_square_root8(martlet_float8 x) {
    return __builtin_elementwise_sqrt(x);
}
