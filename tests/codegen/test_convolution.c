/* Convolutions for a library (--dnn): the statement before the verifier and on its interpreter; and models with all
 * convolutions left to the library, against the tensor interpreter: forward and both gradients, with strides, paddings,
 * dilations, one to three axes of space. */
#include "hand_kernels.h"
#include "ir/build.h"
#include "tests/codegen/kernel_compare.h"
#include "tests/codegen/windows.h"
#include "tests/passes/random_model.h"
#include "test.h"
#include <string.h>

/* ---- what a program calls */

typedef struct {
    int calls[CONVOLUTIONS];
} Count;

static void count_call(void *context, const KStmt *s) {
    if (s->kind == KS_CONVOLUTION)
        ((Count *)context)->calls[s->convolution->kind]++;
}

static Count count_of(const KProgram *p, const char *only) {
    Count count = {0};
    for (int s = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++)
            if (!only || strstr(p->sequences[s]->kernels[k]->name, only))
                kstmt_visit(p->sequences[s]->kernels[k]->body, &(KVisitor){.statement = count_call, .context = &count});
    return count;
}

static int buffers_named(const KProgram *p, const char *part) {
    int count = 0;
    for (int i = 0; i < p->buffer_count; i++)
        count += strstr(p->buffers[i]->name, part) != NULL;
    return count;
}

/* ---- models */

typedef struct {
    const char *name;
    WindowAttr window;
    int64_t extent[3], channels, features;
    int pads; /* images that a kernel before gives their padding, in a step with gradients */
} Form;

static const Form forms[] = {
    {"valid", TWO(3, 1, 1, 0, 0), {7, 9}, 2, 5, 0},
    {"same", TWO(3, 1, 1, 1, 1), {5, 6}, 3, 4, 0},
    {"strided", TWO(3, 2, 1, 0, 0), {9, 8}, 2, 3, 0},
    {"strided and padded", TWO(3, 2, 1, 1, 1), {7, 9}, 2, 3, 0},
    {"padded behind only", TWO(3, 2, 1, 0, 1), {8, 6}, 2, 3, 1},
    {"padded behind, but no window reaches it", TWO(3, 2, 1, 0, 1), {7, 9}, 2, 3, 0},
    {"padded before only", TWO(4, 1, 1, 2, 1), {6, 5}, 1, 3, 1},
    {"cropped", TWO(3, 1, 1, -1, -2), {9, 8}, 2, 3, 1},
    {"dilated", TWO(3, 1, 2, 0, 0), {8, 7}, 2, 3, 0},
    {"dilated, padded, strided", TWO(3, 2, 2, 2, 2), {9, 11}, 1, 2, 0},
    {"of one cell", TWO(1, 1, 1, 0, 0), {4, 3}, 5, 6, 0},
    {"with gaps", TWO(2, 3, 1, 0, 0), {11, 9}, 2, 3, 0},
    {"larger than the image", TWO(5, 1, 1, 2, 2), {3, 4}, 2, 2, 0},
    {"line", ONE(4, 1, 1, 3, 0), {11}, 3, 4, 1},
    {"dilated line", ONE(3, 2, 3, 3, 3), {13}, 2, 3, 0},
    {"space",
     {.spatial = 3, .size = {2, 3, 2}, .stride = {1, 2, 1}, .dilation = {1, 1, 2}, .low = {0, 1, 1}, .high = {0, 1, 1}},
     {3, 5, 4},
     2,
     3,
     0},
    {"sides differ",
     {.spatial = 2, .size = {1, 3}, .stride = {2, 1}, .dilation = {1, 2}, .low = {0, 2}, .high = {0, 2}},
     {6, 7},
     2,
     3,
     0},
};
enum { FORMS = sizeof forms / sizeof *forms, BATCH = 5 };

/* tanh of the convolution of x, and the gradients of its squares by x and by the kernel. The samples are read in the
 * order of an epoch, or as the values of another layer. */
static Module *module_of(Arena *arena, Diag *diag, const Form *f, bool through) {
    Module *module = module_new(arena, diag, "convolution", BATCH);
    Func *func = module_func(module, "train_step");
    Builder b = builder_at_end(func);
    int spatial = f->window.spatial;
    Dim dims[MAX_RANK] = {dim_batch(1)}, taps[MAX_RANK];
    for (int s = 0; s < spatial; s++) {
        dims[s + 1] = dim_static(f->extent[s]);
        taps[s] = dim_static(f->window.size[s]);
    }
    dims[spatial + 1] = taps[spatial] = dim_static(f->channels);
    taps[spatial + 1] = dim_static(f->features);
    b.layer = "layer";
    Value *x = func_add_arg(func, ARG_INPUT, type_get(module, DTYPE_F32, spatial + 2, dims), "x"), *gradients[2];
    Variable *kernel = module_variable(module, "kernel", type_get(module, DTYPE_F32, spatial + 2, taps),
                                       VARIABLE_TRAINABLE, (Init){INIT_UNIFORM, -1, 1, -1}, (Span){0});
    Value *w = build_variable(&b, kernel), *image = through ? build_map1(&b, FN_exp, x) : x;
    Value *y = build_map1(&b, FN_tanh, build_conv(&b, image, w, &f->window));
    Value *loss = build_mean_all(&b, build_mul(&b, y, y));
    build_grad(&b, loss, (Value *[]){w, x}, 2, gradients);
    build_assign(&b, kernel, build_sub(&b, w, gradients[0]));
    func_add_result(func, y, "output");
    func_add_result(func, gradients[1], "by_x");
    return module;
}

