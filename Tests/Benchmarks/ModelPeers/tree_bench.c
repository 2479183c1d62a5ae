// Times gradient-boosted trees, one row at a time.
//
//     tree_bench [--core N] [--milliseconds M] lightgbm LIBRARY MODEL.txt FEATURES.npy
//     tree_bench [--core N] [--milliseconds M] lleaves COMPILED.so FEATURES.npy
//
// Prints trees p50_ns p99_ns p999_ns timer_ns calls checksum; the checksum is the sum of the scores of all rows of the file.
#define _GNU_SOURCE
#include "bench_support.h"

#include <dlfcn.h>

enum { LIGHTGBM_FLOAT64 = 1, LIGHTGBM_RAW_SCORE = 1 };

typedef int (*Create)(const char *path, int *iterations, void **booster);
typedef int (*Prepare)(
    void *booster, int kind, int first, int iterations, int type, int32_t columns, const char *parameters, void **prepared);
typedef int (*Predict)(void *prepared, const void *row, int64_t *count, double *score);
typedef void (*Compiled)(const double *rows, double *scores, int first, int end);

struct Trees {
    // One of the two: LightGBM's function with its prepared call, or lleaves' compiled function.
    Predict predict;
    void *prepared;
    Compiled compiled;
    double *rows, *row;
    int64_t row_count, columns;
    double score;
};

static void before(void *context, size_t tick) {
    struct Trees *trees = context;
    int64_t row = (int64_t)(tick % (size_t)trees->row_count);
    memcpy(trees->row, trees->rows + row * trees->columns, (size_t)trees->columns * sizeof(double));
}

static void call(void *context) {
    struct Trees *trees = context;
    int64_t count;
    if (trees->compiled) trees->compiled(trees->row, &trees->score, 0, 1);
    else if (trees->predict(trees->prepared, trees->row, &count, &trees->score) != 0) fail("lightgbm", "prediction failed");
}

static void *symbol(void *library, const char *name) {
    void *address = dlsym(library, name);
    if (!address) fail(name, "not in the library");
    return address;
}

static void load_lightgbm(struct Trees *trees, void *library, const char *model) {
    Create create = (Create)symbol(library, "LGBM_BoosterCreateFromModelfile");
    Prepare prepare = (Prepare)symbol(library, "LGBM_BoosterPredictForMatSingleRowFastInit");
    trees->predict = (Predict)symbol(library, "LGBM_BoosterPredictForMatSingleRowFast");
    void *booster;
    int iterations, columns = (int)trees->columns;
    if (create(model, &iterations, &booster) != 0) fail(model, "LightGBM cannot read it");
    if (prepare(booster, LIGHTGBM_RAW_SCORE, 0, -1, LIGHTGBM_FLOAT64, columns, "num_threads=1", &trees->prepared) != 0)
        fail(model, "LightGBM cannot prepare the call");
}

int main(int count, char **arguments) {
    struct Options how;
    struct Trees trees = {0};
    int next = read_options(count, arguments, &how);
    if (count - next < 3) fail("usage", "tree_bench [--core N] [--milliseconds M] lightgbm|lleaves LIBRARY [MODEL] FEATURES.npy");
    int is_lightgbm = strcmp(arguments[next], "lightgbm") == 0;
    struct Matrix features = read_npy(arguments[count - 1]);
    trees.row_count = features.rows, trees.columns = features.columns;
    trees.rows = malloc((size_t)(features.rows * features.columns) * sizeof(double));
    trees.row = malloc((size_t)features.columns * sizeof(double));
    for (int64_t i = 0; i < features.rows * features.columns; i++) trees.rows[i] = features.values[i];
    pin(how.core);
    void *library = dlopen(arguments[next + 1], RTLD_NOW | RTLD_LOCAL);
    if (!library) fail(arguments[next + 1], dlerror());
    if (is_lightgbm) load_lightgbm(&trees, library, arguments[next + 2]);
    else trees.compiled = (Compiled)symbol(library, "forest_root");
    double sum = 0;
    for (int64_t row = 0; row < features.rows; row++) {
        before(&trees, (size_t)row);
        call(&trees);
        sum += trees.score;
    }
    measure("trees", how, sum, &trees, before, call);
    return 0;
}
