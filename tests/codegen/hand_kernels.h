/* Kernels built by hand, for the tests of kernel IR, its interpreter and its printer. */
#ifndef NNC_TESTS_HAND_KERNELS_H
#define NNC_TESTS_HAND_KERNELS_H
#include "codegen/kir/kir.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* A program with one function. */
typedef struct {
    Arena *arena;
    Diag *diag;
    Module *module;
    KProgram *p;
    KSequence *sequence;
    KKernel *k; /* the kernel being built */
} Hand;

static inline Hand hand_new(int64_t batch_max) {
    Hand h = {.arena = arena_new()};
    h.diag = diag_new(h.arena);
    h.module = module_new(h.arena, h.diag, "hand", batch_max);
    h.p = ARENA_NEW(h.arena, KProgram);
    *h.p = (KProgram){.arena = h.arena, .diag = h.diag, .module = h.module};
    h.sequence = ARENA_NEW(h.arena, KSequence);
    ARENA_PUSH(h.arena, h.p->sequences, h.p->sequence_count, h.p->sequence_capacity, h.sequence);
    return h;
}

static inline void hand_kernel(Hand *h, const char *name) {
    h->k = kkernel_new(h->p, h->sequence, name);
    h->k->body = kstmt_block(h->p);
}

static inline void hand_free(Hand *h) {
    arena_free(h->arena);
}

/* ---- short words */
static inline KExpr *hi(Hand *h, int64_t n) {
    return kexpr_index(h->p, n);
}
static inline KExpr *hf(Hand *h, double x) {
    return kexpr_number(h->p, KBASE_F32, x);
}
static inline KVar *hvar(Hand *h, const char *name, KBase base, int lanes, bool is_mutable) {
    return kvar_new(h->p, h->k, name, (KType){base, lanes}, is_mutable);
}
static inline KVar *hloopvar(Hand *h, const char *name, int64_t limit) {
    KVar *var = hvar(h, name, KBASE_INDEX, 1, false);
    var->limit = limit;
    return var;
}
static inline KExpr *hv(Hand *h, KVar *var) {
    return kexpr_var(h->p, var);
}
static inline KExpr *hplus(Hand *h, KExpr *a, KExpr *b) {
    return kexpr_binary(h->p, '+', a, b);
}
static inline KExpr *hfn(Hand *h, ScalarFn fn, KExpr *a, KExpr *b) {
    return kexpr_fn(h->p, fn, a, b, NULL);
}
static inline KExpr *hselect(Hand *h, KExpr *c, KExpr *a, KExpr *b) {
    return kexpr_fn(h->p, FN_select, c, a, b);
}
static inline KStmt *hfor(Hand *h, KStmt *in, KVar *var, AxisKind axis, KExpr *from, KExpr *to, int64_t step) {
    KStmt *body = kstmt_block(h->p);
    kstmt_add(in, kstmt_for(h->p, var, axis, from, to, step, body));
    return body;
}
static inline KExpr *hload1(Hand *h, KBuffer *b, KExpr *i) {
    return kexpr_load(h->p, b, (KExpr *const[]){i}, 1);
}
static inline KExpr *hload2(Hand *h, KBuffer *b, KExpr *i, KExpr *j) {
    return kexpr_load(h->p, b, (KExpr *const[]){i, j}, 2);
}
static inline void hstore1(Hand *h, KStmt *in, KBuffer *b, KExpr *i, KExpr *value) {
    kstmt_add(in, kstmt_store(h->p, b, (KExpr *const[]){i}, 1, value, NULL));
}
static inline void hstore2(Hand *h, KStmt *in, KBuffer *b, KExpr *i, KExpr *j, KExpr *value) {
    kstmt_add(in, kstmt_store(h->p, b, (KExpr *const[]){i, j}, 2, value, NULL));
}
static inline KBuffer *hbuffer(Hand *h, KSpace space, const char *name, KBase base, int rank, Dim a, Dim b) {
    KBuffer *buffer = kbuffer_new(h->p, space, name, base, rank, (Dim[]){a, b});
    if (space == SPACE_ARENA) { /* one after the other, on 64 bytes */
        buffer->offset = h->p->arena_bytes;
        buffer->bytes = kbuffer_elements(buffer, h->module->batch_max) * kbase_bytes(base);
        h->p->arena_bytes += (buffer->bytes + 63) / 64 * 64;
    }
    if (space != SPACE_VARIABLE)
        buffer->sequence = h->sequence;
    return buffer;
}

/* ---- y = relu(x w + b): rows of x by 4, two vectors of w's panels in named accumulators. y[B, 2 * lanes] */
typedef struct {
    KBuffer *x, *w, *b, *y;
} HandDense;

