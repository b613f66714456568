/* Kernel IR: folding of indices, analysis, substitution, layouts, liveness, text, and that the verifier refuses what is
 * wrong. */
#include "hand_kernels.h"
#include "test.h"

static KExpr *op(Hand *h, char o, KExpr *a, KExpr *b) {
    return kexpr_binary(h->p, o, a, b);
}

/* The text of an index expression, through the text of a store. */
static const char *index_text(Hand *h, KExpr *e) {
    Hand scratch = *h;
    KBuffer *b = kbuffer_new(h->p, SPACE_ARENA, "t", KBASE_F32, 1, (Dim[]){dim_static(1)});
    hand_kernel(&scratch, "text");
    hstore1(&scratch, scratch.k->body, b, e, hf(h, 1));
    Text text = {0};
    kkernel_print(&text, scratch.k);
    char *start = strchr(text.data, '['), *end = strrchr(text.data, ']');
    *end = '\0';
    const char *copy = arena_strdup(h->arena, start + 1);
    text_free(&text);
    return copy;
}

static void test_folding(void) {
    Hand h = hand_new(100);
    hand_kernel(&h, "k");
    KExpr *a = hv(&h, hloopvar(&h, "a", 10)), *b = hv(&h, hloopvar(&h, "b", 32)), *c = hv(&h, hloopvar(&h, "c", 0));
    KExpr *n32 = hi(&h, 32), *sum = op(&h, '+', op(&h, '*', a, n32), b);
    CHECK(op(&h, '+', a, hi(&h, 0)) == a && op(&h, '*', hi(&h, 1), a) == a && op(&h, '-', a, hi(&h, 0)) == a);
    CHECK_TEXT(index_text(&h, op(&h, '*', a, hi(&h, 0))), "0");
    CHECK_TEXT(index_text(&h, op(&h, '+', hi(&h, 3), hi(&h, 4))), "7");
    CHECK_TEXT(index_text(&h, op(&h, '+', op(&h, '+', a, hi(&h, 3)), op(&h, '+', c, hi(&h, 4)))), "a.0 + c.2 + 7");
    CHECK_TEXT(index_text(&h, op(&h, '-', op(&h, '+', a, hi(&h, 3)), a)), "3");
    CHECK_TEXT(index_text(&h, op(&h, '*', op(&h, '*', a, hi(&h, 4)), hi(&h, 8))), "a.0 * 32");
    CHECK_TEXT(index_text(&h, op(&h, '*', op(&h, '+', a, c), hi(&h, 8))), "(a.0 + c.2) * 8");
    CHECK_TEXT(index_text(&h, op(&h, '/', sum, n32)), "a.0");
    CHECK_TEXT(index_text(&h, op(&h, '%', sum, n32)), "b.1");
    CHECK_TEXT(index_text(&h, op(&h, '/', op(&h, '+', sum, hi(&h, 64)), n32)), "a.0 + 2");
    CHECK_TEXT(index_text(&h, op(&h, '/', op(&h, '+', sum, c), n32)), "(a.0 * 32 + b.1 + c.2) / 32"); /* c unknown */
    CHECK_TEXT(index_text(&h, op(&h, '/', op(&h, '/', c, hi(&h, 4)), hi(&h, 8))), "c.2 / 32");
    CHECK_TEXT(index_text(&h, op(&h, '%', a, n32)), "a.0");
    CHECK_TEXT(index_text(&h, op(&h, '%', b, hi(&h, 8))), "b.1 % 8");
    CHECK_TEXT(index_text(&h, op(&h, '/', op(&h, '-', op(&h, '*', a, n32), hi(&h, 1)), n32)), "a.0 - 1");
    CHECK_TEXT(index_text(&h, op(&h, 'm', a, n32)), "a.0");
    CHECK_TEXT(index_text(&h, op(&h, 'm', b, hi(&h, 8))), "min(b.1, 8)");
    CHECK_TEXT(index_text(&h, op(&h, '/', op(&h, '+', kexpr_batch(h.p), hi(&h, 7)), hi(&h, 8))), "(B + 7) / 8");
    CHECK_TEXT(index_text(&h, kexpr_dim(h.p, dim_batch(3))), "B * 3");
    CHECK_TEXT(index_text(&h, op(&h, '-', c, op(&h, '-', a, b))), "c.2 - (a.0 - b.1)");
    KVar *by8 = hloopvar(&h, "d", 0); /* what is less than a step reaches no multiple of the divisor */
    by8->multiple = 8;
    KExpr *d = hv(&h, by8), *e = hv(&h, hloopvar(&h, "e", 8)), *inside = op(&h, '+', d, e);
    CHECK_TEXT(index_text(&h, op(&h, '/', inside, n32)), "d.3 / 32");
    CHECK_TEXT(index_text(&h, op(&h, '%', inside, n32)), "d.3 % 32 + e.4");
    CHECK_TEXT(index_text(&h, op(&h, '/', op(&h, '+', inside, hi(&h, 1)), n32)), "(d.3 + e.4 + 1) / 32");
    CHECK_TEXT(index_text(&h, op(&h, '/', inside, hi(&h, 12))), "(d.3 + e.4) / 12");
    hand_free(&h);
}

