// Times ONNX Runtime through its C interface: one thread, all buffers made before, a step model's states going round by
// exchange of two sets of buffers.
//
//     ort_bench [--core N] [--milliseconds M] LIBRARY LEVEL MODEL.onnx...
//
// LEVEL is the graph optimisation: 0 none, 1 basic, 2 extended, 99 all. Beside MODEL.onnx lies MODEL.data/features.npy.
// Prints for each model NAME p50_ns p99_ns p999_ns timer_ns calls checksum; the timer is subtracted. The checksum is the
// sum over the ticks of the file, from a state of zeros, of p(down) + 2 p(flat) + 3 p(up).
#define _GNU_SOURCE
#include "bench_support.h"
#include "ort_api.h"

#include <dlfcn.h>

enum { VALUES_MAX = 32, RANK_MAX = 8 };

struct Tensor {
    char *name;
    int64_t shape[RANK_MAX];
    size_t rank, count;
    // Two buffers, so that the state that one call wrote is what the next one reads.
    float *data[2];
    OrtValue *value[2];
};

struct Model {
    struct Ort *ort;
    OrtSession *session;
    struct Tensor inputs[VALUES_MAX], outputs[VALUES_MAX];
    size_t input_count, output_count;
    // Of each set of buffers what a call takes.
    const OrtValue *reads[2][VALUES_MAX];
    OrtValue *writes[2][VALUES_MAX];
    const char *input_names[VALUES_MAX], *output_names[VALUES_MAX];
    float *features[2];
    const float *probabilities[2];
    struct Matrix ticks;
    int64_t window;
    int side;
};

static void check(struct Ort *ort, OrtStatus *status, const char *what) {
    if (status) fail(what, ort->GetErrorMessage(status));
}

static void describe(struct Model *model, struct Tensor *tensor, OrtTypeInfo *type) {
    struct Ort *ort = model->ort;
    const OrtTensorInfo *info;
    check(ort, ort->CastTypeInfoToTensorInfo(type, &info), tensor->name);
    check(ort, ort->GetDimensionsCount(info, &tensor->rank), tensor->name);
    if (tensor->rank > RANK_MAX) fail(tensor->name, "too many axes");
    check(ort, ort->GetDimensions(info, tensor->shape, tensor->rank), tensor->name);
    tensor->count = 1;
    for (size_t axis = 0; axis < tensor->rank; axis++) tensor->count *= (size_t)tensor->shape[axis];
}

static void allocate(struct Model *model, struct Tensor *tensor, OrtMemoryInfo *memory) {
    size_t bytes = tensor->count * sizeof(float);
    for (int side = 0; side < 2; side++) {
        tensor->data[side] = aligned_alloc(64, (bytes + 63) / 64 * 64);
        memset(tensor->data[side], 0, bytes);
        check(
            model->ort,
            model->ort->CreateTensorWithDataAsOrtValue(
                memory, tensor->data[side], bytes, tensor->shape, tensor->rank, ORT_FLOAT, &tensor->value[side]),
            tensor->name);
    }
}

// Side n reads the states that side 1 - n wrote.
static void connect(struct Model *model) {
    for (size_t o = 0; o < model->output_count; o++) {
        struct Tensor *output = &model->outputs[o];
        model->output_names[o] = output->name;
        for (int side = 0; side < 2; side++) {
            model->writes[side][o] = output->value[side];
            if (strcmp(output->name, "probabilities") == 0) model->probabilities[side] = output->data[side];
        }
    }
    for (size_t i = 0; i < model->input_count; i++) {
        struct Tensor *input = &model->inputs[i];
        model->input_names[i] = input->name;
        for (int side = 0; side < 2; side++) {
            model->reads[side][i] = input->value[side];
            if (strcmp(input->name, "features") == 0) model->features[side] = input->data[side];
        }
        for (size_t o = 0; o < model->output_count && strncmp(input->name, "state_", 6) == 0; o++) {
            struct Tensor *output = &model->outputs[o];
            size_t length = strlen(input->name);
            if (strncmp(output->name, input->name, length) != 0 || strcmp(output->name + length, "_next") != 0) continue;
            for (int side = 0; side < 2; side++) model->reads[side][i] = output->value[1 - side];
        }
    }
    if (!model->features[0] || !model->probabilities[0]) fail("model", "without features or probabilities");
}

static void before(void *context, size_t tick) {
    struct Model *model = context;
    int64_t first = (int64_t)(tick % (size_t)(model->ticks.rows - model->window + 1));
    memcpy(
        model->features[model->side], model->ticks.values + first * model->ticks.columns,
        (size_t)(model->window * model->ticks.columns) * sizeof(float));
}

