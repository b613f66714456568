/* The builder: inferred types, broadcasting, and messages that name the shapes that disagree. */
#include "ir/build.h"
#include "test.h"
#include <stdlib.h>

static Arena *arena;
static Module *module;
static Func *func;
static Builder builder;

static void begin(void) {
    Diag *diag = diag_new(arena);
    module = module_new(arena, diag, "m", 32);
    func = module_func(module, "f");
    builder = builder_at_end(func);
}

/* An argument; extents as text: "B,4" */
static Value *arg(Dtype dtype, const char *extents) {
    Dim dims[MAX_RANK];
    int rank = 0;
    for (const char *at = extents; *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : "")
        dims[rank++] = *at == 'B' ? dim_batch(1) : dim_static(atoi(at));
    return func_add_arg(func, ARG_PLAIN, type_get(module, dtype, rank, dims),
                        arena_format(arena, "a%d", func->value_count));
}

static Value *f32(const char *extents) {
    return arg(DTYPE_F32, extents);
}

static void check_type(const Value *value, const char *expected) {
    CHECK_TEXT(value ? type_text(arena, value->type) : "none", expected);
}

/* The call gave nothing, and this one message. */
static void check_error(const Value *value, const char *message) {
    Text text = {0};
    text_add(&text, "");
    CHECK(value == NULL);
    diag_print(module->diag, &text, false);
    CHECK_TEXT(text.data, arena_format(arena, "error: %s\n", message));
    text_free(&text);
}

static void test_broadcast(void) {
    begin();
    check_type(build_add(&builder, f32("B,4"), f32("4")), "f32[B, 4]");
    check_type(build_add(&builder, f32("4"), f32("B,4")), "f32[B, 4]");
    check_type(build_mul(&builder, f32("B,1"), f32("B,4")), "f32[B, 4]");
    check_type(build_mul(&builder, f32("B,5,3"), f32("B,3")), "f32[B, 5, 3]"); /* B stays first */
    check_type(build_mul(&builder, f32("B"), f32("B,10")), "f32[B, 10]");
    check_type(build_mul(&builder, f32("3,1"), f32("1,4")), "f32[3, 4]");
    check_type(build_mul(&builder, f32("1,4"), f32("B,4")), "f32[B, 4]");
    check_type(build_sub(&builder, f32(""), f32("B,4,2")), "f32[B, 4, 2]");
    check_type(build_map2(&builder, FN_lt, f32("B"), f32("")), "bool[B]");
    check_type(build_map3(&builder, FN_select, arg(DTYPE_BOOL, "B,1"), f32("4"), f32("")), "f32[B, 4]");
    check_type(build_add(&builder, arg(DTYPE_I32, "3"), arg(DTYPE_I32, "")), "i32[3]");
    CHECK(diag_errors(module->diag) == 0);
    check_error(build_add(&builder, f32("B,64"), f32("B,100")),
                "add: the shapes f32[B, 64] and f32[B, 100] do not fit together: axis 1 is 64 for one and 100 for "
                "another");
    check_error(build_add(&builder, f32("B,4"), f32("3,4")),
                "add: the shapes f32[B, 4] and f32[3, 4] do not fit together: axis 0 is B for one and 3 for another");
    check_error(build_add(&builder, f32("B"), arg(DTYPE_I32, "B")),
                "add: the inputs are of different kinds: f32[B] and i32[B]");
    check_error(build_map1(&builder, FN_exp, arg(DTYPE_I32, "B")), "exp: is not defined for i32; cast to f32 first");
    check_error(build_map1(&builder, FN_not, f32("B")), "not: needs truth values, not f32");
    check_error(build_map3(&builder, FN_select, f32("B"), f32("B"), f32("B")),
                "select: input 1 must be bool, not f32[B]");
    check_error(build_broadcast_to(&builder, f32("2,3"), f32("3")->type),
                "f32[2, 3] cannot be broadcast to f32[3], which has fewer axes");
}

