/// The little C that Swift cannot say. Header-only where it must inline into Swift loops.
#pragma once
#include <stdint.h>

/// Tells the core that this is a spin loop, which saves power and yields to the sibling hardware thread.
static inline __attribute__((always_inline)) void martlet_cpu_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}
