/* The text form: printed, read, printed again is the same text; what cannot be read is explained. */
#include <stdlib.h>
#include "every_op.h"
#include "test.h"

static Module *read_text(Arena *arena, Diag *diag, const char *text) {
    SourceFile *file = ARENA_NEW(arena, SourceFile);
    *file = (SourceFile){"test.ir", arena_strdup(arena, text), strlen(text)};
    return module_read(arena, diag, file);
}

static void print_diag(Diag *diag) {
    Text text = {0};
    diag_print(diag, &text, false);
    if (text.length)
        printf("%s", text.data);
    text_free(&text);
}

static void check_round_trip(Arena *arena, const Module *module) {
    Diag *diag = diag_new(arena);
    Text first = {0}, second = {0};
    module_print(&first, module);
    Module *read = read_text(arena, diag, first.data);
    CHECK(read != NULL);
    print_diag(diag);
    if (read) {
        module_print(&second, read);
        CHECK_TEXT(second.data, first.data);
        CHECK(module_verify(read, "read"));
        print_diag(diag);
    }
    text_free(&first);
    text_free(&second);
}

static void count_ops(const Region *region, int *counts, int *scalars) {
    for (const Op *op = region->first; op; op = op->next) {
        counts[op->code]++;
        if (op->code == OP_MAP)
            scalars[op->attr.scalar]++;
        if (op->region)
            count_ops(op->region, counts, scalars);
    }
}

/* The text with every op is also a seed of the reader's fuzzer. NNC_UPDATE_GOLDENS=1 writes it anew. */
static void check_seed(const Module *module) {
    static const char path[] = NNC_SOURCE_DIR "/tests/ir/corpus/read/every_op.ir";
    size_t length = 0;
    Text text = {0};
    module_print(&text, module);
    FILE *file = getenv("NNC_UPDATE_GOLDENS") ? fopen(path, "w") : NULL;
    if (file) {
        fputs(text.data, file);
        fclose(file);
    }
    char *seed = text_read_file(path, &length);
    CHECK(seed && strcmp(seed, text.data) == 0);
    free(seed);
    text_free(&text);
}

static void test_every_op(void) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *module = every_op_module(arena, diag);
    CHECK(diag_errors(diag) == 0);
    CHECK(module_verify(module, "building"));
    print_diag(diag);
    int counts[OP_COUNT] = {0}, scalars[FN_COUNT] = {0};
    count_ops(&module->funcs[0]->body, counts, scalars);
    for (int code = 0; code < OP_COUNT; code++)
        if (!counts[code])
            printf("no %s\n", op_infos[code].name), test_failed++;
    for (int fn = 0; fn < FN_COUNT; fn++)
        CHECK(scalars[fn] > 0);
    check_round_trip(arena, module);
    check_seed(module);
    arena_free(arena);
}

static void test_clone(void) {
    Arena *arena = arena_new(), *other = arena_new();
    Diag *diag = diag_new(other);
    Module *module = every_op_module(arena, diag);
    Module *clone = module_clone(other, module);
    Text before = {0}, after = {0};
    module_print(&before, module);
    arena_free(arena); /* the copy must not need it */
    module_print(&after, clone);
    CHECK_TEXT(after.data, before.data);
    CHECK(module_verify(clone, "clone"));
    print_diag(diag);
    text_free(&before);
    text_free(&after);
    arena_free(other);
}

static void test_exact_text(void) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    const char *text = "module @digits batch_max=32 random_streams=0\n"
                       "variable @dense/kernel : f32[64, 10] trainable init=uniform(-0.28, 0.28)\n"
                       "variable @\"odd name\" : f32 non_trainable init=constant(1) seed=5\n"
                       "variable @mean : f32[64] preprocess init=constant(0) fit=mean\n"
                       "func @forward(%x : f32[B, 64] input) -> (%0 \"output\") {\n"
                       "  %w = variable @dense/kernel : f32[64, 10]\n"
                       "  %0 = einsum %x, %w \"ab,bc->ac\" : f32[B, 10] layer \"dense\"\n"
                       "}\n"
                       "func @fused(%x : f32[B, 4]) -> (%0 \"a\", %1 \"b\") {\n"
                       "  %0, %1 = fusion %x kind=0 : f32[B, 4], f32[B] layer \"dense\" (%x_1 : f32[B, 4]) {\n"
                       "    %2 = tanh %x_1 : f32[B, 4]\n"
                       "    %3 = reduce %2 sum axes=[1] : f32[B]\n"
                       "    yield %2, %3\n"
                       "  }\n"
                       "}\n";
    Module *module = read_text(arena, diag, text);
    CHECK(module != NULL);
    print_diag(diag);
    if (module) {
        Text again = {0};
        module_print(&again, module);
        CHECK_TEXT(again.data, text);
        text_free(&again);
        CHECK(module->batch_max == 32 && module->variable_count == 3);
        CHECK(module->variables[1]->init.seed == 5 && module->variables[2]->fit == FIT_MEAN);
        CHECK(module->funcs[0]->arg_kinds[0] == ARG_INPUT && module->funcs[1]->arg_kinds[0] == ARG_PLAIN);
        CHECK_TEXT(module->funcs[0]->result_names[0], "output");
        CHECK_TEXT(module->funcs[0]->body.last->layer, "dense");
    }
    arena_free(arena);
}

