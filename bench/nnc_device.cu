/* The CUDA program of a row for nnc_steps.c: whole epochs on a device that stays open, by the generated loop that the
 * trainer's fit uses. Needs: the generated file in the place of SOURCE and its model as MODEL (seed), which
 * gpu_build.py puts in. Leaves: the functions below. A call is one run of the loop, however many epochs it has. */
#define main generated_main
#include SOURCE
#undef main
#include <algorithm>
#include <vector>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define PROGRAM JOIN(MODEL, _program)

static void *opened;
static std::vector<double> totals(2 * PROGRAM.metric_count);

static int run(MODEL *model, const void *x, const void *y, int64_t samples, int64_t epochs) {
    std::vector<int32_t> rows((size_t)(samples * epochs));
    for (size_t i = 0; i < rows.size(); i++)
        rows[i] = (int32_t)((int64_t)i % samples);
    std::fill(totals.begin(), totals.end(), 0);
    nnrt_steps steps = {};
    steps.x = (const float *)x;
    steps.y = y;
    steps.rows = rows.data();
    steps.samples = samples * epochs;
    steps.batch_size = PROGRAM.fit.batch_size;
    steps.threads = 1;
    steps.seed = model->seed;
    steps.totals = totals.data();
    steps.device = opened;
    steps.constant = true;
    return PROGRAM.train_steps(model, &steps);
}

/* As MODEL_fit with samples in the order in which they lie. *loss: the mean of the last epoch, if it is asked for. */
extern "C" int device_fit(MODEL *model, const void *x, const void *y, int64_t samples, int epochs, double *loss) {
    int code = opened ? 0 : PROGRAM.open_device(&opened), before = loss ? epochs - 1 : epochs;
    if (code == 0 && before > 0)
        code = run(model, x, y, samples, before);
    if (code == 0 && loss && (code = run(model, x, y, samples, 1)) == 0)
        *loss = totals[0] / totals[1];
    return code;
}

extern "C" void device_close(void) {
    if (opened)
        PROGRAM.close_device(opened);
    opened = NULL;
}
