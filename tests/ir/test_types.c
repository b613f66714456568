/* The tables, interned types, attributes, and the derivatives of scalar.def against central differences. */
#include "every_op.h"
#include "ir/scalar.h"
#include "test.h"

static void test_tables(void) {
    for (int code = 0; code < OP_COUNT; code++) {
        CHECK(op_infos[code].name && *op_infos[code].name);
        CHECK(((op_infos[code].flags & OP_PURE) != 0) != ((op_infos[code].flags & OP_EFFECT) != 0));
        if (code != OP_MAP) /* maps are written with the names of their functions */
            CHECK(scalar_find(op_infos[code].name) == FN_COUNT);
        for (int other = 0; other < code; other++)
            CHECK(strcmp(op_infos[code].name, op_infos[other].name) != 0);
    }
    CHECK(op_infos[OP_ASSIGN].flags == (OP_EFFECT | OP_REFUSES_GRADIENT));
    CHECK(op_infos[OP_EINSUM].op_class == CLASS_CONTRACT && op_infos[OP_EINSUM].attr == ATTR_einsum);
    for (int fn = 0; fn < FN_COUNT; fn++)
        CHECK(scalar_find(scalar_infos[fn].name) == (ScalarFn)fn);
    CHECK(scalar_find("nothing") == FN_COUNT);
    CHECK(scalar_infos[FN_lt].gives_bool && !scalar_infos[FN_add].gives_bool);
}

static void test_scalars(void) {
    CHECK(scalar_eval(FN_sub, 5, 3, 0) == 2);
    CHECK(scalar_eval(FN_select, 1, 2, 3) == 2 && scalar_eval(FN_select, 0, 2, 3) == 3);
    CHECK(scalar_eval(FN_max, 1, 2, 0) == 2 && scalar_eval(FN_min, 1, 2, 0) == 1);
    CHECK(isnan(scalar_eval(FN_max, NAN, 2, 0)) && isnan(scalar_eval(FN_min, 1, NAN, 0)));
    CHECK(scalar_eval(FN_softplus, 800, 0, 0) == 800);
    CHECK(scalar_eval(FN_sign, -3, 0, 0) == -1);
}

/* Every derivative text is a text, and is the derivative, away from kinks. */
static void test_derivatives(void) {
    Arena *arena = arena_new();
    static const double points[][3] = {{0.7, 1.3, 0.4}, {2.25, 0.6, -0.3}, {1.1, 1.9, 2.0}};
    for (int fn = 0; fn < FN_COUNT; fn++) {
        const ScalarInfo *info = &scalar_infos[fn];
        for (int argument = 0; argument < info->arity; argument++) {
            CHECK(scalar_parse(arena, info->derivatives[argument]) != NULL);
            const ScalarTree *tree = scalar_derivative(arena, (ScalarFn)fn, argument);
            bool zero = strcmp(info->derivatives[argument], "0") == 0;
            CHECK((tree == NULL) == zero);
            if (info->gives_bool || fn == FN_and || fn == FN_or || fn == FN_not || (fn == FN_select && argument == 0))
                continue;
            for (int i = 0; i < 3; i++) {
                double low[3], high[3], step = 1e-6, g = 1.7;
                memcpy(low, points[i], sizeof low);
                memcpy(high, points[i], sizeof high);
                low[argument] -= step;
                high[argument] += step;
                const double *p = points[i];
                double y = scalar_eval((ScalarFn)fn, p[0], p[1], p[2]);
                double slope = (scalar_eval((ScalarFn)fn, high[0], high[1], high[2]) -
                                scalar_eval((ScalarFn)fn, low[0], low[1], low[2])) /
                               (2 * step);
                double got = tree ? scalar_tree_eval(tree, p[0], p[1], p[2], y, g) : 0;
                if (fabs(got - g * slope) > 1e-7 * (1 + fabs(got)))
                    printf("%s, argument %d:\n", info->name, argument);
                CHECK_NEAR(got, g * slope, 1e-7 * (1 + fabs(got)));
            }
        }
    }
    arena_free(arena);
}

