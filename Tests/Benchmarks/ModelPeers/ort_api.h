// The few functions of ONNX Runtime's C interface that the harness calls.
//
// The interface is a table of function pointers whose order never changes once published; the positions below are those of
// its first version. They are named here because the wheel on PyPI has the library but no header.
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct OrtStatus OrtStatus;  // null is success
typedef struct OrtEnv OrtEnv;
typedef struct OrtSession OrtSession;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtValue OrtValue;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtAllocator OrtAllocator;
typedef struct OrtTypeInfo OrtTypeInfo;
typedef struct OrtTensorInfo OrtTensorInfo;

typedef void (*OrtFunction)(void);

struct OrtBase {
    const OrtFunction *(*table)(uint32_t version);
    const char *(*version)(void);
};

enum { ORT_TABLE_VERSION = 1, ORT_LOG_ERROR = 3, ORT_SEQUENTIAL = 0 };
enum { ORT_ARENA_ALLOCATOR = 1, ORT_DEFAULT_MEMORY = 0, ORT_FLOAT = 1 };

// X(position, name, parameters)
#define ORT_FUNCTIONS(X)                                                                                                     \
    X(3, CreateEnv, (int level, const char *name, OrtEnv **result))                                                          \
    X(7, CreateSession, (const OrtEnv *, const char *path, const OrtSessionOptions *, OrtSession **result))                  \
    X(9, Run,                                                                                                                \
      (OrtSession *, const OrtRunOptions *, const char *const *names, const OrtValue *const *inputs, size_t count,          \
       const char *const *output_names, size_t output_count, OrtValue **outputs))                                            \
    X(10, CreateSessionOptions, (OrtSessionOptions * *result))                                                               \
    X(13, SetSessionExecutionMode, (OrtSessionOptions *, int mode))                                                          \
    X(22, SetSessionLogSeverityLevel, (OrtSessionOptions *, int level))                                                      \
    X(23, SetSessionGraphOptimizationLevel, (OrtSessionOptions *, int level))                                                \
    X(24, SetIntraOpNumThreads, (OrtSessionOptions *, int count))                                                            \
    X(25, SetInterOpNumThreads, (OrtSessionOptions *, int count))                                                            \
    X(30, SessionGetInputCount, (const OrtSession *, size_t *result))                                                        \
    X(31, SessionGetOutputCount, (const OrtSession *, size_t *result))                                                       \
    X(33, SessionGetInputTypeInfo, (const OrtSession *, size_t index, OrtTypeInfo **result))                                 \
    X(34, SessionGetOutputTypeInfo, (const OrtSession *, size_t index, OrtTypeInfo **result))                                \
    X(36, SessionGetInputName, (const OrtSession *, size_t index, OrtAllocator *, char **result))                            \
    X(37, SessionGetOutputName, (const OrtSession *, size_t index, OrtAllocator *, char **result))                           \
    X(49, CreateTensorWithDataAsOrtValue,                                                                                    \
      (const OrtMemoryInfo *, void *data, size_t bytes, const int64_t *shape, size_t rank, int type, OrtValue **result))     \
    X(55, CastTypeInfoToTensorInfo, (const OrtTypeInfo *, const OrtTensorInfo **result))                                     \
    X(61, GetDimensionsCount, (const OrtTensorInfo *, size_t *result))                                                       \
    X(62, GetDimensions, (const OrtTensorInfo *, int64_t *shape, size_t rank))                                               \
    X(69, CreateCpuMemoryInfo, (int allocator, int memory, OrtMemoryInfo **result))                                          \
    X(78, GetAllocatorWithDefaultOptions, (OrtAllocator * *result))

enum { ORT_GET_ERROR_MESSAGE = 2 };

struct Ort {
    const char *(*GetErrorMessage)(const OrtStatus *);
#define ORT_FIELD(position, name, parameters) OrtStatus *(*name) parameters;
    ORT_FUNCTIONS(ORT_FIELD)
#undef ORT_FIELD
};

static inline struct Ort ort_functions(const struct OrtBase *base) {
    const OrtFunction *table = base->table(ORT_TABLE_VERSION);
    struct Ort ort = {.GetErrorMessage = (const char *(*)(const OrtStatus *))table[ORT_GET_ERROR_MESSAGE]};
#define ORT_ASSIGN(position, name, parameters) ort.name = (OrtStatus * (*) parameters) table[position];
    ORT_FUNCTIONS(ORT_ASSIGN)
#undef ORT_ASSIGN
    return ort;
}