/* Numbers and blanks that the printer does not write are read too. */
static void test_loose_text(void) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *module = read_text(arena, diag,
                               "# a comment\nfunc @f(%x:f32[1*B,3]plain)->(%y\"y\"){%c=const 5e-1:f32[1*B,3]\n"
                               "%y=add %x,%c:f32[B,3]#end\n}");
    CHECK(module != NULL);
    print_diag(diag);
    if (module) {
        Text text = {0};
        func_print(&text, module->funcs[0]);
        CHECK_TEXT(text.data, "func @f(%x : f32[B, 3]) -> (%y \"y\") {\n"
                              "  %c = const 0.5 : f32[B, 3]\n"
                              "  %y = add %x, %c : f32[B, 3]\n"
                              "}\n");
        text_free(&text);
    }
    arena_free(arena);
}

/* Values of the same name get numbers, also where a name looks like one of those. */
static void test_unique_names(void) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *module = module_new(arena, diag, "m", 8);
    Func *func = module_func(module, "f");
    Value *x = func_add_arg(func, ARG_PLAIN, type_scalar(module, DTYPE_F32), "x");
    Builder build = builder_at_end(func);
    const char *names[] = {"x", "x_1", "x", NULL, "0", "", NULL};
    for (int i = 0; i < 7; i++) {
        x = build_map1(&build, FN_exp, x);
        x->name = names[i] ? intern(module->names, names[i]) : NULL;
    }
    func_add_result(func, x, "y");
    Text text = {0};
    func_print(&text, func);
    CHECK_TEXT(text.data, "func @f(%x : f32) -> (%1 \"y\") {\n"
                          "  %x_1 = exp %x : f32\n"
                          "  %x_1_1 = exp %x_1 : f32\n"
                          "  %x_2 = exp %x_1_1 : f32\n"
                          "  %0 = exp %x_2 : f32\n"
                          "  %\"0\" = exp %0 : f32\n"
                          "  %\"\" = exp %\"0\" : f32\n"
                          "  %1 = exp %\"\" : f32\n"
                          "}\n");
    text_free(&text);
    check_round_trip(arena, module);
    arena_free(arena);
}

static void check_message(const char *text, const char *const *messages, int count) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Text out = {0};
    CHECK(read_text(arena, diag, text) == NULL);
    CHECK(diag_errors(diag) == count);
    diag_print(diag, &out, false);
    for (int i = 0; i < count; i++) {
        bool found = out.data && strstr(out.data, messages[i]);
        CHECK(found);
        if (!found)
            printf("wanted: %s\n", messages[i]);
    }
    if (test_failed)
        printf("%s", out.data ? out.data : "");
    text_free(&out);
    arena_free(arena);
}

#define F "func @f(%x : f32[B, 4], %w : f32[5, 3]) -> () {\n"

