/// Scoring of decision trees: what Swift's SIMD types cannot say. Byte look-ups by a vector of indices and gathers are single
/// instructions (pshufb, vgatherdps; tbl) for which Swift 6.3 has no spelling. Included by CPlatform.h.
#pragma once
#include <stdint.h>
#include <string.h>
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

// Without AVX the vectors below have no fixed calling convention; all of these functions are inlined, so that none is needed.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpsabi"

typedef uint8_t martlet_tree_bytes __attribute__((vector_size(32)));
typedef int8_t martlet_tree_signed_bytes __attribute__((vector_size(32)));
typedef char martlet_tree_chars __attribute__((vector_size(32)));
typedef int32_t martlet_tree_indices __attribute__((vector_size(32)));
typedef float martlet_tree_floats __attribute__((vector_size(32)));

/// Columns of features in one look-up: four registers of 16 bytes.
enum { martlet_tree_pass_columns = 64 };

/// The byte by which `martlet_tree_group` finds column 0...63 of a pass. Which bits it takes differs between instruction sets.
MARTLET_INLINE uint8_t martlet_tree_column_code(int column) {
#if defined(__AVX2__)
    // pshufb reads bits 0-3 and gives 0 where bit 7 is set; bit 6 chooses between neighbouring tables.
    return (uint8_t)((column & 15) | (column & 16) << 2 | (column & 32) << 2);
#else
    return (uint8_t)column;
#endif
}

MARTLET_INLINE martlet_tree_bytes martlet_tree_load(const void *from) {
    martlet_tree_bytes value;
    memcpy(&value, from, sizeof value);
    return value;
}

#if defined(__AVX2__)
/// 16 bytes, once in each half.
MARTLET_INLINE martlet_tree_bytes martlet_tree_table(const uint8_t *from) {
    typedef uint8_t half_bytes __attribute__((vector_size(16)));
    half_bytes half;
    memcpy(&half, from, sizeof half);
    return __builtin_shufflevector(half, half, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7,
                                   8, 9, 10, 11, 12, 13, 14, 15);
}

MARTLET_INLINE martlet_tree_bytes martlet_tree_shuffle(martlet_tree_bytes table, martlet_tree_bytes index) {
    return (martlet_tree_bytes)__builtin_ia32_pshufb256((martlet_tree_chars)table, (martlet_tree_chars)index);
}
#endif

/// For each byte of `bits` the number of its lowest set bit, or 128 if none is set.
MARTLET_INLINE martlet_tree_bytes martlet_tree_lowest_bit(martlet_tree_bytes bits) {
#if defined(__AVX2__)
    static const uint8_t low[16] = {128, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0};
    static const uint8_t high[16] = {128, 4, 5, 4, 6, 4, 5, 4, 7, 4, 5, 4, 6, 4, 5, 4};
    martlet_tree_bytes fromLow = martlet_tree_shuffle(martlet_tree_table(low), bits & 15);
    martlet_tree_bytes fromHigh = martlet_tree_shuffle(martlet_tree_table(high), bits >> 4);
    return __builtin_elementwise_min(fromLow, fromHigh);
#else
    martlet_tree_bytes below = (bits - 1) & ~bits;  // Ones under the lowest set bit.
    below = below - ((below >> 1) & 0x55);
    below = (below & 0x33) + ((below >> 2) & 0x33);
    below = (below + (below >> 4)) & 15;
    martlet_tree_bytes none = (martlet_tree_bytes)(bits == 0);
    return (below & ~none) | (none & 128);
#endif
}

/// Look-up of 32 bytes among the 64 of a pass.
typedef struct {
#if defined(__AVX2__)
    martlet_tree_bytes tables[4];
#elif defined(__aarch64__)
    uint8x16x4_t tables;
#else
    uint8_t tables[64];
#endif
} martlet_tree_columns;

MARTLET_INLINE martlet_tree_columns martlet_tree_columns_load(const uint8_t *ranks) {
    martlet_tree_columns columns;
#if defined(__AVX2__)
    for (int block = 0; block < 4; block++) columns.tables[block] = martlet_tree_table(ranks + 16 * block);
#elif defined(__aarch64__)
    columns.tables = vld1q_u8_x4(ranks);
#else
    memcpy(columns.tables, ranks, 64);
#endif
    return columns;
}

MARTLET_INLINE martlet_tree_bytes martlet_tree_lookup(const martlet_tree_columns *columns, martlet_tree_bytes code) {
#if defined(__AVX2__)
    martlet_tree_bytes other = code ^ 128;
    martlet_tree_bytes even = martlet_tree_shuffle(columns->tables[0], code) | martlet_tree_shuffle(columns->tables[2], other);
    martlet_tree_bytes odd = martlet_tree_shuffle(columns->tables[1], code) | martlet_tree_shuffle(columns->tables[3], other);
    return (martlet_tree_bytes)__builtin_ia32_pblendvb256((martlet_tree_chars)even, (martlet_tree_chars)odd,
                                                          (martlet_tree_chars)(code + code));
#elif defined(__aarch64__)
    martlet_tree_bytes result;
    uint8x16_t first, second;
    memcpy(&first, &code, 16);
    memcpy(&second, (const char *)&code + 16, 16);
    first = vqtbl4q_u8(columns->tables, first);
    second = vqtbl4q_u8(columns->tables, second);
    memcpy(&result, &first, 16);
    memcpy((char *)&result + 16, &second, 16);
    return result;
#else
    martlet_tree_bytes result;
    for (int lane = 0; lane < 32; lane++) result[lane] = columns->tables[code[lane] & 63];
    return result;
#endif
}