static void call(void *context) {
    struct Model *model = context;
    OrtStatus *status = model->ort->Run(
        model->session, NULL, model->input_names, model->reads[model->side], model->input_count, model->output_names,
        model->output_count, model->writes[model->side]);
    if (status) fail("run", model->ort->GetErrorMessage(status));
    model->side = 1 - model->side;
}

static double checksum(struct Model *model) {
    double sum = 0;
    for (int64_t tick = 0; tick + model->window <= model->ticks.rows; tick++) {
        before(model, (size_t)tick);
        const float *p = model->probabilities[model->side];
        call(model);
        sum += p[0] + 2.0 * p[1] + 3.0 * p[2];
    }
    return sum;
}

static void load(struct Model *model, OrtEnv *environment, OrtSessionOptions *options, const char *path) {
    struct Ort *ort = model->ort;
    OrtAllocator *allocator;
    OrtMemoryInfo *memory;
    OrtTypeInfo *type;
    check(ort, ort->CreateSession(environment, path, options, &model->session), path);
    check(ort, ort->GetAllocatorWithDefaultOptions(&allocator), path);
    check(ort, ort->CreateCpuMemoryInfo(ORT_ARENA_ALLOCATOR, ORT_DEFAULT_MEMORY, &memory), path);
    check(ort, ort->SessionGetInputCount(model->session, &model->input_count), path);
    check(ort, ort->SessionGetOutputCount(model->session, &model->output_count), path);
    if (model->input_count > VALUES_MAX || model->output_count > VALUES_MAX) fail(path, "too many inputs or outputs");
    for (size_t i = 0; i < model->input_count; i++) {
        check(ort, ort->SessionGetInputName(model->session, i, allocator, &model->inputs[i].name), path);
        check(ort, ort->SessionGetInputTypeInfo(model->session, i, &type), path);
        describe(model, &model->inputs[i], type);
        allocate(model, &model->inputs[i], memory);
        if (strcmp(model->inputs[i].name, "features") == 0) model->window = model->inputs[i].shape[1];
    }
    for (size_t o = 0; o < model->output_count; o++) {
        check(ort, ort->SessionGetOutputName(model->session, o, allocator, &model->outputs[o].name), path);
        check(ort, ort->SessionGetOutputTypeInfo(model->session, o, &type), path);
        describe(model, &model->outputs[o], type);
        allocate(model, &model->outputs[o], memory);
    }
    connect(model);
}

static void bench(struct Ort *ort, OrtEnv *environment, OrtSessionOptions *options, const char *path, struct Options how) {
    static const char suffix[] = ".onnx";
    char name[1024], features[2048];
    const char *last = strrchr(path, '/');
    size_t length = strlen(path), ending = sizeof suffix - 1;
    if (length <= ending || length >= sizeof name || strcmp(path + length - ending, suffix) != 0) fail(path, "not NAME.onnx");
    snprintf(features, sizeof features, "%.*s.data/features.npy", (int)(length - ending), path);
    snprintf(name, sizeof name, "%s", last ? last + 1 : path);
    name[strlen(name) - ending] = 0;
    // Not released: the process ends with its last model.
    struct Model *model = calloc(1, sizeof *model);
    model->ort = ort;
    load(model, environment, options, path);
    model->ticks = read_npy(features);
    if (model->ticks.rows < model->window) fail(features, "shorter than the window");
    measure(name, how, checksum(model), model, before, call);
}

int main(int count, char **arguments) {
    struct Options how;
    int next = read_options(count, arguments, &how);
    if (count - next < 3) fail("usage", "ort_bench [--core N] [--milliseconds M] LIBRARY LEVEL MODEL.onnx...");
    void *library = dlopen(arguments[next], RTLD_NOW | RTLD_LOCAL);
    if (!library) fail(arguments[next], dlerror());
    const struct OrtBase *(*base)(void) = (const struct OrtBase *(*)(void))dlsym(library, "OrtGetApiBase");
    if (!base) fail(arguments[next], "not ONNX Runtime");
    struct Ort ort = ort_functions(base());
    OrtEnv *environment;
    OrtSessionOptions *options;
    pin(how.core);
    check(&ort, ort.CreateEnv(ORT_LOG_ERROR, "bench", &environment), "environment");
    check(&ort, ort.CreateSessionOptions(&options), "options");
    check(&ort, ort.SetIntraOpNumThreads(options, 1), "options");
    check(&ort, ort.SetInterOpNumThreads(options, 1), "options");
    check(&ort, ort.SetSessionExecutionMode(options, ORT_SEQUENTIAL), "options");
    check(&ort, ort.SetSessionGraphOptimizationLevel(options, atoi(arguments[next + 1])), "options");
    for (int i = next + 2; i < count; i++) bench(&ort, environment, options, arguments[i], how);
    return 0;
}