static void test_scalar_texts(void) {
    Arena *arena = arena_new();
    const char *wrong[] = {"", "mul(g)", "mul(g, b", "mul(g, b) c", "mul g", "what(g)", "d", "mul(g, b, c)", ",", "-"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(scalar_parse(arena, wrong[i]) == NULL);
    const ScalarTree *tree = scalar_parse(arena, " select( gt(a,0.5), -2 , g ) ");
    CHECK(tree && tree->fn == FN_select && tree->child_count == 3 && tree->children[1]->leaf == '#');
    if (tree)
        CHECK(scalar_tree_eval(tree, 1, 0, 0, 0, 7) == -2 && scalar_tree_eval(tree, 0, 0, 0, 0, 7) == 7);
    CHECK(scalar_derivative(arena, FN_sign, 0) == NULL);
    arena_free(arena);
}

static void check_type(const Type *type, const char *expected) {
    Text text = {0};
    type_print(&text, type);
    CHECK_TEXT(text.data, expected);
    text_free(&text);
}

static void test_types(void) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *module = module_new(arena, diag, "m", 32);
    Dim dims[MAX_RANK + 1] = {dim_batch(1), dim_static(64), {99, true}};
    const Type *type = type_get(module, DTYPE_F32, 2, dims);
    dims[2].n = 5;
    CHECK(type == type_get(module, DTYPE_F32, 2, dims));
    CHECK(type != type_get(module, DTYPE_I32, 2, dims));
    CHECK(type_with_dtype(module, type, DTYPE_I32) == type_get(module, DTYPE_I32, 2, dims));
    CHECK(type != type_get(module, DTYPE_F32, 2, (Dim[]){dim_static(1), dim_static(64)}));
    check_type(type, "f32[B, 64]");
    check_type(type_scalar(module, DTYPE_BOOL), "bool");
    check_type(type_get(module, DTYPE_I32, 1, (Dim[]){dim_batch(3)}), "i32[3*B]");
    CHECK(type_count(type, 10) == 640 && type_count(type_scalar(module, DTYPE_F32), 10) == 1);
    bool stable = true;
    for (int64_t n = 1; n <= 1000; n++)
        stable &= type_get(module, DTYPE_F32, 1, (Dim[]){dim_static(n)})->dims[0].n == n;
    for (int64_t n = 1; n <= 1000; n++)
        stable &= type_get(module, DTYPE_F32, 1, (Dim[]){dim_static(n)}) ==
                  type_get(module, DTYPE_F32, 1, (Dim[]){dim_static(n)});
    CHECK(stable && type == type_get(module, DTYPE_F32, 2, dims));
    CHECK(type_is_valid(module, type));
    CHECK(!type_is_valid(module, type_get(module, DTYPE_F32, 1, (Dim[]){dim_static(0)})));
    CHECK(!type_is_valid(module, type_get(module, DTYPE_F32, 2, (Dim[]){dim_static(2), dim_batch(1)})));
    CHECK(type_is_valid(module, type_get(module, DTYPE_F32, 1, (Dim[]){dim_static((int64_t)1 << 40)})));
    CHECK(!type_is_valid(module, type_get(module, DTYPE_F32, 1, (Dim[]){dim_batch((int64_t)1 << 40)})));
    CHECK(!type_is_valid(module, type_get(module, DTYPE_F32, 2, (Dim[]){{INT64_MAX, 0}, {INT64_MAX, 0}})));
    CHECK(diag_errors(diag) == 0);
    CHECK(type_get(module, DTYPE_F32, MAX_RANK + 1, dims) == NULL && diag_errors(diag) == 1);
    arena_free(arena);
}

/* Each op has the attributes of its copy; changing one of them makes a difference. */
static void test_attributes(void) {
    Arena *arena = arena_new();
    Module *module = every_op_module(arena, diag_new(arena)), *same = every_op_module(arena, diag_new(arena));
    const Op *a = module->funcs[0]->body.first, *b = same->funcs[0]->body.first;
    for (; a && b; a = a->next, b = b->next) {
        if (op_infos[a->code].attr == ATTR_variable)
            CHECK(!op_attr_equal(a, b) && op_attr_equal(a, a)); /* other modules have other variables */
        else
            CHECK(op_attr_equal(a, b));
        if (a->code == OP_EINSUM || a->code == OP_PAD || a->code == OP_POOL || a->code == OP_REDUCE) {
            Op changed = *b;
            if (a->code == OP_EINSUM)
                changed.attr.einsum.out[0] ^= 1;
            else if (a->code == OP_PAD)
                changed.attr.pad.high[2] ^= 1;
            else if (a->code == OP_POOL)
                changed.attr.window.kind = changed.attr.window.kind == REDUCE_SUM ? REDUCE_MAX : REDUCE_SUM;
            else
                changed.attr.reduce.over.axes[0] ^= 1;
            CHECK(!op_attr_equal(a, &changed));
        }
    }
    CHECK(!a && !b);
    arena_free(arena);
}

int main(void) {
    test_tables();
    test_scalars();
    test_derivatives();
    test_scalar_texts();
    test_types();
    test_attributes();
    return test_report();
}