static int64_t eval_index(const KExpr *e, const int64_t *values) {
    if (e->kind == KE_CONST)
        return (int64_t)e->number;
    if (e->kind == KE_VAR)
        return values[e->var->id];
    int64_t a = eval_index(e->index.left, values), b = eval_index(e->index.right, values);
    switch (e->index.op) {
    case '+':
        return a + b;
    case '-':
        return a - b;
    case '*':
        return a * b;
    case '/':
        return a / b;
    case '%':
        return a % b;
    case 'm':
        return a < b ? a : b;
    default:
        return a > b ? a : b;
    }
}

/* Random index expressions: what the constructors fold has the value that plain arithmetic gives. Values stay
 * non-negative, as '/' and '%' demand. */
static void test_folding_is_exact(void) {
    Hand h = hand_new(16);
    hand_kernel(&h, "k");
    KVar *var[3] = {hloopvar(&h, "a", 5), hloopvar(&h, "b", 32), hloopvar(&h, "c", 0)};
    uint32_t state = 1;
    int wrong = 0;
    var[2]->multiple = 4;
    for (int round = 0; round < 3000; round++) {
        KExpr *folded[6];
        int64_t plain[6], values[3];
        for (int i = 0; i < 3; i++) {
            state = state * 1664525u + 1013904223u;
            values[i] = (state >> 16) % (i == 0 ? 5 : i == 1 ? 32 : 100);
            values[i] -= i == 2 ? values[i] % var[2]->multiple : 0;
            folded[i] = hv(&h, var[i]);
            plain[i] = values[i];
        }
        for (int i = 3; i < 6; i++) {
            state = state * 1664525u + 1013904223u;
            int left = (state >> 8) % i, right = (state >> 16) % (i + 1);
            char o = "+*/%mM-"[(state >> 24) % 7];
            int64_t constant = 1 + (state >> 20) % 9 * 4;
            bool by_constant = right == i || o == '/' || o == '%' || o == '*';
            KExpr *other = by_constant ? hi(&h, constant) : folded[right];
            int64_t number = by_constant ? constant : plain[right];
            if (o == '-' && number > plain[left])
                o = '+';
            folded[i] = op(&h, o, folded[left], other);
            KExpr *raw = ARENA_NEW(h.arena, KExpr);
            *raw =
                (KExpr){.kind = KE_INDEX, .type = {KBASE_INDEX, 1}, .index = {o, hi(&h, plain[left]), hi(&h, number)}};
            plain[i] = eval_index(raw, values);
            wrong += eval_index(folded[i], values) != plain[i];
            int64_t low, high;
            if (kexpr_range(h.p, folded[i], &low, &high))
                wrong += plain[i] < low || plain[i] > high;
        }
    }
    CHECK(wrong == 0);
    hand_free(&h);
}

