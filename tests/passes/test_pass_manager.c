/* The pass manager: its table, its options, its checks of levels, and what it writes. */
#include <stdlib.h>
#include <unistd.h>
#include "ir/build.h"
#include "passes/pass.h"
#include "test.h"

typedef struct {
    Arena *arena;
    Diag *diag;
    Module *module;
    Text log, messages;
} Case;

/* f(x) = x + 0, and its gradient if asked for. */
static Case case_new(bool gradient) {
    Case c = {.arena = arena_new()};
    c.diag = diag_new(c.arena);
    c.module = module_new(c.arena, c.diag, "case", 4);
    Func *func = module_func(c.module, "f");
    Builder b = builder_at_end(func);
    Value *x = func_add_arg(func, ARG_INPUT, type_scalar(c.module, DTYPE_F32), "x"), *g = NULL;
    Value *y = build_shift(&b, build_map1(&b, FN_exp, x), 0);
    func_add_result(func, y, "y");
    if (gradient) {
        build_grad(&b, y, &x, 1, &g);
        func_add_result(func, g, "g");
    }
    return c;
}

static bool run(Case *c, const PassOptions *options, const char *const *names, int count) {
    PassContext context = pass_context(c->diag, &c->log, options);
    bool ok = passes_run(c->module, &context, names, count);
    diag_print(c->diag, &c->messages, false);
    return ok;
}
#define RUN(c, options, ...)                                                                                           \
    run(c, options, (const char *[]){__VA_ARGS__}, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)))

static bool says(const Text *text, const char *words) {
    return text->data && strstr(text->data, words);
}

static void case_free(Case *c) {
    text_free(&c->log);
    text_free(&c->messages);
    arena_free(c->arena);
}

static void test_table(void) {
    for (int i = 0; i < pass_count; i++) {
        CHECK(pass_find(pass_infos[i].name) == &pass_infos[i]);
        CHECK(strlen(pass_infos[i].help) > 10);
        CHECK(pass_infos[i].first <= pass_infos[i].last);
    }
    CHECK(pass_find("nothing") == NULL);
    for (int i = 0; i < pass_pipeline_count; i++)
        CHECK(pass_find(pass_pipeline[i]) != NULL);
}

static void test_print_and_time(void) {
    Case c = case_new(true);
    PassOptions options = {.print_after = "dce,simplify", .time_passes = true, .verify_all = true};
    CHECK(RUN(&c, &options, "simplify", "autodiff", "dce"));
    CHECK(says(&c.log, "# after simplify\n") && says(&c.log, "# after dce\n") && !says(&c.log, "# after autodiff\n"));
    CHECK(says(&c.log, "autodiff ") && says(&c.log, " ms"));
    CHECK(says(&c.log, "exp %x : f32"));
    case_free(&c);
}

static void test_skip_and_stop(void) {
    Case c = case_new(true);
    PassOptions options = {.print_after = "all", .skip = "simplify", .stop_after = "autodiff"};
    CHECK(RUN(&c, &options, "simplify", "autodiff", "simplify", "dce"));
    CHECK(!says(&c.log, "# after simplify") && says(&c.log, "# after autodiff") && !says(&c.log, "# after dce"));
    CHECK(module_level(c.module) == LEVEL_PRIMITIVES);
    case_free(&c);
}

static void test_dump(void) {
    char folder[] = "/tmp/nnc-passes-XXXXXX", path[64];
    CHECK(mkdtemp(folder) != NULL);
    Case c = case_new(true);
    PassOptions options = {.dump_dir = folder};
    CHECK(RUN(&c, &options, "autodiff", "simplify"));
    for (int i = 1; i <= 2; i++) {
        snprintf(path, sizeof path, "%s/%02d-%s.ir", folder, i, i == 1 ? "autodiff" : "simplify");
        size_t length = 0;
        char *text = text_read_file(path, &length);
        CHECK(text && strstr(text, "func @f"));
        free(text);
        unlink(path);
    }
    rmdir(folder);
    CHECK(!RUN(&c, &options, "dce"));
    CHECK(says(&c.messages, "cannot write") && says(&c.messages, "-dce.ir: No such file or directory"));
    case_free(&c);
}

static void test_options_check(void) {
    Case c = case_new(false);
    PassOptions wrong = {.print_after = "simplify,autodif", .skip = "all", .stop_after = "cse,dce"}, right = {0};
    CHECK(pass_options_check(&right, c.diag));
    right = (PassOptions){.print_after = "all", .skip = "cse,dce", .stop_after = "autodiff"};
    CHECK(pass_options_check(&right, c.diag));
    CHECK(!pass_options_check(&wrong, c.diag));
    diag_print(c.diag, &c.messages, false);
    CHECK(says(&c.messages, "--print-after: there is no pass `autodif`"));
    CHECK(says(&c.messages, "did you mean `autodiff`?"));
    CHECK(says(&c.messages, "--skip: there is no pass `all`"));
    CHECK(says(&c.messages, "--stop-after takes one pass, not `cse,dce`"));
    case_free(&c);
}

/* A module without `grad` may pass autodiff; one with `grad` may not be fused. */
static void test_levels(void) {
    Case c = case_new(false);
    CHECK(module_level(c.module) == LEVEL_PRIMITIVES);
    CHECK(RUN(&c, NULL, "autodiff", "autodiff"));
    case_free(&c);
    c = case_new(true);
    CHECK(module_level(c.module) == LEVEL_GRADIENTS);
    CHECK(!RUN(&c, NULL, "fuse"));
    CHECK(says(&c.messages, "the pass fuse needs the gradients expanded: run autodiff before it"));
    CHECK(!RUN(&c, NULL, "nothing"));
    CHECK(says(&c.messages, "internal error: there is no pass nothing"));
    case_free(&c);
}

/* What a pass breaks is found: here the module is broken before it. */
static void test_verification(void) {
    Case c = case_new(false);
    Op *op = c.module->funcs[0]->body.first;
    op->results[0]->type = type_scalar(c.module, DTYPE_I32);
    CHECK(!RUN(&c, NULL, "dce"));
    CHECK(says(&c.messages, "internal error: after dce"));
    case_free(&c);
}

int main(void) {
    test_table();
    test_print_and_time();
    test_skip_and_stop();
    test_dump();
    test_options_check();
    test_levels();
    test_verification();
    return test_report();
}
