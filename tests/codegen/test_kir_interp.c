/* The kernel-IR interpreter: its results against naive sums in double, for any number of threads, either order and any
 * batch; and that it reports every fault that is put into a kernel. */
#include "codegen/kir/kir_interp.h"
#include "hand_kernels.h"
#include "ir/interp.h"
#include "test.h"
#include <stdlib.h>

static double wave(int64_t i, int salt) {
    return (double)(float)sin(0.7 * (double)i + salt);
}

static void fill(KInterp *in, const KBuffer *b, int64_t count, int salt) {
    double *values = memory_resize(NULL, sizeof *values * (size_t)count);
    for (int64_t i = 0; i < count; i++)
        values[i] = wave(i, salt);
    CHECK(kinterp_set(in, b, values, count));
    free(values);
}

static bool ran(KInterp *in, bool good) {
    if (!good)
        printf("%s\n", kinterp_error(in));
    return good;
}

/* ---- right results */

enum { DATA_ROWS = 40 };

static void check_dense(int lanes, int64_t batch, KInterpOptions options) {
    Hand h = hand_new(8);
    HandDense d = hand_dense(&h, lanes, true);
    KInterp *in = kinterp_new(h.p, batch, options);
    int64_t n = 2 * lanes;
    double got[8 * 64];
    int32_t rows[8];
    for (int64_t m = 0; m < batch; m++)
        rows[m] = (int32_t)((m * 17 + 5) % DATA_ROWS);
    fill(in, d.x, DATA_ROWS * HAND_K, 1);
    fill(in, d.w, HAND_K * n, 2);
    fill(in, d.b, n, 3);
    kinterp_set_rows(in, rows);
    CHECK(ran(in, kinterp_run(in, h.sequence)));
    CHECK(kinterp_get(in, d.y, got) == batch * n);
    double worst = 0;
    for (int64_t i = 0; i < batch * n; i++) {
        double sum = wave(i % n, 3);
        for (int64_t k = 0; k < HAND_K; k++)
            sum += wave(rows[i / n] * HAND_K + k, 1) * wave(k * n + i % n, 2);
        worst = fmax(worst, fabs(got[i] - fmax(sum, 0)));
    }
    CHECK(worst < 1e-5);
    kinterp_free(in);
    hand_free(&h);
}

static void test_dense(void) {
    static const int lanes[] = {1, 4, 8, 16};
    for (int i = 0; i < 4; i++)
        for (int64_t batch = 1; batch <= 8; batch++)
            for (int threads = 1; threads <= 3; threads++) {
                check_dense(lanes[i], batch, (KInterpOptions){.threads = threads, .strict_arena = true});
                check_dense(lanes[i], batch, (KInterpOptions){.threads = threads, .reverse = true});
            }
}

static void test_softmax(void) {
    Hand h = hand_new(5);
    KBuffer *z = hbuffer(&h, SPACE_ARENA, "z", KBASE_F32, 2, dim_batch(1), dim_static(10));
    KBuffer *y = hand_softmax(&h, z, 10, 16);
    KInterp *in = kinterp_new(h.p, 5, (KInterpOptions){.threads = 2});
    double got[50], worst = 0;
    fill(in, z, 50, 4);
    CHECK(ran(in, kinterp_run(in, h.sequence)));
    kinterp_get(in, y, got);
    for (int m = 0; m < 5; m++) {
        double total = 0;
        for (int n = 0; n < 10; n++)
            total += exp(wave(m * 10 + n, 4));
        for (int n = 0; n < 10; n++)
            worst = fmax(worst, fabs(got[m * 10 + n] - exp(wave(m * 10 + n, 4)) / total));
    }
    CHECK(worst < 1e-6);
    kinterp_free(in);
    hand_free(&h);
}