static void test_no_ops(void) {
    begin();
    Value *x = f32("B,4");
    int count = func->value_count;
    CHECK(build_reshape(&builder, x, x->type) == x);
    CHECK(build_broadcast_to(&builder, x, x->type) == x);
    CHECK(build_cast(&builder, x, DTYPE_F32) == x);
    CHECK(build_reduce(&builder, REDUCE_MAX, x, NULL, 0) == x);
    CHECK(build_flatten(&builder, x) == x);
    CHECK(build_transpose(&builder, x, (int[]){0, 1}) == x);
    CHECK(build_reverse(&builder, x, NULL, 0) == x && !build_reverse(&builder, NULL, (int[]){1}, 1));
    CHECK(func->value_count == count && !func->body.first);
    /* calls without an input say nothing and give nothing */
    CHECK(!build_add(&builder, x, NULL) && !build_flatten(&builder, NULL) && !build_cast(&builder, NULL, DTYPE_F32));
    CHECK(!build_einsum(&builder, "a,b->ab", NULL, x) && !build_mean_all(&builder, NULL));
    CHECK(!build_scale(&builder, NULL, 2) && !build_variable(&builder, NULL) && !build_argmax(&builder, NULL, 0));
    CHECK(!build_concat(&builder, (Value *[]){x, NULL}, 2, 0) &&
          !build_reduce_keep(&builder, REDUCE_SUM, NULL, NULL, 0));
    CHECK(diag_errors(module->diag) == 0);
}

static void test_shapes(void) {
    begin();
    Value *x = f32("B,4,5,2");
    check_type(build_flatten(&builder, x), "f32[B, 40]");
    check_type(build_flatten(&builder, f32("B")), "f32[B, 1]");
    check_type(build_transpose(&builder, x, (int[]){0, -1, 1, 2}), "f32[B, 2, 4, 5]");
    check_type(build_reverse(&builder, x, (int[]){-1, 1}, 2), "f32[B, 4, 5, 2]");
    check_type(build_concat(&builder, (Value *[]){f32("B,3"), f32("B,4")}, 2, -1), "f32[B, 7]");
    check_type(build_pad(&builder, f32("3,4"), &(PadAttr){.low = {1, -1}, .interior = {2, 0}}), "f32[8, 3]");
    check_type(build_slice(&builder, f32("9"), (int64_t[]){2}, (int64_t[]){3}, f32("3")->type), "f32[3]");
    CHECK(diag_errors(module->diag) == 0);
    check_error(build_reshape(&builder, x, f32("B,41")->type),
                "reshape: f32[B, 4, 5, 2] and f32[B, 41] have different numbers of elements (40 per sample and 41 per "
                "sample)");
    check_error(build_reshape(&builder, f32("B,4"), f32("4")->type),
                "reshape: f32[B, 4] and f32[4] have different numbers of elements (4 per sample and 4)");
    check_error(build_transpose(&builder, f32("B,4"), (int[]){1, 0}),
                "transpose: the batch axis of the result f32[4, B] is not the first");
    check_error(build_transpose(&builder, f32("3,4"), (int[]){1, 1}),
                "transpose: the axes are no permutation of those of f32[3, 4]");
    check_error(build_reverse(&builder, f32("B,4"), (int[]){0}, 1),
                "reverse: the batch axis of f32[B, 4] cannot be reversed");
    check_error(build_reverse(&builder, f32("3,4"), (int[]){1, 2}, 2),
                "reverse: the axes must increase and be axes of f32[3, 4]");
    check_error(build_concat(&builder, (Value *[]){f32("B,3,2"), f32("B,3,4")}, 2, 1),
                "concat: f32[B, 3, 2] and f32[B, 3, 4] differ in more than the length of axis 1");
    check_error(build_slice(&builder, f32("9"), (int64_t[]){3}, (int64_t[]){3}, f32("3")->type),
                "slice: 3 elements from 3 by 3 do not lie within axis 0 of f32[9]");
    check_error(build_slice(&builder, f32("B"), (int64_t[]){1}, (int64_t[]){1}, f32("B")->type),
                "slice: the batch axis can only be taken whole (f32[B] from f32[B])");
    check_error(build_pad(&builder, f32("3"), &(PadAttr){.low = {-3}}),
                "pad: axis 0 of the result f32[0] would be empty");
    check_error(build_pad(&builder, f32("B"), &(PadAttr){.low = {1}}),
                "pad: the batch axis of f32[B] cannot be padded");
    check_error(build_flatten(&builder, f32("")), "a scalar cannot be flattened");
    check_error(build_broadcast(&builder, f32("3"), f32("4,2")->type, (int[]){0}),
                "broadcast: f32[3] does not become f32[4, 2]: axis 0 of the result is 4, the input has 3");
}