enum { HAND_K = 7 };

static inline HandDense hand_dense(Hand *h, int lanes, bool indirect) {
    KProgram *p = h->p;
    int64_t n = 2 * lanes;
    HandDense d = {hbuffer(h, SPACE_ARGUMENT, "x", KBASE_F32, 2, dim_batch(1), dim_static(HAND_K)),
                   hbuffer(h, SPACE_VARIABLE, "dense/kernel", KBASE_F32, 2, dim_static(HAND_K), dim_static(n)),
                   hbuffer(h, SPACE_VARIABLE, "dense/bias", KBASE_F32, 1, dim_static(n), dim_static(1)),
                   hbuffer(h, SPACE_ARENA, "dense", KBASE_F32, 2, dim_batch(1), dim_static(n))};
    d.x->indirect = indirect;
    if (lanes > 1) { /* panels of one vector: [N / lanes][K][lanes] */
        d.w->order[0] = 1, d.w->order[1] = 0;
        d.w->block_axis = 1, d.w->block = lanes;
    }
    hand_kernel(h, "dense_forward");
    h->k->comment = "dense: y = relu(x kernel + bias), lines 3 to 4";
    KVar *m = hloopvar(h, "m", 0), *r = hloopvar(h, "r", 0), *k = hloopvar(h, "k", HAND_K);
    KStmt *tile = hfor(h, h->k->body, m, AXIS_PARALLEL, hi(h, 0), kexpr_batch(p), 4);
    KExpr *end = kexpr_binary(p, 'm', hplus(h, hv(h, m), hi(h, 4)), kexpr_batch(p));
    KStmt *row = hfor(h, tile, r, AXIS_SERIAL, hv(h, m), end, 1);
    KVar *acc[2], *a = hvar(h, "a", KBASE_F32, 1, false);
    for (int i = 0; i < 2; i++) {
        acc[i] = hvar(h, "acc", KBASE_F32, lanes, true);
        kstmt_add(row, kstmt_let(p, acc[i],
                                 kexpr_load_vector(p, d.b, (KExpr *const[]){hi(h, i * lanes)}, 1, lanes, NULL, NULL)));
    }
    KStmt *sum = hfor(h, row, k, AXIS_UNROLL, hi(h, 0), hi(h, HAND_K), 1);
    kstmt_add(sum, kstmt_let(p, a, hload2(h, d.x, hv(h, r), hv(h, k))));
    for (int i = 0; i < 2; i++) {
        KExpr *logical[] = {hv(h, k), hi(h, i * lanes)}, *physical[MAX_RANK + 1];
        int count = kbuffer_physical_index(p, d.w, logical, physical);
        KExpr *w = kexpr_load_vector(p, d.w, physical, count, lanes, NULL, NULL);
        kstmt_add(sum, kstmt_set(p, acc[i], hfn(h, FN_add, hv(h, acc[i]), hfn(h, FN_mul, hv(h, a), w))));
    }
    for (int i = 0; i < 2; i++)
        hstore2(h, row, d.y, hv(h, r), hi(h, i * lanes), hfn(h, FN_max, hv(h, acc[i]), hf(h, 0)));
    return d;
}

/* ---- softmax over the `n` first elements of rows that are no whole vector: p[B, n] from z[B, n] */
static inline KBuffer *hand_softmax(Hand *h, KBuffer *z, int64_t n, int lanes) {
    KProgram *p = h->p;
    KBuffer *out = hbuffer(h, SPACE_RESULT, "probabilities", KBASE_F32, 2, dim_batch(1), dim_static(n));
    hand_kernel(h, "softmax_forward");
    h->k->needs_barrier_before = true;
    KVar *m = hloopvar(h, "m", 0), *row = hvar(h, "row", KBASE_F32, lanes, false);
    KVar *peak = hvar(h, "peak", KBASE_F32, 1, false), *e = hvar(h, "e", KBASE_F32, lanes, false);
    KVar *unused = hvar(h, "unused", KBASE_F32, lanes, false);
    KStmt *body = hfor(h, h->k->body, m, AXIS_PARALLEL, hi(h, 0), kexpr_batch(p), 1);
    KExpr *index[] = {hv(h, m), hi(h, 0)},
          *inside = hfn(h, FN_lt, kexpr_lanes(p, lanes), kexpr_number(p, KBASE_I32, n));
    KExpr *loaded = kexpr_load_vector(p, z, index, 2, lanes, hi(h, n), NULL);
    kstmt_add(body, kstmt_let(p, row, hselect(h, inside, loaded, hf(h, -INFINITY))));
    kstmt_add(body, kstmt_let(p, peak, kexpr_across(p, REDUCE_MAX, hv(h, row))));
    kstmt_add(body, kstmt_let(p, unused, hfn(h, FN_neg, hv(h, row), NULL)));
    kstmt_add(body, kstmt_let(p, e, hfn(h, FN_exp, hfn(h, FN_sub, hv(h, row), hv(h, peak)), NULL)));
    KExpr *total = kexpr_across(p, REDUCE_SUM, hv(h, e));
    kstmt_add(body, kstmt_store(p, out, index, 2, hfn(h, FN_div, hv(h, e), total), hi(h, n)));
    return out;
}

