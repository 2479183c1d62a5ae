// Hashes what every function of CInt8.h gives for random and extreme operands, and prints the form and the hash. All forms must
// print the same hash. Free of a C library, so that it can be built for processors that this machine does not have.
#include "CInt8.h"

static uint64_t state = 0x9E3779B97F4A7C15u;
static uint64_t hash = 0xCBF29CE484222325u;

static uint64_t draw(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> 8;
}

/// Within `low` and `high`, a third of the time one of them.
static int32_t draw_in(int32_t low, int32_t high) {
    switch (draw() % 6) {
    case 0: return low;
    case 1: return high;
    default: return low + (int32_t)(draw() % (uint64_t)(high - low + 1));
    }
}

static void add(const void *bytes, int count) {
    for (int index = 0; index < count; index++) hash = (hash ^ ((const uint8_t *)bytes)[index]) * 0x100000001B3u;
}

static void add_sums(martlet_int32x8 value) {
    int32_t lanes[8];
    for (int lane = 0; lane < 8; lane++) lanes[lane] = value[lane];
    add(lanes, sizeof lanes);
}

static martlet_int32x8 draw_group(int32_t low, int32_t high) {
    int8_t bytes[4];
    for (int index = 0; index < 4; index++) bytes[index] = (int8_t)draw_in(low, high);
    return martlet_broadcast4(bytes);
}

static void products(void) {
    int8_t full[32], small[64];
    int16_t wide[16];
    martlet_int32x8 sum;
    for (int lane = 0; lane < 8; lane++) sum[lane] = draw_in(-1000000000, 1000000000);
    for (int index = 0; index < 32; index++) full[index] = (int8_t)draw_in(-128, 127);
    for (int index = 0; index < 64; index++) small[index] = (int8_t)draw_in(-63, 63);
    for (int index = 0; index < 16; index++) wide[index] = (int16_t)draw_in(-255, 255);
    martlet_int32x8 x = draw_group(0, 127), y = draw_group(0, 127), any = draw_group(-128, 127);
    add_sums(martlet_dot4(sum, x, full));
    add_sums(martlet_dot4_pair(sum, x, y, small));
    add_sums(martlet_dot2(sum, martlet_even_unsigned(any), wide));
    add_sums(martlet_dot2(sum, martlet_odd_unsigned(any), wide));
    add_sums(martlet_dot2(sum, martlet_even_signed(any), wide));
    add_sums(martlet_dot2(sum, martlet_odd_signed(any), wide));
    martlet_float32x8 floats = martlet_float_from_int32(sum);
    floats[draw() % 8] = __builtin_nanf("");
    martlet_float32x8 bounded = martlet_bound(floats, (martlet_float32x8)(-70000.0f), (martlet_float32x8)(90000.0f));
    add(&bounded, sizeof bounded);
    add_sums(martlet_load_signed(full + 3));
    add_sums(martlet_load_unsigned(full + 5));
    martlet_store_bytes(small + 1, sum);
    add(small, sizeof small);
}

static void print(const char *text, int count) {
#if defined(__x86_64__)
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(1), "D"(1), "S"(text), "d"((long)count) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long x0 __asm__("x0") = 1;
    register const char *x1 __asm__("x1") = text;
    register long x2 __asm__("x2") = count;
    register long x8 __asm__("x8") = 64;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x8) : "memory");
#endif
}

static void leave(void) {
#if defined(__x86_64__)
    __asm__ volatile("syscall" : : "a"(60), "D"(0));
#elif defined(__aarch64__)
    register long x0 __asm__("x0") = 0;
    register long x8 __asm__("x8") = 93;
    __asm__ volatile("svc 0" : : "r"(x0), "r"(x8));
#endif
}

static void run(void) {
    char line[32];
    int count = 0;
    for (int round = 0; round < 20000; round++) products();
    for (const char *form = martlet_int8_form(); *form; form++) line[count++] = *form;
    line[count++] = ' ';
    for (int shift = 60; shift >= 0; shift -= 4) line[count++] = "0123456789abcdef"[hash >> shift & 15];
    line[count++] = '\n';
    print(line, count);
    leave();
}

// The stack of a fresh process is aligned to 16 bytes, and that of a function on x86-64 is 8 off.
#if defined(__x86_64__)
__attribute__((force_align_arg_pointer))
#endif
void _start(void) { run(); }