static void test_reductions(void) {
    begin();
    Value *x = f32("B,4,3");
    check_type(build_sum(&builder, x, (int[]){-1, 0}, 2), "f32[4]");
    check_type(build_reduce_keep(&builder, REDUCE_MAX, x, (int[]){0, 2}, 2), "f32[1, 4, 1]");
    check_type(build_mean(&builder, x, (int[]){1}, 1), "f32[B, 3]");
    check_type(build_sum_all(&builder, x), "f32");
    check_type(build_mean_all(&builder, f32("")), "f32");
    check_type(build_argmax(&builder, x, -1), "i32[B, 4]");
    /* the mean over the batch divides by its size */
    Value *mean = build_mean(&builder, x, (int[]){0, 1}, 2);
    check_type(mean, "f32[3]");
    CHECK(mean && mean->def->code == OP_MAP && mean->def->attr.scalar == FN_div);
    CHECK(diag_errors(module->diag) == 0);
    check_error(build_sum(&builder, x, (int[]){3}, 1), "reduce: f32[B, 4, 3] has no axis 3");
    check_error(build_sum(&builder, x, (int[]){1, -2}, 2), "reduce: the axes over f32[B, 4, 3] must increase");
    check_error(build_sum_all(&builder, arg(DTYPE_BOOL, "B")), "reduce: needs numbers, not bool[B]");
}