static void test_analysis(void) {
    Hand h = hand_new(100);
    hand_kernel(&h, "k");
    KVar *a = hloopvar(&h, "a", 10), *b = hloopvar(&h, "b", 32);
    KExpr *e = op(&h, '+', op(&h, '*', hv(&h, a), hi(&h, 28)), op(&h, '-', hv(&h, b), hi(&h, 3)));
    int64_t value, low, high;
    CHECK(kexpr_coefficient(e, a, &value) && value == 28);
    CHECK(kexpr_coefficient(e, b, &value) && value == 1);
    CHECK(!kexpr_coefficient(op(&h, '/', hv(&h, a), hi(&h, 3)), a, &value));
    CHECK(kexpr_coefficient(op(&h, '/', hv(&h, a), hi(&h, 3)), b, &value) && value == 0);
    CHECK(kexpr_range(h.p, e, &low, &high) && low == -3 && high == 9 * 28 + 31 - 3);
    CHECK(kexpr_range(h.p, kexpr_batch(h.p), &low, &high) && low == 1 && high == 100);
    CHECK(kexpr_uses(e, b) && !kexpr_uses(op(&h, '*', hv(&h, a), hi(&h, 2)), b));
    KExpr *moved = kexpr_substitute(h.p, e, (KVar *const[]){a}, (KExpr *const[]){hi(&h, 2)}, 1);
    CHECK_TEXT(index_text(&h, moved), "b.1 + 53");
    CHECK(kexpr_substitute(h.p, moved, (KVar *const[]){a}, (KExpr *const[]){hi(&h, 5)}, 1) == moved);
    CHECK(kexpr_equal(e, op(&h, '+', op(&h, '*', hv(&h, a), hi(&h, 28)), op(&h, '-', hv(&h, b), hi(&h, 3)))));
    CHECK(!kexpr_equal(e, moved));
    hand_free(&h);
}

static void test_vectors(void) {
    Hand h = hand_new(4);
    hand_kernel(&h, "k");
    KBuffer *b = hbuffer(&h, SPACE_VARIABLE, "b", KBASE_F32, 1, dim_static(64), dim_static(1));
    KVar *x = hvar(&h, "x", KBASE_F32, 1, false), *v = hvar(&h, "v", KBASE_F32, 8, false);
    KExpr *e = hfn(&h, FN_mul, hv(&h, x), hf(&h, 2));
    KExpr *wide = kexpr_substitute(h.p, e, (KVar *const[]){x}, (KExpr *const[]){hv(&h, v)}, 1);
    CHECK(wide->type.lanes == 8 && wide->fn.args[1]->kind == KE_SPLAT);
    KExpr *both = hfn(&h, FN_add, kexpr_splat(h.p, hv(&h, x), 8), hf(&h, 1));
    CHECK(both->kind == KE_SPLAT && both->operand->kind == KE_FN); /* computed once */
    KExpr *load = kexpr_load_vector(h.p, b, (KExpr *const[]){hi(&h, 8)}, 1, 8, hi(&h, 8), hi(&h, 1));
    CHECK(!load->load.count && !load->load.stride); /* all lanes, side by side */
    KExpr *yes = kexpr_number(h.p, KBASE_BOOL, 1), *test = hfn(&h, FN_lt, hv(&h, x), hf(&h, 0));
    CHECK(hfn(&h, FN_and, yes, test) == test && hselect(&h, yes, e, wide)->type.lanes == 8);
    CHECK(kexpr_cast(h.p, KBASE_F32, e) == e && kexpr_cast(h.p, KBASE_F32, test)->kind == KE_CAST);
    hand_free(&h);
}