static void test_tile(void) {
    for (int reverse = 0; reverse < 2; reverse++) {
        Hand h = hand_new(1);
        HandTile t = hand_tile(&h, 8, 12, 20);
        KInterp *in = kinterp_new(h.p, 1, (KInterpOptions){.reverse = reverse});
        double got[160], worst = 0;
        fill(in, t.x, 96, 1);
        fill(in, t.w, 240, 2);
        CHECK(kprogram_verify(h.p, "test"));
        CHECK(ran(in, kinterp_run(in, h.sequence)));
        CHECK(kinterp_get(in, t.y, got) == 160);
        for (int i = 0; i < 160; i++) {
            double sum = 0;
            for (int k = 0; k < 12; k++)
                sum += wave(i / 20 * 12 + k, 1) * wave(k * 20 + i % 20, 2);
            worst = fmax(worst, fabs(got[i] - sum));
        }
        CHECK(worst < 1e-5);
        kinterp_free(in);
        hand_free(&h);
    }
}

/* a * b + c in one rounding: with a = b = 1 + 2^-12 and c = -(1 + 2^-11) only the exact product leaves 2^-24. */
static void test_fused(void) {
    for (int fused = 0; fused < 2; fused++) {
        Hand h = hand_new(1);
        KBuffer *y = hbuffer(&h, SPACE_RESULT, "y", KBASE_F32, 1, dim_static(1), dim_static(1));
        hand_kernel(&h, "product");
        KExpr *a = hf(&h, 1 + ldexp(1, -12)), *c = hf(&h, -(1 + ldexp(1, -11)));
        hstore1(&h, h.k->body, y, hi(&h, 0), hfn(&h, FN_add, hfn(&h, FN_mul, a, a), c));
        KInterp *in = kinterp_new(h.p, 1, (KInterpOptions){.fused_multiply_add = fused});
        double got;
        CHECK(ran(in, kinterp_run(in, h.sequence)));
        kinterp_get(in, y, &got);
        CHECK(got == (fused ? ldexp(1, -24) : 0));
        kinterp_free(in);
        hand_free(&h);
    }
}

static void test_others(void) {
    Hand h = hand_new(4);
    KBuffer *a = hbuffer(&h, SPACE_ARENA, "a", KBASE_F32, 2, dim_static(8), dim_static(4));
    KBuffer *turned = hbuffer(&h, SPACE_ARENA, "turned", KBASE_F32, 2, dim_static(4), dim_static(8));
    KBuffer *mask = hbuffer(&h, SPACE_ARENA, "mask", KBASE_BOOL, 1, dim_static(8), dim_static(1));
    KBuffer *noise = hbuffer(&h, SPACE_RESULT, "noise", KBASE_F32, 1, dim_static(8), dim_static(1));
    KBuffer *count = hbuffer(&h, SPACE_RESULT, "count", KBASE_I32, 0, dim_static(1), dim_static(1));
    KProgram *p = h.p;
    hand_kernel(&h, "others");
    KExpr *zeros[] = {hi(&h, 0), hi(&h, 0)};
    kstmt_add(h.k->body, kstmt_transpose(p, turned, zeros, a, zeros, 8, 4, 4));
    KVar *row = hvar(&h, "row", KBASE_F32, 8, false), *positive = hvar(&h, "positive", KBASE_BOOL, 8, false);
    KExpr *column = kexpr_load_vector(p, a, (KExpr *const[]){hi(&h, 0), hi(&h, 1)}, 2, 8, NULL, hi(&h, 4));
    kstmt_add(h.k->body, kstmt_let(p, row, column)); /* a[0..7][1], by a stride of 4 */
    kstmt_add(h.k->body, kstmt_let(p, positive, hfn(&h, FN_gt, hv(&h, row), hf(&h, 0))));
    hstore1(&h, h.k->body, mask, hi(&h, 0), hv(&h, positive));
    KExpr *seed = kexpr_number(p, KBASE_I32, 7), *step = kexpr_number(p, KBASE_I32, 3);
    KExpr *random = kexpr_random(p, RANDOM_UNIFORM, 65536, seed, step, hi(&h, 2));
    random->type.lanes = 8;
    hstore1(&h, h.k->body, noise, hi(&h, 0), random);
    KExpr *number = kexpr_across(p, REDUCE_SUM, kexpr_cast(p, KBASE_I32, hv(&h, positive)));
    kstmt_add(h.k->body, kstmt_store(p, count, NULL, 0, number, NULL));
    CHECK(kprogram_verify(p, "test"));
    KInterp *in = kinterp_new(p, 4, (KInterpOptions){.threads = 1});
    fill(in, a, 32, 1);
    CHECK(ran(in, kinterp_run(in, h.sequence)));
    double got[32], bits[8], drawn[8], total;
    int positives = 0, wrong = 0;
    kinterp_get(in, turned, got);
    kinterp_get(in, mask, bits);
    kinterp_get(in, noise, drawn);
    kinterp_get(in, count, &total);
    for (int i = 0; i < 32; i++)
        wrong += got[i % 4 * 8 + i / 4] != wave(i, 1);
    for (int i = 0; i < 8; i++) {
        positives += wave(4 * i + 1, 1) > 0;
        wrong += (bits[i] != 0) != (wave(4 * i + 1, 1) > 0);
        wrong += drawn[i] != (double)(float)interp_random(RANDOM_UNIFORM, 7, 65536, 3, 2 + (uint64_t)i);
    }
    CHECK(wrong == 0 && total == positives && positives > 0);
    kinterp_free(in);
    hand_free(&h);
}