/* Right numbers for a whole and a partial batch, in any order of blocks; the same bits where memory is not shared. */
static bool check_runs(Arena *arena, const Module *oracle, KProgram *p, int64_t batch, int classes, const char *what) {
    bool right = true;
    for (int i = 0; i < oracle->func_count; i++) {
        Text why = {0};
        KernelExpected e = kernel_expect(arena, oracle, oracle->funcs[i], 7, batch, classes);
        KernelValues one = kernel_run(arena, p, &e, (KInterpOptions){.strict_arena = false}, &why);
        bool good = one.ran && kernel_check(&e, &one, &why);
        KernelValues back = kernel_run(arena, p, &e, (KInterpOptions){.reverse = true}, &why);
        good = good && back.ran && kernel_same_bits(&e, &one, &back, &why);
        CHECK(good);
        if (!good)
            printf("%s, batch %d, @%s: %s\n", what, (int)batch, oracle->funcs[i]->name, why.data ? why.data : "");
        right = right && good;
        text_free(&why);
    }
    return right;
}

static KProgram *check_model(Arena *arena, Diag *diag, const Module *model, int classes, const char *what) {
    Module *oracle = kernel_oracle(arena, diag, model);
    KProgram *p = oracle ? kernel_program(arena, diag, model, "dnn", true, what) : NULL;
    CHECK(p != NULL);
    for (int64_t batch = model->batch_max; batch >= 1 && p; batch -= model->batch_max - 1)
        if (!check_runs(arena, oracle, p, batch, classes, what) || model->batch_max == 1)
            break;
    return p;
}

static void check_form(const Form *f, bool through) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    KProgram *p = check_model(arena, diag, module_of(arena, diag, f, through), 2, f->name);
    Count count = p ? count_of(p, NULL) : (Count){0};
    for (int kind = 0; kind < CONVOLUTIONS; kind++)
        CHECK(count.calls[kind] == 1);
    if (p) {
        int pads = buffers_named(p, "_padded"), copies = buffers_named(p, "_copied"),
            turns = buffers_named(p, "_turned");
        int wanted = through && f->window.low[0] < 0 ? 0 : f->pads; /* then the other layer makes fewer cells */
        bool as_told = pads == wanted && turns == 1 && copies == (through || f->pads ? 0 : 1);
        CHECK(as_told);
        if (!as_told)
            printf("%s: %d paddings, %d copies, %d turns\n", f->name, pads, copies, turns);
    }
    arena_free(arena);
}

static void check_random_models(void) {
    int calls[CONVOLUTIONS] = {0};
    for (uint64_t seed = 0; seed < 120; seed++) {
        Arena *arena = arena_new();
        Diag *diag = diag_new(arena);
        char what[32];
        snprintf(what, sizeof what, "seed %d", (int)seed);
        Module *model = random_model(arena, diag, seed);
        bool convolves = false;
        for (int i = 0; i < model->func_count; i++)
            for (const Op *op = model->funcs[i]->body.first; op; op = op->next)
                convolves = convolves || op->code == OP_CONV;
        KProgram *p = convolves ? check_model(arena, diag, model, RANDOM_MODEL_CLASSES, what) : NULL;
        Count count = p ? count_of(p, NULL) : (Count){0};
        for (int kind = 0; kind < CONVOLUTIONS; kind++)
            calls[kind] += count.calls[kind];
        arena_free(arena);
    }
    printf("random models: %d forward, %d by image, %d by weights\n", calls[0], calls[1], calls[2]);
    for (int kind = 0; kind < CONVOLUTIONS; kind++)
        CHECK(calls[kind] > 5);
}

/* ---- faults of the statement */

typedef struct {
    Hand h;
    KConvolution c;
} Made;

static KBuffer *tensor(Hand *h, KSpace space, const char *name, Dim a, int64_t b, int64_t c) {
    Dim dims[] = {a, dim_static(b), dim_static(c)};
    return kbuffer_new(h->p, space, name, KBASE_F32, 3, dims);
}