static void test_contractions(void) {
    begin();
    Value *x = f32("B,64"), *w = f32("64,10");
    Value *y = build_einsum(&builder, "bk,kn->bn", x, w);
    check_type(y, "f32[B, 10]");
    check_type(build_einsum(&builder, "bk,bn->kn", x, y), "f32[64, 10]");
    check_type(build_einsum(&builder, "bn,kn->bk", y, w), "f32[B, 64]");
    check_type(build_einsum(&builder, "a,a->", f32("7"), f32("7")), "f32");
    check_type(build_einsum(&builder, "a,b->ab", f32("7"), f32("8")), "f32[7, 8]");
    Value *image = f32("B,28,28,3"), *kernel = f32("3,3,3,16");
    WindowAttr window = {2, {3, 3}, {1, 2}, {1, 1}, {0, 1}, {0, 1}, REDUCE_SUM};
    Value *z = build_conv(&builder, image, kernel, &window);
    check_type(z, "f32[B, 26, 14, 16]");
    OpAttr attr = {.window = window};
    check_type(build_op(&builder, OP_CONV_GRAD_INPUT, &attr, (Value *[]){z, kernel}, 2, image->type),
               "f32[B, 28, 28, 3]");
    check_type(build_op(&builder, OP_CONV_GRAD_KERNEL, &attr, (Value *[]){image, z}, 2, kernel->type),
               "f32[3, 3, 3, 16]");
    Value *pooled = build_pool(&builder, image, &window);
    check_type(pooled, "f32[B, 26, 14, 3]");
    check_type(build_op(&builder, OP_POOL_GRAD, &attr, (Value *[]){image, pooled}, 2, NULL), "f32[B, 28, 28, 3]");
    WindowAttr crop = {2, {3, 3}, {1, 2}, {1, 1}, {-2, 1}, {-3, -1}, REDUCE_SUM}; /* rows 2..24, all columns but one */
    check_type(build_conv(&builder, image, kernel, &crop), "f32[B, 21, 13, 16]");
    check_type(build_pool(&builder, image, &crop), "f32[B, 21, 13, 3]");
    CHECK(diag_errors(module->diag) == 0);
    crop.low[0] = -23;
    check_error(build_pool(&builder, image, &crop),
                "pool: a window of 3 does not fit into the 2 cells of axis 1 of f32[B, 28, 28, 3]");
    crop.high[0] = 40;
    check_error(build_pool(&builder, image, &crop), "pool: padding -23 and 40 of axis 1 leaves windows of 3 empty");
    check_error(build_einsum(&builder, "bk,kn->bn", x, f32("100,10")),
                "einsum: axis k is 64 on the left and 100 on the right (f32[B, 64] and f32[100, 10])");
    check_error(build_einsum(&builder, "bk,kn->bz", x, w), "einsum: axis z of the result is in neither input");
    check_error(build_einsum(&builder, "bk,mn->bn", x, w),
                "einsum: axis k of the left is neither in the other input nor in the result");
    check_error(build_einsum(&builder, "bb,kn->bn", x, w), "einsum: axis b occurs twice on the left");
    check_error(build_einsum(&builder, "bk,kn->nb", x, w),
                "einsum: the batch axis of the result f32[10, B] is not the first");
    check_error(build_einsum(&builder, "bkq,kn->bn", x, w),
                "einsum: the labels \"bkq,kn->bn\" do not fit f32[B, 64] and f32[64, 10]");
    check_error(build_conv(&builder, image, f32("3,3,4,16"), &window),
                "conv: the input f32[B, 28, 28, 3] has 3 channels, the kernel f32[3, 3, 4, 16] takes 4");
    check_error(build_conv(&builder, f32("B,2,2,3"), kernel, &window),
                "conv: a window of 3 does not fit into the 2 cells of axis 1 of f32[B, 2, 2, 3]");
    check_error(build_conv(&builder, f32("B,28,3"), kernel, &window),
                "conv: a window over 2 axes needs 4 axes (batch, space, channels), not f32[B, 28, 3]");
    check_error(build_op(&builder, OP_CONV_GRAD_INPUT, &attr, (Value *[]){pooled, kernel}, 2, image->type),
                "conv_grad_input: the gradient is f32[B, 26, 14, 3], the result was f32[B, 26, 14, 16]");
}

static void test_indexing_and_leaves(void) {
    begin();
    Value *ids = arg(DTYPE_I32, "B,7"), *table = f32("100,8");
    Value *rows = build_gather(&builder, table, ids);
    check_type(rows, "f32[B, 7, 8]");
    check_type(build_op(&builder, OP_SCATTER_ADD, NULL, (Value *[]){ids, rows}, 2, table->type), "f32[100, 8]");
    check_type(build_iota(&builder, ids->type, 1), "i32[B, 7]");
    check_type(build_batch_size(&builder), "f32");
    check_type(build_like(&builder, ids, 3), "i32[B, 7]");
    CHECK(diag_errors(module->diag) == 0);
    check_error(build_gather(&builder, table, f32("B")), "gather: input 2 must be i32, not f32[B]");
    check_error(build_like(&builder, ids, 0.5), "const: 0.5 is no 32-bit integer");
    check_error(build_like(&builder, arg(DTYPE_BOOL, "3"), 2), "const: 2 is no truth value");
    check_error(build_iota(&builder, ids->type, 2), "iota: i32[B, 7] has no axis 2");
    check_error(build_random(&builder, RANDOM_UNIFORM, table->type, 0, table, ids),
                "random: the seed must be an i32 scalar, not f32[100, 8]");
    check_error(build_op(&builder, OP_SCATTER_ADD, NULL, (Value *[]){ids, rows}, 2, f32("100,9")->type),
                "scatter_add: rows f32[B, 7, 8] for ids i32[B, 7] do not fit into a table f32[100, 9]");
    check_error(
        build_const(&builder, type_get(module, DTYPE_F32, 2, (Dim[]){dim_static(1 << 21), dim_static(1 << 21)}), 0),
        "const: the result f32[2097152, 2097152] has more than 2^40 elements");
    check_error(build_op(&builder, OP_COPY, NULL, (Value *[]){ids, ids}, 2, NULL), "copy: takes 1 input, not 2");
}