static void test_layouts(void) {
    Hand h = hand_new(3);
    Dim dims[] = {dim_static(3), dim_static(5), dim_static(20)};
    KBuffer *b = kbuffer_new(h.p, SPACE_VARIABLE, "b", KBASE_F32, 3, dims);
    b->order[0] = 2, b->order[1] = 0, b->order[2] = 1;
    b->block_axis = 2, b->block = 8;
    KBuffer *c = hbuffer(&h, SPACE_ARENA, "c", KBASE_I32, 2, dim_batch(1), dim_static(5));
    c->pad = 4;
    KInterp *in = kinterp_new(h.p, 2, (KInterpOptions){.threads = 1});
    double values[300], got[300];
    for (int i = 0; i < 300; i++)
        values[i] = i;
    CHECK(kinterp_set(in, b, values, 300) && kinterp_get(in, b, got) == 300 && memcmp(got, values, sizeof got) == 0);
    CHECK(kinterp_get(in, c, got) == 10 && isnan(got[0]));
    CHECK(kinterp_set(in, c, values, 10) && kinterp_get(in, c, got) == 10 && memcmp(got, values, 80) == 0);
    CHECK(!kinterp_set(in, c, values, 11) && strstr(kinterp_error(in), "11 values do not fit c"));
    kinterp_free(in);
    hand_free(&h);
}

/* ---- faults */

/* Runs with every variable, arena buffer and argument filled but `empty`; true if the error holds `part`. */
static bool reports(Hand *h, const char *part, const KBuffer *empty, KInterpOptions options) {
    KInterp *in = kinterp_new(h->p, 4, options);
    double values[1024];
    for (int i = 0; i < 1024; i++)
        values[i] = wave(i, i % 3);
    for (int i = 0; i < h->p->buffer_count; i++) {
        const KBuffer *b = h->p->buffers[i];
        int64_t count = 1;
        for (int j = 0; j < b->rank; j++)
            count *= dim_size(b->dims[j], 4);
        if (b != empty && b->space != SPACE_RESULT)
            CHECK(kinterp_set(in, b, values, count));
    }
    bool good = kinterp_run(in, h->sequence);
    bool found = part ? !good && strstr(kinterp_error(in), part) : good;
    if (!found)
        printf("expected \"%s\", got \"%s\"\n", part ? part : "", kinterp_error(in));
    kinterp_free(in);
    return found;
}

static const KInterpOptions plain = {.threads = 2};

static void test_missing_values(void) {
    Hand h = hand_new(4);
    HandDense d = hand_dense(&h, 8, false);
    CHECK(reports(&h, NULL, NULL, plain));
    CHECK(reports(&h, "dense gets a value that comes from memory of dense_bias that nobody wrote", d.b, plain));
    CHECK(reports(&h, "dense_kernel that nobody wrote", d.w, plain));
    CHECK(reports(&h, "the argument x was not given", d.x, plain));
    CHECK(reports(&h, NULL, d.b, (KInterpOptions){.allow_uninitialised = true}));
    hand_free(&h);
}

