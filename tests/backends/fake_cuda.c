/* A CUDA driver without a GPU, strict about what real ones are strict about.
 *
 * Memory calls need a current context.  Copies are queued and done when their stream is
 * synchronised.  What is alive is counted, so that tests see leaks and double frees.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500, NOT_SUPPORTED = 801,
       INVALID_DEVICE = 101, INVALID_CONTEXT = 201 };

typedef struct Copy { void *to; const void *from; size_t size; struct Copy *next; } Copy;
typedef struct { Copy *first, **last; } Stream;

static int context;                        /* its address is the primary context */
static __thread void *stack[64];
static __thread int depth;
static long retained, device_blocks, host_blocks, streams, events, blocking;
static size_t room = (size_t)1 << 30;

long fake_count(const char *what) {
    if (!strcmp(what, "retained")) return retained;
    if (!strcmp(what, "device")) return device_blocks;
    if (!strcmp(what, "host")) return host_blocks;
    if (!strcmp(what, "streams")) return streams;
    if (!strcmp(what, "events")) return events;
    if (!strcmp(what, "depth")) return depth;
    if (!strcmp(what, "blocking streams")) return blocking;
    return -1;
}
void fake_room(size_t bytes) { room = bytes; }

#define NEEDS_CONTEXT if (!depth || !stack[depth - 1]) return INVALID_CONTEXT

int cuInit(unsigned flags) { return flags ? INVALID_VALUE : OK; }
int cuDriverGetVersion(int *v) { *v = 12060; return OK; }
int cuDeviceGetCount(int *n) { *n = 1; return OK; }
int cuDeviceGet(int *d, int i) { *d = i; return i ? INVALID_DEVICE : OK; }
int cuDeviceGetName(char *name, int size, int d) { snprintf(name, size, "Fake GPU"); return OK; }
int cuDeviceTotalMem_v2(size_t *size, int d) { *size = (size_t)8 << 30; return OK; }
int cuDeviceComputeCapability(int *major, int *minor, int d) { *major = 8, *minor = 7; return OK; }
int cuDeviceGetAttribute(int *value, int attribute, int d) {
    *value = attribute == 75 ? 8 : attribute == 76 ? 7 : attribute == 16 ? 14 : 0;
    return OK;
}
int cuDevicePrimaryCtxRetain(void **c, int d) { retained++; *c = &context; return OK; }
int cuDevicePrimaryCtxRelease_v2(int d) { retained--; return OK; }
int cuCtxPushCurrent_v2(void *c) { stack[depth++] = c; return OK; }
int cuCtxPopCurrent_v2(void **c) {
    if (!depth) return INVALID_CONTEXT;
    void *top = stack[--depth];
    if (c) *c = top;
    return OK;
}
int cuCtxGetCurrent(void **c) { *c = depth ? stack[depth - 1] : NULL; return OK; }
int cuCtxGetDevice(int *d) { NEEDS_CONTEXT; *d = 0; return OK; }
int cuCtxSynchronize(void) { NEEDS_CONTEXT; return OK; }

int cuMemAlloc_v2(uint64_t *p, size_t size) {
    NEEDS_CONTEXT;
    if (size > room) return OUT_OF_MEMORY;
    *p = (uint64_t)(uintptr_t)calloc(1, size);
    device_blocks++;
    return OK;
}
int cuMemFree_v2(uint64_t p) { NEEDS_CONTEXT; free((void *)(uintptr_t)p); device_blocks--; return OK; }
int cuMemHostAlloc(void **p, size_t size, unsigned flags) {
    NEEDS_CONTEXT;
    if (size > room) return OUT_OF_MEMORY;
    *p = calloc(1, size);
    host_blocks++;
    return OK;
}
int cuMemAllocHost_v2(void **p, size_t size) { return cuMemHostAlloc(p, size, 0); }
int cuMemFreeHost(void *p) { NEEDS_CONTEXT; free(p); host_blocks--; return OK; }

int cuStreamCreate(void **s, unsigned flags) {
    NEEDS_CONTEXT;
    Stream *made = calloc(1, sizeof *made);
    made->last = &made->first;
    *s = made;
    streams++;
    blocking += !(flags & 1);
    return OK;
}
int cuStreamSynchronize(Stream *s) {
    NEEDS_CONTEXT;
    while (s->first) {
        Copy *copy = s->first;
        memcpy(copy->to, copy->from, copy->size);
        s->first = copy->next;
        free(copy);
    }
    s->last = &s->first;
    return OK;
}
int cuStreamDestroy_v2(Stream *s) { NEEDS_CONTEXT; free(s); streams--; return OK; }
static int queue(Stream *s, void *to, const void *from, size_t size) {
    NEEDS_CONTEXT;
    Copy *copy = malloc(sizeof *copy);
    *copy = (Copy){to, from, size, NULL};
    *s->last = copy;
    s->last = &copy->next;
    return OK;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t size, Stream *s) {
    return queue(s, (void *)(uintptr_t)to, from, size);
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, Stream *s) {
    return queue(s, to, (void *)(uintptr_t)from, size);
}

int cuEventCreate(void **e, unsigned flags) { NEEDS_CONTEXT; *e = malloc(8); events++; return OK; }
int cuEventRecord(void *e, void *s) { NEEDS_CONTEXT; return OK; }
int cuEventSynchronize(void *e) { NEEDS_CONTEXT; return OK; }
int cuEventElapsedTime(float *ms, void *a, void *b) { NEEDS_CONTEXT; *ms = 1.5f; return OK; }
int cuEventElapsedTime_v2(float *ms, void *a, void *b) { return cuEventElapsedTime(ms, a, b); }
int cuEventDestroy_v2(void *e) { NEEDS_CONTEXT; free(e); events--; return OK; }

static int unsupported(void) { return NOT_SUPPORTED; }
int cuGetErrorString(int e, const char **s) { *s = "fake error"; return OK; }
int cuGetErrorName(int e, const char **s) { *s = "FAKE_ERROR"; return OK; }

/* cuda-bindings asks for every function here; what is not above answers "not supported". */
int cuGetProcAddress_v2(const char *name, void **f, int version, uint64_t flags, int *status) {
    char full[128];
    const char *endings[] = {"_v2", ""};
    *f = NULL;
    for (int i = 0; i < 2 && !*f; i++) {
        snprintf(full, sizeof full, "%s%s", name, endings[i]);
        *f = dlsym(RTLD_DEFAULT, full);
    }
    if (!*f) *f = (void *)unsupported;
    if (status) *status = 0;
    return OK;
}
int cuGetProcAddress(const char *name, void **f, int version, uint64_t flags) {
    return cuGetProcAddress_v2(name, f, version, flags, NULL);
}

/* pycuda links to every function by name; UNUSED lists those that are not above. */
#ifdef UNUSED
#define STUB(name) int name(void) { return NOT_SUPPORTED; }
#include UNUSED
#endif