static void test_layouts(void) {
    Hand h = hand_new(8);
    hand_kernel(&h, "k");
    KBuffer *w = hbuffer(&h, SPACE_VARIABLE, "w", KBASE_F32, 2, dim_static(7), dim_static(40));
    w->order[0] = 1, w->order[1] = 0;
    w->block_axis = 1, w->block = 16;
    int64_t extent[MAX_RANK + 1], stride[MAX_RANK + 1];
    CHECK(kbuffer_physical(w, 8, extent) == 3 && extent[0] == 3 && extent[1] == 7 && extent[2] == 16);
    kbuffer_strides(w, 8, stride);
    CHECK(stride[0] == 112 && stride[1] == 16 && stride[2] == 1 && kbuffer_elements(w, 8) == 336);
    KExpr *n = hplus(&h, op(&h, '*', hv(&h, hloopvar(&h, "p", 3)), hi(&h, 16)), hv(&h, hloopvar(&h, "l", 16)));
    KExpr *physical[MAX_RANK + 1];
    CHECK(kbuffer_physical_index(h.p, w, (KExpr *const[]){hi(&h, 5), n}, physical) == 3);
    CHECK_TEXT(index_text(&h, physical[0]), "p.1");
    CHECK_TEXT(index_text(&h, physical[1]), "5");
    CHECK_TEXT(index_text(&h, physical[2]), "l.0");
    KBuffer *padded = hbuffer(&h, SPACE_ARENA, "padded", KBASE_F32, 2, dim_batch(1), dim_static(10));
    padded->pad = 16;
    CHECK(kbuffer_physical(padded, 8, extent) == 2 && extent[0] == 8 && extent[1] == 16);
    KBuffer *x = hbuffer(&h, SPACE_ARGUMENT, "x", KBASE_F32, 2, dim_batch(1), dim_static(1024));
    x->row_stride = 1040;
    kbuffer_strides(x, 8, stride);
    CHECK(stride[0] == 1040 && kbuffer_elements(x, 8) == 8 * 1040);
    CHECK(kbuffer_new(h.p, SPACE_ARENA, "x", KBASE_F32, 0, NULL)->name != x->name);
    CHECK_TEXT(kbuffer_new(h.p, SPACE_ARENA, "x", KBASE_F32, 0, NULL)->name, "x_2");
    CHECK_TEXT(kbuffer_new(h.p, SPACE_ARENA, "for", KBASE_F32, 0, NULL)->name, "for_1");
    CHECK_TEXT(kbuffer_new(h.p, SPACE_ARENA, "a/b", KBASE_F32, 0, NULL)->name, "a_b");
    hand_free(&h);
}

static void test_text(void) {
    Hand h = hand_new(32);
    hand_dense(&h, 16, true);
    Text text = {0};
    kprogram_print(&text, h.p);
    CHECK_TEXT(text.data, "buffer x : f32[B, 7] argument by rows\n"
                          "buffer dense_kernel : f32[7, 32] variable order 1,0 panels of 16 along axis 1\n"
                          "buffer dense_bias : f32[32] variable\n"
                          "buffer dense : f32[B, 32] arena at 0\n"
                          "\n"
                          "function \n"
                          "kernel dense_forward\n"
                          "  # dense: y = relu(x kernel + bias), lines 3 to 4\n"
                          "  parallel m.0 = 0 to B step 4\n"
                          "    serial r.1 = m.0 to min(m.0 + 4, B)\n"
                          "      acc.4 : mutable f32x16 = dense_bias[0]:16\n"
                          "      acc.5 : mutable f32x16 = dense_bias[16]:16\n"
                          "      unroll k.2 = 0 to 7\n"
                          "        a.3 : f32 = x[r.1, k.2]\n"
                          "        acc.4 = add(acc.4, mul(splat(a.3), dense_kernel[0, k.2, 0]:16))\n"
                          "        acc.5 = add(acc.5, mul(splat(a.3), dense_kernel[1, k.2, 0]:16))\n"
                          "      dense[r.1, 0] = max(acc.4, splat(0.0))\n"
                          "      dense[r.1, 16] = max(acc.5, splat(0.0))\n");
    text_free(&text);
    hand_free(&h);
}

static void test_walks(void) {
    Hand h = hand_new(32);
    HandDense d = hand_dense(&h, 8, true);
    KKernel *dense = h.k;
    hand_softmax(&h, d.y, 10, 16);
    const KUse *uses;
    CHECK(kkernel_uses(h.p, dense, &uses) == 4);
    CHECK(uses[0].buffer == d.x && uses[0].read && !uses[0].written);
    CHECK(uses[3].buffer == d.y && !uses[3].read && uses[3].written);
    CHECK(kkernel_uses_rows(h.p, dense) && !kkernel_uses_rows(h.p, h.k));
    CHECK(kkernel_uses_batch(h.p, dense) && !kkernel_uses_batch(h.p, h.k)); /* softmax: only as the loop's end */
    const bool *live = kkernel_live(h.p, h.k);
    CHECK(live[1] && live[2] && live[3] && !live[4]); /* row, peak, e, unused */
    CHECK(kkernel_parallel(dense) != NULL && kloop_count(h.p, kkernel_parallel(dense))->kind == KE_INDEX);
    HandTile t = hand_tile(&h, 8, 12, 20);
    KLaunch launch;
    int64_t x, y;
    CHECK(kkernel_launch(h.p, h.k, &launch) && !kkernel_launch(h.p, dense, &launch));
    CHECK(kkernel_launch(h.p, h.k, &launch) && launch.block[0] == 4 && launch.block[1] == 4);
    CHECK(kexpr_constant(launch.grid[0], &x) && kexpr_constant(launch.grid[1], &y) && x == 5 && y == 2);
    CHECK(t.x != NULL);
    hand_free(&h);
}