/* ---- a GPU kernel: y = x w by tiles of 4 x 4 in shared memory, x[m, k], w[k, n], all extents multiples of 4 */
typedef struct {
    KBuffer *x, *w, *y;
    KStmt *barriers[2];
} HandTile;

static inline HandTile hand_tile(Hand *h, int64_t rows, int64_t depth, int64_t columns) {
    KProgram *p = h->p;
    HandTile t = {hbuffer(h, SPACE_ARENA, "x", KBASE_F32, 2, dim_static(rows), dim_static(depth)),
                  hbuffer(h, SPACE_VARIABLE, "w", KBASE_F32, 2, dim_static(depth), dim_static(columns)),
                  hbuffer(h, SPACE_ARENA, "y", KBASE_F32, 2, dim_static(rows), dim_static(columns)),
                  {NULL, NULL}};
    hand_kernel(h, "tile_product");
    h->k->comment = "y = x w, by tiles of 4 x 4";
    KBuffer *tile[2];
    for (int i = 0; i < 2; i++) {
        tile[i] = kbuffer_local(p, h->k, SPACE_SHARED, i ? "tile_w" : "tile_x", KBASE_F32, 2,
                                (Dim[]){dim_static(4), dim_static(4)});
        kstmt_add(h->k->body, kstmt_alloc(p, tile[i]));
    }
    KVar *m = hloopvar(h, "m", 0), *n = hloopvar(h, "n", 0), *i = hloopvar(h, "i", 4), *j = hloopvar(h, "j", 4);
    KVar *k = hloopvar(h, "k", 0), *l = hloopvar(h, "l", 4), *acc = hvar(h, "acc", KBASE_F32, 1, true);
    KStmt *body = hfor(h, h->k->body, m, AXIS_GRID_Y, hi(h, 0), hi(h, rows), 4);
    body = hfor(h, body, n, AXIS_GRID_X, hi(h, 0), hi(h, columns), 4);
    body = hfor(h, body, i, AXIS_THREAD_Y, hi(h, 0), hi(h, 4), 1);
    body = hfor(h, body, j, AXIS_THREAD_X, hi(h, 0), hi(h, 4), 1);
    kstmt_add(body, kstmt_let(p, acc, hf(h, 0)));
    KExpr *row = hplus(h, hv(h, m), hv(h, i)), *column = hplus(h, hv(h, n), hv(h, j));
    KStmt *step = hfor(h, body, k, AXIS_SERIAL, hi(h, 0), hi(h, depth), 4);
    hstore2(h, step, tile[0], hv(h, i), hv(h, j), hload2(h, t.x, row, hplus(h, hv(h, k), hv(h, j))));
    hstore2(h, step, tile[1], hv(h, i), hv(h, j), hload2(h, t.w, hplus(h, hv(h, k), hv(h, i)), column));
    kstmt_add(step, t.barriers[0] = kstmt_barrier(p));
    KStmt *sum = hfor(h, step, l, AXIS_UNROLL, hi(h, 0), hi(h, 4), 1);
    KExpr *product = hfn(h, FN_mul, hload2(h, tile[0], hv(h, i), hv(h, l)), hload2(h, tile[1], hv(h, l), hv(h, j)));
    kstmt_add(sum, kstmt_set(p, acc, hfn(h, FN_add, hv(h, acc), product)));
    kstmt_add(step, t.barriers[1] = kstmt_barrier(p));
    hstore2(h, body, t.y, row, column, hv(h, acc));
    return t;
}

/* Does the verifier refuse the program with words that have this part? */
static inline bool hand_refused(Hand *h, const char *part) {
    Text text = {0};
    bool good = kprogram_verify(h->p, "test");
    diag_print(h->diag, &text, false);
    bool found = !good && text.data && strstr(text.data, part);
    if (!found)
        printf("expected `%s`, got: %s\n", part, text.data ? text.data : "nothing");
    text_free(&text);
    return found;
}
#endif
