// Says at the end of a process how often it has allocated. Built with CMallocCounter.c into a library for LD_PRELOAD.
#include "CMallocCounter.h"
#include <stdio.h>

__attribute__((destructor)) static void say(void) {
    fprintf(stderr, "allocations %llu\n", (unsigned long long)martlet_malloc_count_process());
}