/* ---- the verifier */

static bool refuses(Hand *h, const char *part) {
    bool good = kprogram_verify(h->p, "test");
    Text text = {0};
    diag_print(h->diag, &text, false);
    bool found = !good && text.data && strstr(text.data, part);
    if (!found)
        printf("expected an error with \"%s\", got: %s\n", part, text.data ? text.data : "none");
    text_free(&text);
    h->sequence->count = 0;
    return found;
}

static void test_verifier_accepts(void) {
    Hand h = hand_new(32);
    HandDense d = hand_dense(&h, 16, true);
    hand_softmax(&h, d.y, 10, 16);
    hand_tile(&h, 8, 12, 20);
    CHECK(kprogram_verify(h.p, "test"));
    CHECK(diag_errors(h.diag) == 0);
    hand_free(&h);
}

static void test_verifier_types(void) {
    Hand h = hand_new(32);
    KBuffer *b = hbuffer(&h, SPACE_ARENA, "b", KBASE_F32, 1, dim_static(8), dim_static(1));
    KBuffer *x = hbuffer(&h, SPACE_ARGUMENT, "x", KBASE_F32, 1, dim_batch(1), dim_static(1));
    hand_kernel(&h, "undeclared");
    hstore1(&h, h.k->body, b, hi(&h, 0), hv(&h, hvar(&h, "v", KBASE_F32, 1, false)));
    CHECK(refuses(&h, "variable v is used where it is not declared"));
    hand_kernel(&h, "type");
    hstore1(&h, h.k->body, b, hi(&h, 0), kexpr_number(h.p, KBASE_I32, 1));
    CHECK(refuses(&h, "i32 is stored to b of f32"));
    hand_kernel(&h, "mixed");
    hstore1(&h, h.k->body, b, hi(&h, 0), hfn(&h, FN_add, hf(&h, 1), kexpr_number(h.p, KBASE_I32, 1)));
    CHECK(refuses(&h, "operand 1 of add is i32"));
    hand_kernel(&h, "integer_exp");
    KExpr *e = hfn(&h, FN_exp, kexpr_number(h.p, KBASE_I32, 1), NULL);
    hstore1(&h, h.k->body, b, hi(&h, 0), kexpr_cast(h.p, KBASE_F32, e));
    CHECK(refuses(&h, "exp is not defined for i32"));
    hand_kernel(&h, "axes");
    hstore2(&h, h.k->body, b, hi(&h, 0), hi(&h, 0), hf(&h, 1));
    CHECK(refuses(&h, "b has 1 axes, but 2 indices"));
    hand_kernel(&h, "argument");
    hstore1(&h, h.k->body, x, hi(&h, 0), hf(&h, 1));
    CHECK(refuses(&h, "the argument x is written"));
    hand_kernel(&h, "constant");
    KVar *fixed = hvar(&h, "fixed", KBASE_F32, 1, false);
    kstmt_add(h.k->body, kstmt_let(h.p, fixed, hf(&h, 1)));
    kstmt_add(h.k->body, kstmt_set(h.p, fixed, hf(&h, 2)));
    CHECK(refuses(&h, "not a mutable variable"));
    hand_kernel(&h, "unallocated");
    KBuffer *local = kbuffer_local(h.p, h.k, SPACE_LOCAL, "t", KBASE_F32, 1, (Dim[]){dim_static(4)});
    hstore1(&h, h.k->body, local, hi(&h, 0), hf(&h, 1));
    CHECK(refuses(&h, "t is used before it is allocated"));
    hand_free(&h);
}