/// The body of `martlet_tree_group` for a constant number of planes, so that the planes stay in registers.
MARTLET_INLINE const uint8_t *martlet_tree_group_of(const int planes, const uint8_t *ranks, const int32_t *slotCounts,
                                                    int passes, const uint8_t *slots, const int32_t *bases,
                                                    int32_t *leaves) {
    martlet_tree_bytes alive[8];
    for (int plane = 0; plane < planes; plane++) alive[plane] = (martlet_tree_bytes){} - 1;
    for (int pass = 0; pass < passes; pass++) {
        martlet_tree_columns columns = martlet_tree_columns_load(ranks + martlet_tree_pass_columns * pass);
        for (int slot = slotCounts[pass]; slot > 0; slot--) {
            martlet_tree_bytes rank = martlet_tree_lookup(&columns, martlet_tree_load(slots));
            martlet_tree_bytes isTrue = (martlet_tree_bytes)((martlet_tree_signed_bytes)martlet_tree_load(slots + 32)
                                                            > (martlet_tree_signed_bytes)rank);
#pragma clang loop unroll(full)
            for (int plane = 0; plane < planes; plane++) {
                alive[plane] &= isTrue | martlet_tree_load(slots + 64 + 32 * plane);
            }
            slots += 64 + 32 * planes;
        }
    }
    martlet_tree_bytes leaf = martlet_tree_lowest_bit(alive[0]);
#pragma clang loop unroll(full)
    for (int plane = 1; plane < planes; plane++) {
        leaf = __builtin_elementwise_min(leaf, martlet_tree_lowest_bit(alive[plane]) + (uint8_t)(8 * plane));
    }
    for (int octet = 0; octet < 4; octet++) {
        typedef uint8_t eight_bytes __attribute__((vector_size(8)));
        eight_bytes part;
        martlet_tree_indices base;
        memcpy(&part, (const char *)&leaf + 8 * octet, 8);
        memcpy(&base, bases + 8 * octet, 32);
        martlet_tree_indices index = __builtin_convertvector(part, martlet_tree_indices) + base;
        memcpy(leaves + 8 * octet, &index, 32);
    }
    return slots;
}

/// The leaves that 32 trees end in.
///
/// A slot holds one node of each of the 32 trees: 32 column codes, 32 signed bounds and for each plane 32 bytes of mask, in
/// which the bits of the leaves under the node's true side are 0. A node is true if its column's rank is below its bound. A
/// false one takes the leaves of its mask out; the first leaf that is left, in the order true side first, is the one that a
/// walk would reach. After Lucchese et al., "QuickScorer" (2015), with trees in place of documents in the lanes and ranks of
/// 8 bits in place of floats.
///
/// - planes: 1, 2, 4 or 8 bytes of leaves.
/// - ranks: 64 signed bytes for each pass.
/// - slotCounts: The number of slots of each pass.
/// - bases: 32 numbers to which the leaf's is added.
/// - leaves: Room for 32 results.
/// Returns the end of the slots.
MARTLET_INLINE const uint8_t *martlet_tree_group(int planes, const uint8_t *ranks, const int32_t *slotCounts, int passes,
                                                 const uint8_t *slots, const int32_t *bases, int32_t *leaves) {
    switch (planes) {
    case 1: return martlet_tree_group_of(1, ranks, slotCounts, passes, slots, bases, leaves);
    case 2: return martlet_tree_group_of(2, ranks, slotCounts, passes, slots, bases, leaves);
    case 4: return martlet_tree_group_of(4, ranks, slotCounts, passes, slots, bases, leaves);
    default: return martlet_tree_group_of(8, ranks, slotCounts, passes, slots, bases, leaves);
    }
}

/// Eight floats at eight places.
MARTLET_INLINE martlet_tree_floats martlet_tree_gather(const float *from, const int32_t *places) {
    martlet_tree_floats result;
#if defined(__AVX2__)
    martlet_tree_indices index;
    memcpy(&index, places, sizeof index);
    martlet_tree_indices all = (martlet_tree_indices){} - 1;
    result = (martlet_tree_floats)__builtin_ia32_gatherd_ps256((martlet_tree_floats){}, from, index, (martlet_tree_floats)all, 4);
#else
    for (int lane = 0; lane < 8; lane++) result[lane] = from[places[lane]];
#endif
    return result;
}

/// The low byte of each of eight numbers, to 8 bytes. Swift's conversion goes lane by lane.
MARTLET_INLINE void martlet_tree_narrow(martlet_tree_indices numbers, void *to) {
    typedef int8_t eight_bytes __attribute__((vector_size(8)));
    eight_bytes bytes = __builtin_convertvector(numbers, eight_bytes);
    memcpy(to, &bytes, sizeof bytes);
}

#pragma clang diagnostic pop
