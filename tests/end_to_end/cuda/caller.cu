/* A caller of the functions that nnc --lib --target=cuda writes for diabetes: on the default stream, on two streams at
 * a time, and in a graph of its own, they compute the same bits; an error that the caller has not asked for is not
 * taken for one of theirs. Says what is wrong, if anything is. */
#include "diabetes.h"
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <cuda_runtime.h>

enum { SAMPLES = 50, STEPS = 3 };

static diabetes first; /* fresh weights, of the host */

#define DEMAND(holds)                                                                                                  \
    if (!(holds)) {                                                                                                    \
        std::printf("%d: %s (%s)\n", __LINE__, #holds, diabetes_error());                                              \
        return 1;                                                                                                      \
    }

struct Run {
    cudaStream_t stream;
    diabetes *model, after;
    diabetes_totals *totals;
    float (*x)[10], (*y)[1];
};

static int start(Run *run, bool own_stream) {
    float x[SAMPLES][10], y[SAMPLES][1];
    for (int i = 0; i < SAMPLES; i++)
        for (int k = 0; k < 10; k++)
            x[i][k] = y[i][0] = (float)((i * 7 + k * 3) % 11) * 0.1f;
    run->stream = NULL;
    DEMAND(!own_stream || !cudaStreamCreateWithFlags(&run->stream, cudaStreamNonBlocking));
    DEMAND(!cudaMalloc(&run->model, sizeof first) && !cudaMalloc(&run->totals, sizeof *run->totals));
    DEMAND(!cudaMalloc(&run->x, sizeof x) && !cudaMalloc(&run->y, sizeof y));
    cudaMemcpyAsync(run->model, &first, sizeof first, cudaMemcpyHostToDevice, run->stream);
    cudaMemcpyAsync(run->x, x, sizeof x, cudaMemcpyHostToDevice, run->stream);
    cudaMemcpyAsync(run->y, y, sizeof y, cudaMemcpyHostToDevice, run->stream);
    cudaMemsetAsync(run->totals, 0, sizeof *run->totals, run->stream);
    DEMAND(!cudaStreamSynchronize(run->stream));
    return 0;
}

static int step(Run *run) {
    return diabetes_train_batch(run->model, run->x, run->y, SAMPLES, run->totals, run->stream);
}

/* Waits; weights of the host, without what is scratch. */
static int finish(Run *run) {
    cudaMemcpyAsync(&run->after, run->model, offsetof(diabetes, prepared), cudaMemcpyDeviceToHost, run->stream);
    DEMAND(!cudaStreamSynchronize(run->stream));
    cudaFree(run->model);
    cudaFree(run->totals);
    cudaFree(run->x);
    cudaFree(run->y);
    if (run->stream)
        cudaStreamDestroy(run->stream);
    return 0;
}

static bool equal(const Run *a, const Run *b) {
    return memcmp(&a->after, &b->after, offsetof(diabetes, prepared)) == 0;
}

static int in_a_graph(Run *run) {
    cudaGraph_t graph;
    cudaGraphExec_t run_graph;
    DEMAND(!cudaStreamBeginCapture(run->stream, cudaStreamCaptureModeGlobal));
    DEMAND(!step(run));
    DEMAND(!cudaStreamEndCapture(run->stream, &graph) && !cudaGraphInstantiate(&run_graph, graph, 0));
    for (int i = 0; i < STEPS; i++)
        DEMAND(!cudaGraphLaunch(run_graph, run->stream));
    DEMAND(!cudaStreamSynchronize(run->stream));
    cudaGraphExecDestroy(run_graph);
    cudaGraphDestroy(graph);
    return 0;
}

static int earlier_error(Run *run) {
    void *memory = NULL;
    DEMAND(cudaMalloc(&memory, (size_t)1 << 50) != cudaSuccess);
    DEMAND(step(run) != 0 && strstr(diabetes_error(), "a call of this thread has failed before") &&
           strstr(diabetes_error(), "out of memory"));
    DEMAND(cudaGetLastError() != cudaSuccess && step(run) == 0);
    return 0;
}

int main() {
    static Run runs[5];
    diabetes_init(&first, 5);
    for (int i = 0; i < 10; i++)
        first.standardize_variance[i] = 1;
    for (int i = 0; i < 5; i++)
        DEMAND(!start(&runs[i], i > 0));
    for (int i = 0; i < STEPS; i++)
        for (int r = 0; r < 3; r++) /* the default stream, and two at a time */
            DEMAND(!step(&runs[r]));
    DEMAND(!in_a_graph(&runs[3]) && !earlier_error(&runs[4]));
    for (int i = 0; i < 5; i++)
        DEMAND(!finish(&runs[i]));
    DEMAND(memcmp(&runs[0].after, &first, offsetof(diabetes, prepared)));
    DEMAND(equal(&runs[0], &runs[1]) && equal(&runs[0], &runs[2]) && equal(&runs[0], &runs[3]));
    return 0;
}