/* A buffer of the program that is younger than a local one of a kernel that touches both. */
static void test_names_of_locals(void) {
    Hand h = hand_new(32);
    hand_kernel(&h, "names");
    KBuffer *local = kbuffer_local(h.p, h.k, SPACE_LOCAL, "a", KBASE_F32, 1, (Dim[]){dim_static(4)});
    KBuffer *a = hbuffer(&h, SPACE_ARENA, "a", KBASE_F32, 1, dim_static(4), dim_static(1));
    kstmt_add(h.k->body, kstmt_alloc(h.p, local));
    hstore1(&h, h.k->body, local, hi(&h, 0), hf(&h, 1));
    hstore1(&h, h.k->body, a, hi(&h, 0), kexpr_load(h.p, local, (KExpr *const[]){hi(&h, 0)}, 1));
    CHECK_TEXT(local->name, a->name);
    CHECK(refuses(&h, "local buffer a has the name of another buffer"));
    h.sequence->count = 1;
    kprogram_name_locals(h.p);
    CHECK_TEXT(local->name, "a_1");
    CHECK(kprogram_verify(h.p, "test"));
    hand_free(&h);
}

static void test_verifier_bounds(void) {
    Hand h = hand_new(32);
    KBuffer *b = hbuffer(&h, SPACE_ARENA, "b", KBASE_F32, 1, dim_static(64), dim_static(1));
    KBuffer *y = hbuffer(&h, SPACE_ARENA, "y", KBASE_F32, 1, dim_batch(1), dim_static(1));
    hand_kernel(&h, "constant");
    hstore1(&h, h.k->body, b, hi(&h, 64), hf(&h, 1));
    CHECK(refuses(&h, "index 0 of b runs from 64 to 64, its axis has 64"));
    hand_kernel(&h, "affine");
    KVar *i = hloopvar(&h, "i", 0);
    KStmt *body = hfor(&h, h.k->body, i, AXIS_SERIAL, hi(&h, 0), hi(&h, 22), 1);
    hstore1(&h, body, b, op(&h, '*', hv(&h, i), hi(&h, 3)), hf(&h, 1)); /* 21 * 3 = 63 is the last */
    CHECK(kprogram_verify(h.p, "test"));
    hstore1(&h, body, b, hplus(&h, op(&h, '*', hv(&h, i), hi(&h, 3)), hi(&h, 1)), hf(&h, 1));
    CHECK(refuses(&h, "index 0 of b runs from 1 to 64, its axis has 64"));
    hand_kernel(&h, "vector");
    KStmt *store = kstmt_store(h.p, b, (KExpr *const[]){hi(&h, 56)}, 1, kexpr_splat(h.p, hf(&h, 1), 16), NULL);
    kstmt_add(h.k->body, store);
    CHECK(refuses(&h, "index 0 of b runs from 56 to 71"));
    hand_kernel(&h, "batch");
    i = hloopvar(&h, "i", 0);
    body = hfor(&h, h.k->body, i, AXIS_SERIAL, hi(&h, 0), kexpr_batch(h.p), 1);
    hstore1(&h, body, y, hplus(&h, hv(&h, i), hi(&h, 1)), hf(&h, 1));
    CHECK(refuses(&h, "index 0 of y runs from 1 to 32"));
    hand_kernel(&h, "guarded"); /* the condition may exclude what lies outside */
    i = hloopvar(&h, "i", 0);
    body = hfor(&h, h.k->body, i, AXIS_SERIAL, hi(&h, 0), hi(&h, 100), 1);
    KStmt *then = kstmt_block(h.p);
    hstore1(&h, then, b, hv(&h, i), hf(&h, 1));
    kstmt_add(body, kstmt_if(h.p, hfn(&h, FN_lt, hv(&h, i), hi(&h, 64)), then, NULL));
    CHECK(kprogram_verify(h.p, "test"));
    hand_free(&h);
}