static void test_messages(void) {
    static const struct {
        const char *text, *message;
    } cases[] = {
        {F "%0 = einsum %x, %w \"ab,bc->ac\" : f32[B, 3]\n}",
         "test.ir:2:1: error: einsum: axis b is 4 on the left and 5 on the right (f32[B, 4] and f32[5, 3])"},
        {F "%0 = einsum %x, %w \"ab,cd->ac\" : f32[B, 5]\n}", "neither in the other input nor in the result"},
        {F "%0 = einsum %x, %w \"a,bc->ac\" : f32[B, 3]\n}", "the labels must look like"},
        {F "%0 = tanh %x : f32[B, 5]\n}", "tanh: the result is f32[B, 4], not f32[B, 5]"},
        {F "%0 = tan %x : f32[B, 4]\n}", "did you mean `tanh`?"},
        {F "%0 = add %x, %w : f32[B, 4]\n}", "the shapes f32[B, 4] and f32[5, 3] differ"},
        {F "%0 = tanh %y : f32[B, 4]\n}", "%y is not defined before this place"},
        {F "%0 = tanh %x : f32[B, 4]\n%0 = tanh %x : f32[B, 4]\n}", "%0 is defined twice"},
        {F "%0 = tanh %x\n}", "expected `:`, found `}`"},
        {F "%0 = tanh %x : f64[B]\n}", "`f64` is no dtype"},
        {F "%0 = tanh %x : f32[4, B]\n}", "only the first axis"},
        {F "%0 = tanh %x : f32[0]\n}", "expected a whole number from 1"},
        {F "%0 = const 1 : f32[1000000, 1000000, 1000000]\n}", "more than 2^40 elements"},
        {F "%0 = const 1 : f32[1000000, 1000000]\n%1 = tanh %0 : f32\n}", "tanh: the result is"},
        {F "%0 = const 1 : f32[1099511627776, 2]\n}", "more than 2^40 elements"},
        {F "%0 = variable @v : f32\n}", "there is no variable @v"},
        {F "tanh %x\n}", "tanh has 1 result, 0 are named"},
        {F "%0 = scan %x steps=2 carried=0 sequences=1 reverse=0 : f32[B] (%a : f32[B]) {\nyield %a\n}\n}",
         "scan: sequence 1 is f32[B, 4], and a step of it f32[B]"},
        {F "%0 = slice %x start=[0] stride=[1, 1] : f32[B, 4]\n}", "`start` has 1 number for 2 axes"},
        {F "%0 = reverse %x axes=[0] : f32[B, 4]\n}", "reverse: the batch axis of f32[B, 4] cannot be reversed"},
        {F "%0 = reduce %x mean axes=[1] : f32[B]\n}", "`mean` is no reduction"},
        {F "%0 = fusion %x kind=0 : f32[B, 4] (%a : f32[B, 3]) {\nyield %a\n}\n}", "argument 1 of the region"},
        {F "%0 = fusion %x kind=0 : f32[B, 4] (%a : f32[B, 4]) {\nyield %x\n}\n}", "not defined before this place in"},
        {F "%0 = tanh %x : f32[B, 4]\n", "expected `}`, found the end of the file"},
        {F "%0 = const \"a : f32\n}", "this string has no end"},
        {F "%0 = $\n}", "this character has no meaning"},
        {"func @f(%0 : f32) -> () {\n}", "arguments of functions need names"},
        {"func @f(%x : f32) -> (%x \"a\", %x \"a\") {\n}", "two results are named"},
        {"func @f() -> () {\n}\nfunc @f() -> () {\n}", "there are two functions @f"},
        {"variable @v : f32\nvariable @v : f32\n", "there are two variables @v"},
        {"variable @v : f32[B]\n", "depends on the batch"},
        {"variable @v : f32 trainible\n", "did you mean `trainable`?"},
        {"variable @v : f32 init=uniform(1)\n", "expected `,`"},
        {"variable @v : f32\nfunc @f(%x : f32) -> () {\nassign %x @v\nassign %x @v\n}", "assigned twice"},
        {"variable @\"\" : f32\n", "this name is empty"},
        {"func @\"\"() -> () {\n}", "this name is empty"},
        {"func @f(%\"\" : f32) -> () {\n}", "this name is empty"},
        {"func @f(%x : f32) -> (%x \"\") {\n}", "this name is empty"},
        {"hello", "expected `variable` or `func`"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_message(cases[i].text, &cases[i].message, 1);
}

static void test_many_messages(void) {
    const char *messages[] = {"2:6: error: `tan` is no op", "4:10: error: %y is not defined",
                              "5:1: error: exp: the result is", "7:1: error: expected `variable` or `func`",
                              "9:1: error: sin: the result is"};
    check_message("func @f(%x : f32[3]) -> (%2 \"y\") {\n"
                  "%0 = tan %x : f32[3]\n"
                  "%1 = exp %0 : f32[4]\n" /* %0 is wrong already: nothing new to say */
                  "%2 = sin %y : f32[3]\n"
                  "%3 = exp %x : f32[4]\n"
                  "}\n"
                  "]\n"
                  "func @g(%x : f32[3]) -> () {\n"
                  "%2 = sin %x : f32[5]\n"
                  "}\n",
                  messages, 5);
}

int main(void) {
    test_every_op();
    test_clone();
    test_exact_text();
    test_loose_text();
    test_unique_names();
    test_messages();
    test_many_messages();
    return test_report();
}
