/* The verifier accepts what the builder makes and catches each broken rule. */
#include "every_op.h"
#include "test.h"

typedef struct {
    Arena *arena;
    Module *module;
    Func *func;
    Value *x;      /* argument, f32[B, 4] */
    Op *map, *sum; /* y = exp x; s = reduce y */
    Op *fusion, *inner;
    Variable *variable;
} Sample;

static Sample sample_new(void) {
    Sample s = {.arena = arena_new()};
    Module *module = s.module = module_new(s.arena, diag_new(s.arena), "m", 8);
    const Type *type = type_get(module, DTYPE_F32, 2, (Dim[]){dim_batch(1), dim_static(4)});
    s.variable = module_variable(module, "v", type_get(module, DTYPE_F32, 1, (Dim[]){dim_static(4)}),
                                 VARIABLE_TRAINABLE, (Init){0}, (Span){0});
    s.func = module_func(module, "f");
    s.x = func_add_arg(s.func, ARG_INPUT, type, "x");
    Builder build = builder_at_end(s.func);
    Value *y = build_map1(&build, FN_exp, s.x), *sum = build_sum(&build, y, (int[]){0}, 1);
    s.map = y->def;
    s.sum = sum->def;
    build_assign(&build, s.variable, sum);
    s.fusion = op_new(s.func, OP_FUSION, &s.x, 1, &s.x->type, 1, (Span){0});
    Region *region = region_new(s.func, s.fusion);
    Value *arg = region_add_arg(s.func, region, type, "x");
    s.inner = op_new(s.func, OP_MAP, &arg, 1, &type, 1, (Span){0});
    s.inner->attr.scalar = FN_tanh;
    op_append(region, s.inner);
    region_add_yield(s.func, region, s.inner->results[0]);
    op_append(&s.func->body, s.fusion);
    func_add_result(s.func, s.fusion->results[0], "output");
    return s;
}

typedef void BreakFn(Sample *);

static void type_foreign(Sample *s) {
    Type *copy = arena_copy(s->arena, s->x->type, sizeof(Type));
    s->x->type = copy; /* equal, but not interned */
}
static void type_missing(Sample *s) {
    s->map->results[0]->type = NULL;
}
static void type_empty(Sample *s) {
    s->x->type = type_get(s->module, DTYPE_F32, 1, (Dim[]){dim_static(0)});
}
static void type_wrong(Sample *s) {
    s->map->results[0]->type = s->variable->type;
}
static void batch_not_first(Sample *s) {
    s->x->type = type_get(s->module, DTYPE_F32, 2, (Dim[]){dim_static(4), dim_batch(1)});
}
static void input_missing(Sample *s) {
    s->map->inputs[0] = NULL;
}
static void input_later(Sample *s) {
    s->map->inputs[0] = s->sum->results[0];
}
static void input_too_many(Sample *s) {
    s->sum->input_count = 0;
}
static void input_of_region(Sample *s) {
    s->sum->inputs[0] = s->inner->results[0];
}
static void region_sees_outside(Sample *s) {
    s->inner->inputs[0] = s->x;
}
static void region_lost(Sample *s) {
    s->fusion->region = NULL;
}
static void region_unwanted(Sample *s) {
    s->map->region = region_new(s->func, s->map);
}
static void region_owner(Sample *s) {
    s->fusion->region->owner = s->map;
}
static void region_args(Sample *s) {
    s->fusion->region->arg_count = 0;
}
static void region_yields(Sample *s) {
    s->fusion->region->yield_count = 0;
}
static void id_twice(Sample *s) {
    s->map->results[0]->id = s->x->id;
}
static void id_too_large(Sample *s) {
    s->map->results[0]->id = s->func->value_count;
}
static void id_negative(Sample *s) {
    s->map->results[0]->id = -1;
}
static void definition_wrong(Sample *s) {
    s->map->results[0]->def = s->sum;
}
static void list_previous(Sample *s) {
    s->sum->previous = NULL;
}
static void list_last(Sample *s) {
    s->func->body.last = s->map;
}
static void list_parent(Sample *s) {
    s->sum->parent = s->fusion->region;
}
static void list_cycle(Sample *s) {
    s->fusion->next = s->map;
}
static void code_unknown(Sample *s) {
    s->map->code = OP_COUNT;
}
static void scalar_unknown(Sample *s) {
    s->map->attr.scalar = FN_COUNT;
}
static void scalar_arity(Sample *s) {
    s->map->attr.scalar = FN_add;
}
static void axes_wrong(Sample *s) {
    s->sum->attr.reduce.over.axes[0] = 5;
}
static void axes_too_many(Sample *s) {
    s->sum->attr.reduce.over.count = 70;
}
static void assign_twice(Sample *s) {
    Builder build = builder_at_end(s->func);
    build_assign(&build, s->variable, s->sum->results[0]);
}
static void assign_type(Sample *s) {
    s->sum->next->inputs[0] = s->x;
}
static void assign_unknown(Sample *s) {
    s->sum->next->attr.variable = arena_copy(s->arena, s->variable, sizeof *s->variable);
}
static void assign_in_region(Sample *s) {
    Builder build = builder_before(s->func, s->inner);
    build_assign(&build, s->variable, build_const(&build, s->variable->type, 0));
}
static void variable_batch(Sample *s) {
    s->variable->type = s->x->type;
}
static void variable_id(Sample *s) {
    s->variable->id = 1;
}
static void variable_twice(Sample *s) {
    module_variable(s->module, "v", s->variable->type, VARIABLE_TRAINABLE, (Init){0}, (Span){0});
}
static void variable_role(Sample *s) {
    s->variable->role = (VariableRole)9;
}
static void variable_init(Sample *s) {
    s->variable->init.kind = (InitKind)9;
}
static void func_twice(Sample *s) {
    module_func(s->module, "f");
}
static void func_module(Sample *s) {
    s->func->module = NULL;
}
static void arg_twice(Sample *s) {
    func_add_arg(s->func, ARG_PLAIN, s->x->type, "x");
}
static void arg_kind(Sample *s) {
    s->func->arg_kinds[0] = (ArgKind)17;
}
static void result_twice(Sample *s) {
    func_add_result(s->func, s->x, "output");
}
static void result_unnamed(Sample *s) {
    s->func->result_names[0] = NULL;
}
static void result_missing(Sample *s) {
    s->func->body.yields[0] = NULL;
}
static void result_of_region(Sample *s) {
    s->func->body.yields[0] = s->inner->results[0];
}
static void batch_wrong(Sample *s) {
    s->module->batch_max = 0;
}
static void scan_states(Sample *s) {
    s->fusion->code = OP_SCAN;
    s->fusion->attr.scan = (ScanAttr){.steps = 2, .carried = 9};
}
static void scan_sequence(Sample *s) {
    s->fusion->code = OP_SCAN;
    s->fusion->attr.scan = (ScanAttr){.steps = 2, .sequences = 1};
}

