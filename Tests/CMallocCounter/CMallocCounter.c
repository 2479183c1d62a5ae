#define _GNU_SOURCE
#include "CMallocCounter.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

// The executable's symbols come before those of any shared library, so every caller in the process, libc included, arrives
// here. glibc documents that malloc may be replaced so, and keeps its own under the `__libc_` names: no dlsym,
// which itself allocates. `free` stays glibc's, because the memory is.
#if defined(__GLIBC__) && !defined(SANITIZED)

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void *__libc_valloc(size_t);
extern void *__libc_pvalloc(size_t);

// Initial-exec: an offset from the thread pointer, where the general model may allocate at a thread's first access.
static _Thread_local uint64_t thread_count __attribute__((tls_model("initial-exec")));
static uint64_t process_count;

static void count(void) {
    thread_count += 1;
    __atomic_fetch_add(&process_count, 1, __ATOMIC_RELAXED);
}

void *malloc(size_t size) {
    count();
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    count();
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
    count();
    return __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t number, size_t size) {
    size_t total;
    count();
    if (__builtin_mul_overflow(number, size, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_realloc(old, total);
}

void *memalign(size_t alignment, size_t size) {
    count();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    count();
    if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) return EINVAL;
    const int before = errno;  // POSIX: the error is the result, errno stays.
    void *memory = __libc_memalign(alignment, size);
    errno = before;
    if (memory == NULL) return ENOMEM;
    *result = memory;
    return 0;
}

void *valloc(size_t size) {
    count();
    return __libc_valloc(size);
}

void *pvalloc(size_t size) {
    count();
    return __libc_pvalloc(size);
}

bool martlet_malloc_counter_is_active(void) { return true; }
uint64_t martlet_malloc_count_thread(void) { return thread_count; }
uint64_t martlet_malloc_count_process(void) { return __atomic_load_n(&process_count, __ATOMIC_RELAXED); }

#else

bool martlet_malloc_counter_is_active(void) { return false; }
uint64_t martlet_malloc_count_thread(void) { return 0; }
uint64_t martlet_malloc_count_process(void) { return 0; }

#endif