static void test_verifier_axes(void) {
    Hand h = hand_new(32);
    KBuffer *b = hbuffer(&h, SPACE_ARENA, "b", KBASE_F32, 1, dim_static(64), dim_static(1));
    hand_kernel(&h, "inner_parallel");
    KStmt *body = hfor(&h, h.k->body, hloopvar(&h, "i", 0), AXIS_SERIAL, hi(&h, 0), hi(&h, 4), 1);
    KVar *j = hloopvar(&h, "j", 0);
    body = hfor(&h, body, j, AXIS_PARALLEL, hi(&h, 0), hi(&h, 4), 1);
    hstore1(&h, body, b, hv(&h, j), hf(&h, 1));
    CHECK(refuses(&h, "the parallel loop over j is not the only and outermost one"));
    for (int divergent = 0; divergent < 2; divergent++) {
        hand_kernel(&h, "barrier");
        body = hfor(&h, h.k->body, hloopvar(&h, "g", 0), AXIS_GRID_X, hi(&h, 0), hi(&h, 4), 1);
        KVar *t = hloopvar(&h, "t", 0);
        body = hfor(&h, body, t, AXIS_THREAD_X, hi(&h, 0), hi(&h, 8), 1);
        KExpr *condition = hfn(&h, FN_lt, divergent ? hv(&h, t) : kexpr_batch(h.p), hi(&h, 4));
        kstmt_add(body, kstmt_if(h.p, condition, kstmt_barrier(h.p), NULL));
        CHECK(divergent ? refuses(&h, "a barrier stands where not all threads") : kprogram_verify(h.p, "test"));
    }
    hand_kernel(&h, "short_threads");
    body = hfor(&h, h.k->body, hloopvar(&h, "g", 0), AXIS_GRID_X, hi(&h, 0), hi(&h, 4), 1);
    KStmt *eight = hfor(&h, body, hloopvar(&h, "t", 0), AXIS_THREAD_X, hi(&h, 0), hi(&h, 8), 1);
    hstore1(&h, eight, b, hi(&h, 0), hf(&h, 1));
    KStmt *six = hfor(&h, body, hloopvar(&h, "u", 0), AXIS_THREAD_X, hi(&h, 0), hi(&h, 6), 1);
    kstmt_add(six, kstmt_barrier(h.p));
    CHECK(refuses(&h, "a barrier stands in the loop over u, which not all threads run"));
    hand_free(&h);
}

/* What no device can launch. */
static void test_verifier_launches(void) {
    static const struct {
        int64_t x, y, threads_x, threads_y, shared;
        const char *refused; /* NULL: it can be */
    } cases[] = {
        {70000, 65535, 256, 4, 12288, NULL},
        {4, 65536, 32, 1, 4, "a launch has 65536 blocks along y, more than 65535"},
        {(int64_t)1 << 31, 1, 32, 1, 4, "a launch has 2147483648 blocks along x, more than 2147483647"},
        {4, 1, 64, 17, 4, "a block has 1088 threads, more than 1024"},
        {4, 1, 32, 1, 12289, "a block has 49156 bytes of shared memory, more than 49152"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Hand h = hand_new(32);
        hand_kernel(&h, "launch");
        Dim shared = dim_static(cases[i].shared);
        KBuffer *b = kbuffer_local(h.p, h.k, SPACE_SHARED, "b", KBASE_F32, 1, &shared);
        kstmt_add(h.k->body, kstmt_alloc(h.p, b));
        KStmt *body = hfor(&h, h.k->body, hloopvar(&h, "g", 0), AXIS_GRID_X, hi(&h, 0), hi(&h, cases[i].x), 1);
        body = hfor(&h, body, hloopvar(&h, "h", 0), AXIS_GRID_Y, hi(&h, 0), hi(&h, cases[i].y), 1);
        body = hfor(&h, body, hloopvar(&h, "u", 0), AXIS_THREAD_Y, hi(&h, 0), hi(&h, cases[i].threads_y), 1);
        body = hfor(&h, body, hloopvar(&h, "t", 0), AXIS_THREAD_X, hi(&h, 0), hi(&h, cases[i].threads_x), 1);
        hstore1(&h, body, b, hi(&h, 0), hf(&h, 1));
        CHECK(cases[i].refused ? refuses(&h, cases[i].refused) : kprogram_verify(h.p, "test"));
        hand_free(&h);
    }
}

int main(void) {
    test_folding();
    test_folding_is_exact();
    test_analysis();
    test_vectors();
    test_layouts();
    test_text();
    test_walks();
    test_verifier_accepts();
    test_verifier_types();
    test_names_of_locals();
    test_verifier_bounds();
    test_verifier_axes();
    test_verifier_launches();
    return test_report();
}