static void test_state(void) {
    begin();
    Value *x = f32("B,4");
    Variable *a = module_variable(module, "a", f32("4")->type, VARIABLE_TRAINABLE, (Init){0}, (Span){0});
    Variable *b = module_variable(module, "b", f32("4")->type, VARIABLE_TRAINABLE, (Init){0}, (Span){0});
    CHECK(module_find_variable(module, "b") == b && !module_find_variable(module, "c"));
    Value *sum = build_add(&builder, x, build_variable(&builder, b));
    Value *first = build_variable(&builder, a);
    CHECK(build_variable(&builder, a) == first);
    /* variables stand first, in the order of their first use */
    CHECK(func->body.first->attr.variable == b && func->body.first->next == first->def);
    /* one that stands elsewhere is found and moved up */
    Op *moved = func->body.first;
    op_remove(moved);
    op_append(&func->body, moved);
    CHECK(build_variable(&builder, b) == moved->results[0] && func->body.first->next == moved);
    Value *gradients[2];
    Value *loss = build_mean_all(&builder, sum);
    build_grad(&builder, loss, (Value *[]){first, x}, 2, gradients);
    CHECK(gradients[0] && gradients[0]->type == first->type && gradients[1]->type == x->type);
    build_assign(&builder, a, gradients[0]);
    CHECK(func->body.last->code == OP_ASSIGN);
    CHECK(diag_errors(module->diag) == 0 && module_verify(module, NULL));
    build_grad(&builder, sum, (Value *[]){first}, 1, gradients);
    check_error(gradients[0], "grad: the loss must be an f32 scalar, not f32[B, 4]");
    build_assign(&builder, a, x);
    check_error(NULL, "assign: a is f32[4] and cannot become f32[B, 4]");
}

/* The cursor: in the middle of a function, with the span and layer of the place. */
static void test_cursor(void) {
    begin();
    Value *x = f32("B,4");
    builder.layer = "dense";
    Value *y = build_map1(&builder, FN_exp, x);
    func_add_result(func, y, "y");
    Builder before = builder_before(func, y->def);
    Value *z = build_scale(&before, x, 2);
    CHECK(z->def->next == y->def && z->def->layer == y->def->layer);
    Replacements other = replacements_new(func, arena);
    other.by_id[x->id] = z;
    region_replace(&func->body, &other);
    z->def->inputs[0] = x;
    CHECK(y->def->inputs[0] == z && module_verify(module, NULL));
    int *uses = func_count_uses(func, arena);
    CHECK(uses[x->id] == 1 && uses[z->id] == 1 && uses[y->id] == 1);
    other = replacements_new(func, arena);
    other.by_id[y->id] = z;
    region_replace(&func->body, &other);
    op_remove(y->def);
    CHECK(func->body.last == z->def && func->body.yields[0] == z && module_verify(module, NULL));
    func_renumber(func);
    CHECK(func->value_count == 3 && x->id == 0 && z->id == 2 && module_verify(module, NULL));
}

int main(void) {
    arena = arena_new();
    test_broadcast();
    test_no_ops();
    test_shapes();
    test_reductions();
    test_contractions();
    test_indexing_and_leaves();
    test_state();
    test_cursor();
    arena_free(arena);
    return test_report();
}