static const struct {
    BreakFn *break_rule;
    const char *message;
} cases[] = {
    {type_foreign, "no valid type of this module"},
    {type_missing, "a result of map has no valid type"},
    {type_empty, "no valid type of this module"},
    {type_wrong, "exp: the result is f32[B, 4], not f32[4]"},
    {batch_not_first, "no valid type of this module"},
    {input_missing, "an input is missing"},
    {input_later, "an input is not defined before its use"},
    {input_too_many, "reduce has 0 inputs"},
    {input_of_region, "an input is not defined before its use"},
    {region_sees_outside, "an input is not defined before its use in the same region"},
    {region_lost, "fusion has no region"},
    {region_unwanted, "map has a region"},
    {region_owner, "a region names another owner"},
    {region_args, "is not defined before its use"},
    {region_yields, "the region yields other types than the results"},
    {id_twice, "two values have the id 0"},
    {id_too_large, "a value has the id 6 of 6"},
    {id_negative, "a value has the id -1"},
    {definition_wrong, "names another op as its definition"},
    {list_previous, "the list of ops is broken"},
    {list_last, "the list of ops has another end"},
    {list_parent, "the list of ops is broken"},
    {list_cycle, "the list of ops is broken"},
    {code_unknown, "there is no op with code"},
    {scalar_unknown, "an attribute of map is out of range"},
    {scalar_arity, "add: takes 2 inputs, not 1"},
    {axes_wrong, "reduce: f32[B, 4] has no axis 5"},
    {axes_too_many, "an attribute of reduce is out of range"},
    {assign_twice, "@v is assigned twice"},
    {assign_type, "v is f32[4] and cannot become f32[B, 4]"},
    {assign_unknown, "assign has no variable of this module"},
    {assign_in_region, "assign stands in a region"},
    {variable_batch, "depends on the batch"},
    {variable_id, "variable 0 has another id"},
    {variable_twice, "two variables are named v"},
    {variable_role, "an attribute of @v is out of range"},
    {variable_init, "an attribute of @v is out of range"},
    {func_twice, "two functions are named f"},
    {func_module, "belongs to another module"},
    {arg_twice, "two arguments are named x"},
    {arg_kind, "argument 0 is of no known kind"},
    {result_twice, "two results are named output"},
    {result_unnamed, "result 0 has no name"},
    {result_missing, "a result is missing"},
    {result_of_region, "a result is not defined"},
    {batch_wrong, "the largest batch is 0"},
    {scan_states, "scan: more states and sequences are announced than there are"},
    {scan_sequence, "scan: sequence 1 is"},
};

static void test_broken_rules(void) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Sample s = sample_new();
        Text text = {0};
        CHECK(module_verify(s.module, NULL));
        cases[i].break_rule(&s);
        CHECK(!module_verify(s.module, "simplify"));
        CHECK(diag_errors(s.module->diag) == 1);
        diag_print(s.module->diag, &text, false);
        bool right =
            text.data && strstr(text.data, cases[i].message) && strstr(text.data, "internal error: after simplify: ");
        CHECK(right);
        if (!right)
            printf("wanted: %s\n%s", cases[i].message, text.data ? text.data : "");
        text_free(&text);
        arena_free(s.arena);
    }
}

/* One message for each broken function, with the op in it. */
static void test_message(void) {
    Sample s = sample_new();
    Text text = {0};
    s.sum->attr.reduce.over.axes[0] = 5;
    CHECK(!module_verify(s.module, "fuse"));
    diag_print(s.module->diag, &text, false);
    CHECK(strncmp(text.data,
                  "error: internal error: after fuse: in @f: reduce: f32[B, 4] has no axis 5 "
                  "(%2 = reduce %1 sum axes=[5] : f32[4])\n",
                  strcspn(text.data, "\n") + 1) == 0);
    text_free(&text);
    arena_free(s.arena);
}

static void test_good(void) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    CHECK(module_verify(module_new(arena, diag, "empty", 1), NULL));
    CHECK(module_verify(every_op_module(arena, diag), "building"));
    CHECK(diag_errors(diag) == 0);
    arena_free(arena);
}

int main(void) {
    test_good();
    test_broken_rules();
    test_message();
    return test_report();
}