/* A line of 6 cells with 2 channels, 3 taps, padding of 1, 4 features. */
static Made make(KConvolutionKind kind) {
    Made m = {.h = hand_new(2)};
    hand_kernel(&m.h, "call");
    Dim room = dim_static(8);
    m.c = (KConvolution){kind,
                         tensor(&m.h, SPACE_ARENA, "image", dim_batch(1), 6, 2),
                         tensor(&m.h, SPACE_ARENA, "weights", dim_static(3), 2, 4),
                         tensor(&m.h, SPACE_ARENA, "result", dim_batch(1), 6, 4),
                         kbuffer_new(m.h.p, SPACE_ARENA, "scratch", KBASE_F32, 1, &room),
                         {1},
                         {1},
                         {1}};
    m.c.scratch->scratch = true;
    for (int i = 0; i < 3; i++)
        m.c.weights->order[i] = (int8_t)(i == 0 ? 2 : i - 1);
    return m;
}

static void check_refused(int what, const char *part) {
    Made m = make(CONVOLUTION_FORWARD);
    Hand *h = &m.h;
    KStmt *body = h->k->body;
    if (what == 0)
        m.c.result->dims[1] = dim_static(5);
    else if (what == 1)
        m.c.stride[0] = 0;
    else if (what == 2)
        m.c.low[0] = -1;
    else if (what == 3)
        m.c.weights->order[0] = 0, m.c.weights->order[1] = 1, m.c.weights->order[2] = 2;
    else if (what == 4)
        m.c.image->indirect = true;
    else if (what == 5)
        m.c.result = m.c.image;
    else if (what == 6)
        m.c.scratch = m.c.weights;
    else if (what == 7)
        m.c.result->space = SPACE_ARGUMENT;
    else if (what == 8)
        m.c.weights->dims[1] = dim_static(3);
    else if (what == 9)
        m.c.weights->dims[0] = dim_batch(3);
    else if (what == 10)
        body = hfor(h, body, hloopvar(h, "m", 2), AXIS_PARALLEL, hi(h, 0), hi(h, 2), 1);
    kstmt_add(body, kstmt_convolution(h->p, &m.c));
    if (what == 11)
        kstmt_add(body, kstmt_convolution(h->p, &m.c));
    CHECK(hand_refused(h, part));
    hand_free(h);
}

static void check_faults(void) {
    check_refused(0, "axis 1 of result has 5 elements, but a convolution of image has 6 there");
    check_refused(1, "a stride, dilation or padding that cannot be");
    check_refused(2, "a stride, dilation or padding that cannot be");
    check_refused(3, "weights is no tensor of f32");
    check_refused(4, "image is no tensor of f32");
    check_refused(5, "the channels or samples of image, weights and image differ");
    check_refused(6, "which it writes");
    check_refused(7, "the argument result is written");
    check_refused(8, "the channels or samples");
    check_refused(9, "axis 0 of weights is the batch");
    check_refused(10, "not all that its kernel does");
    check_refused(11, "not all that its kernel does");
}

/* By hand, for 2 samples: the gradient by the image of results that are one, and what nobody wrote. */
static void check_statement(void) {
    Made m = make(CONVOLUTION_BY_IMAGE);
    double weights[24], ones[48], got[24];
    kstmt_add(m.h.k->body, kstmt_convolution(m.h.p, &m.c));
    CHECK(kprogram_verify(m.h.p, "test"));
    m.c.scratch->offset = 1024; /* behind the others, which lie here: */
    m.c.weights->offset = 256;
    m.c.result->offset = 512;
    KInterp *in = kinterp_new(m.h.p, 2, (KInterpOptions){.threads = 1});
    for (int i = 0; i < 24; i++)
        weights[i] = i;
    for (int i = 0; i < 48; i++)
        ones[i] = 1;
    CHECK(kinterp_set(in, m.c.weights, weights, 24) && !kinterp_run(in, m.h.sequence));
    CHECK(strstr(kinterp_error(in), "comes from memory of result that nobody wrote") != NULL);
    kinterp_free(in);
    in = kinterp_new(m.h.p, 2, (KInterpOptions){.threads = 1});
    CHECK(kinterp_set(in, m.c.weights, weights, 24) && kinterp_set(in, m.c.result, ones, 48));
    CHECK(kinterp_run(in, m.h.sequence));
    kinterp_get(in, m.c.image, got);
    /* channel 0 of a tap has 8 t + 0 .. 3, channel 1 has 4 more each; the first cell misses tap 2, the last one tap 0
     */
    CHECK(got[0] == 6 + 38 && got[1] == 22 + 54);
    CHECK(got[2] == 6 + 38 + 70 && got[23] == 54 + 86);
    kinterp_free(in);
    hand_free(&m.h);
}

int main(void) {
    check_faults();
    check_statement();
    for (int i = 0; i < FORMS; i++) {
        check_form(&forms[i], false);
        check_form(&forms[i], true);
    }
    check_random_models();
    return test_report();
}