static void test_bad_indices(void) {
    Hand h = hand_new(4);
    KBuffer *a = hbuffer(&h, SPACE_ARENA, "a", KBASE_F32, 2, dim_batch(1), dim_static(10));
    KBuffer *ids = hbuffer(&h, SPACE_ARGUMENT, "ids", KBASE_I32, 1, dim_batch(1), dim_static(1));
    KBuffer *y = hbuffer(&h, SPACE_RESULT, "y", KBASE_F32, 1, dim_static(8), dim_static(1));
    KExpr *id = kexpr_binary(h.p, '+', hload1(&h, ids, hi(&h, 0)), hi(&h, 50));
    hand_kernel(&h, "gather");
    hstore1(&h, h.k->body, y, hi(&h, 0), hload2(&h, a, hi(&h, 0), id));
    CHECK(reports(&h, "gather: index 1 of a is 50, its axis has 10", NULL, plain));
    h.sequence->count = 0;
    hand_kernel(&h, "lazy"); /* only one side of a scalar select is computed */
    KExpr *far = hload2(&h, a, hi(&h, 0), id), *no = hfn(&h, FN_lt, id, hi(&h, 10));
    hstore1(&h, h.k->body, y, hi(&h, 0), hselect(&h, no, far, hf(&h, 0)));
    CHECK(reports(&h, NULL, NULL, plain));
    h.sequence->count = 0;
    hand_kernel(&h, "wide");
    KExpr *zero[] = {hi(&h, 0), hi(&h, 0)};
    KExpr *wide = kexpr_load_vector(h.p, a, zero, 2, 16, NULL, NULL);
    hstore1(&h, h.k->body, y, hi(&h, 0), kexpr_across(h.p, REDUCE_MAX, wide));
    CHECK(reports(&h, "index 1 of a is 0 and on, its axis has 10", NULL, plain));
    wide->load.count = id;
    CHECK(reports(&h, "50 of 16 lanes of a are loaded", NULL, plain));
    wide->load.count = hi(&h, 2);
    wide->load.stride = hi(&h, 100);
    CHECK(reports(&h, "a lane of a lies outside", NULL, plain));
    h.sequence->count = 0;
    hand_kernel(&h, "promise");
    KVar *i = hloopvar(&h, "i", 4);
    KStmt *body = hfor(&h, h.k->body, i, AXIS_SERIAL, hi(&h, 0), hi(&h, 8), 1);
    hstore1(&h, body, y, hv(&h, i), hf(&h, 0));
    CHECK(reports(&h, "i is 4, it was promised to be below 4", NULL, plain));
    hand_free(&h);
}

static void test_races(void) {
    Hand h = hand_new(4);
    KBuffer *a = hbuffer(&h, SPACE_ARENA, "a", KBASE_F32, 1, dim_batch(1), dim_static(1));
    KBuffer *b = hbuffer(&h, SPACE_ARENA, "b", KBASE_F32, 1, dim_batch(1), dim_static(1));
    hand_kernel(&h, "sum"); /* every thread adds to the same element */
    KVar *i = hloopvar(&h, "i", 0);
    KStmt *body = hfor(&h, h.k->body, i, AXIS_PARALLEL, hi(&h, 0), kexpr_batch(h.p), 1);
    KExpr *old = hload1(&h, b, hi(&h, 0));
    hstore1(&h, body, b, hi(&h, 0), hfn(&h, FN_add, old, hload1(&h, a, hv(&h, i))));
    CHECK(reports(&h, "race: thread 1 reads b", NULL, plain));
    CHECK(reports(&h, NULL, NULL, (KInterpOptions){.threads = 1}));
    CHECK(reports(&h, NULL, NULL, (KInterpOptions){.threads = 2, .allow_races = true}));
    h.sequence->count = 0;
    hand_kernel(&h, "write");
    i = hloopvar(&h, "i", 0);
    body = hfor(&h, h.k->body, i, AXIS_PARALLEL, hi(&h, 0), kexpr_batch(h.p), 1);
    hstore1(&h, body, b, hv(&h, i), hf(&h, 1));
    hand_kernel(&h, "turn"); /* reads what the other thread wrote in the kernel before */
    i = hloopvar(&h, "i", 0);
    body = hfor(&h, h.k->body, i, AXIS_PARALLEL, hi(&h, 0), kexpr_batch(h.p), 1);
    KExpr *other = kexpr_binary(h.p, '-', hi(&h, 3), hv(&h, i));
    hstore1(&h, body, a, hv(&h, i), hload1(&h, b, other));
    CHECK(reports(&h, "turn: race: thread 0 reads b", NULL, plain));
    h.k->needs_barrier_before = true;
    CHECK(reports(&h, NULL, NULL, plain));
    hand_free(&h);
}

