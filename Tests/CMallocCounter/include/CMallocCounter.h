/// Counts heap allocations, for tests and benchmarks only: linking this target replaces glibc's allocation entry points in the
/// whole program, the Swift runtime and every shared library included, by ones that count and pass on.
///
/// Counted: malloc, calloc, realloc, reallocarray, posix_memalign, aligned_alloc, memalign, valloc, pvalloc; also failing ones.
/// Not counted: free, and memory taken by mmap. Without glibc, or under a sanitizer, which has its own allocator,
/// nothing is replaced and the counter is inactive.
#pragma once
#include <stdbool.h>
#include <stdint.h>

/// Whether allocations are counted in this program. A test that demands a count of zero asks this first.
bool martlet_malloc_counter_is_active(void);

/// Allocations made so far by the calling thread.
uint64_t martlet_malloc_count_thread(void);

/// Allocations made so far by all threads of the process. Threads are not synchronised: exact once they are at rest.
uint64_t martlet_malloc_count_process(void);