static void test_strict_arena(void) {
    Hand h = hand_new(4);
    KBuffer *a = hbuffer(&h, SPACE_ARENA, "a", KBASE_F32, 1, dim_batch(1), dim_static(1));
    KBuffer *b = hbuffer(&h, SPACE_ARENA, "b", KBASE_F32, 1, dim_batch(1), dim_static(1));
    KBuffer *y = hbuffer(&h, SPACE_RESULT, "y", KBASE_F32, 1, dim_static(1), dim_static(1));
    b->offset = a->offset; /* a plan that forgets that a still lives */
    hand_kernel(&h, "first");
    hstore1(&h, h.k->body, a, hi(&h, 0), hf(&h, 1));
    hstore1(&h, h.k->body, b, hi(&h, 0), hf(&h, 2));
    hstore1(&h, h.k->body, y, hi(&h, 0), hload1(&h, a, hi(&h, 0)));
    CHECK(reports(&h, "a finds what was written to b", NULL, (KInterpOptions){.strict_arena = true}));
    CHECK(reports(&h, NULL, NULL, plain));
    hand_free(&h);
}

static void test_device_faults(void) {
    for (int barrier = 0; barrier < 2; barrier++) {
        Hand h = hand_new(1);
        HandTile t = hand_tile(&h, 8, 12, 20);
        t.barriers[barrier]->kind = KS_COMMENT;
        t.barriers[barrier]->comment = "no barrier";
        CHECK(reports(&h, "race: block 0", NULL, (KInterpOptions){.reverse = false}));
        CHECK(reports(&h, "race: block 9", NULL, (KInterpOptions){.reverse = true}));
        hand_free(&h);
    }
    Hand h = hand_new(4);
    KBuffer *a = hbuffer(&h, SPACE_ARENA, "a", KBASE_F32, 1, dim_static(64), dim_static(1));
    hand_kernel(&h, "divergent");
    KVar *g = hloopvar(&h, "g", 0), *t = hloopvar(&h, "t", 0);
    KStmt *body = hfor(&h, h.k->body, g, AXIS_GRID_X, hi(&h, 0), hi(&h, 2), 1);
    body = hfor(&h, body, t, AXIS_THREAD_X, hi(&h, 0), hi(&h, 8), 1);
    kstmt_add(body, kstmt_if(h.p, hfn(&h, FN_lt, hv(&h, t), hi(&h, 4)), kstmt_barrier(h.p), NULL));
    CHECK(reports(&h, "barrier: thread 4 of the block does not come by", NULL, plain));
    h.sequence->count = 0;
    hand_kernel(&h, "blocks"); /* both blocks write the same places */
    g = hloopvar(&h, "g", 0), t = hloopvar(&h, "t", 0);
    body = hfor(&h, h.k->body, g, AXIS_GRID_X, hi(&h, 0), hi(&h, 2), 1);
    body = hfor(&h, body, t, AXIS_THREAD_X, hi(&h, 0), hi(&h, 8), 1);
    hstore1(&h, body, a, hv(&h, t), hf(&h, 1));
    CHECK(reports(&h, "race: block 1 writes a, which another one writes", NULL, plain));
    h.sequence->count = 0;
    hand_kernel(&h, "on_cpu");
    kstmt_add(h.k->body, kstmt_barrier(h.p));
    CHECK(reports(&h, "a barrier in a kernel whose threads cannot meet", NULL, plain));
    hand_free(&h);
}

int main(void) {
    test_dense();
    test_softmax();
    test_tile();
    test_fused();
    test_others();
    test_layouts();
    test_missing_values();
    test_bad_indices();
    test_races();
    test_strict_arena();
    test_device_faults();
    return test_report();
}
