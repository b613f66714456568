/* Equal kernels share a function: what counts as equal, the text of function and calls, and that the functions of a
 * model do not grow with its repetitions. That shared kernels compute the right thing is tested with all compiled
 * kernels. */
#include "codegen/emit/c_printer.h"
#include "codegen/emit/kernel_share.h"
#include "frontend/frontend.h"
#include "hand_kernels.h"
#include "test.h"
#include "tests/codegen/kernel_compare.h"

/* ---- equal and unequal */

/* What one of two kernels y[m][n] = x[m][n] * scale + bias is made with. */
typedef struct {
    const char *what;
    bool equal;
    int rows, columns, outer; /* of x; the loops run over 6 x `columns` */
    double scale;
    KBase base;
    KSpace space; /* of x */
    bool indirect, in_place, backwards, commented, dead, by_value, unrolled, partial;
    int random, stride; /* random: kind + 1, with a stream of its own */
    int local;          /* extent of local memory; 0: none */
} Variant;

#define PLAIN .rows = 6, .columns = 8, .outer = 6, .scale = 2
static const Variant plain = {.what = "plain", PLAIN};
static const Variant variants[] = {
    {.what = "other buffers", .equal = true, PLAIN},
    {.what = "more rows than the loop needs", .equal = true, .rows = 9, .columns = 8, .outer = 6, .scale = 2},
    {.what = "a variable in place of an arena buffer", .equal = true, PLAIN, .space = SPACE_VARIABLE},
    {.what = "a comment", .equal = true, PLAIN, .commented = true},
    {.what = "a value that nobody needs", .equal = true, PLAIN, .dead = true},
    {.what = "another constant", .rows = 6, .columns = 8, .outer = 6, .scale = 3},
    {.what = "the sign of a zero", .rows = 6, .columns = 8, .outer = 6, .scale = -0.0},
    {.what = "wider rows", .rows = 6, .columns = 9, .outer = 6, .scale = 2},
    {.what = "a longer loop", .rows = 9, .columns = 8, .outer = 9, .scale = 2},
    {.what = "another element type", PLAIN, .base = KBASE_I32},
    {.what = "rows of the epoch", PLAIN, .space = SPACE_ARGUMENT, .indirect = true},
    {.what = "work in place", PLAIN, .in_place = true},
    {.what = "another order of the loop", PLAIN, .backwards = true},
    {.what = "another kind of loop", PLAIN, .unrolled = true},
    {.what = "memory that overlaps", PLAIN, .partial = true},
    {.what = "a number in place of a pointer", PLAIN, .by_value = true},
    {.what = "local memory", PLAIN, .local = 4},
    {.what = "random numbers", PLAIN, .random = 1},
};

static KExpr *scale_of(Hand *h, const Variant *v, int number) {
    if (v->random)
        return kexpr_random(h->p, v->random - 1, 65536 + number, kexpr_number(h->p, KBASE_I32, 1),
                            kexpr_number(h->p, KBASE_I32, 2), hi(h, 3));
    if (!v->by_value)
        return hf(h, v->scale);
    KBuffer *scale = hbuffer(h, SPACE_ARGUMENT, "scale", KBASE_F32, 0, dim_static(1), dim_static(1));
    return kexpr_load(h->p, scale, NULL, 0);
}

static void add_kernel(Hand *h, const Variant *v, int number) {
    KBuffer *x = hbuffer(h, v->space, "x", v->base, 2, dim_static(v->rows), dim_static(v->columns));
    KBuffer *y =
        v->in_place ? x : hbuffer(h, SPACE_ARENA, "y", KBASE_F32, 2, dim_static(v->rows), dim_static(v->columns));
    x->indirect = v->indirect;
    if (v->partial)
        y->offset = x->offset + 64;
    hand_kernel(h, "scale");
    h->k->comment = "y = x scale";
    KStmt *body = h->k->body;
    if (v->local)
        kstmt_add(body, kstmt_alloc(h->p, kbuffer_local(h->p, h->k, SPACE_LOCAL, "part", KBASE_F32, 1,
                                                        (Dim[]){dim_static(v->local)})));
    KVar *m = hloopvar(h, v->commented ? "row" : "m", v->outer), *n = hloopvar(h, "n", v->columns);
    KVar *dead = hvar(h, "dead", KBASE_F32, 1, false);
    if (v->commented)
        kstmt_add(body, kstmt_comment(h->p, "row by row"));
    body = hfor(h, body, m, AXIS_PARALLEL, hi(h, 0), hi(h, v->outer), 1);
    body = hfor(h, body, n, v->unrolled ? AXIS_UNROLL : AXIS_SERIAL, hi(h, 0), hi(h, v->columns), 1);
    KExpr *column = v->backwards ? kexpr_binary(h->p, '-', hi(h, v->columns - 1), hv(h, n)) : hv(h, n);
    if (v->dead)
        kstmt_add(body, kstmt_let(h->p, dead, hf(h, 5)));
    KExpr *value = kexpr_cast(h->p, KBASE_F32, hload2(h, x, hv(h, m), column));
    hstore2(h, body, y, hv(h, m), column, hfn(h, FN_mul, value, scale_of(h, v, number)));
}

/* Whether two kernels got one function. */
static bool shares(const Variant *a, const Variant *b) {
    Hand h = hand_new(6);
    add_kernel(&h, a, 0);
    add_kernel(&h, b, 1);
    CHECK(kprogram_verify(h.p, "test"));
    kernel_share(h.p);
    KKernel **k = h.sequence->kernels;
    bool shared = k[0]->shared != NULL;
    CHECK(k[0]->shared == k[1]->shared && h.p->shared_count == shared);
    CHECK(!shared || (k[0]->shared->printed == k[0] && k[0]->shared->kernel_count == 2));
    hand_free(&h);
    return shared;
}

static void test_equality(void) {
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        bool shared = shares(&plain, &variants[i]);
        if (shared != variants[i].equal)
            printf("%s: %s\n", variants[i].what, shared ? "shared" : "not shared");
        CHECK(shared == variants[i].equal);
        CHECK(shares(&variants[i], &variants[i])); /* whatever it is, two of it are equal */
    }
}

/* ---- text */

static const char *copied(Hand *h, Text *text) {
    const char *copy = arena_strdup(h->arena, text->data ? text->data : "");
    text_free(text);
    return copy;
}

static const char *called(Hand *h, int kernel, CallNames names) {
    Text text = {0};
    c_print_call(&text, h->p, &dialect_c, h->sequence->kernels[kernel], names);
    return copied(h, &text);
}

static void test_text(void) {
    Hand h = hand_new(6);
    Text text = {0};
    add_kernel(&h, &plain, 0);
    add_kernel(&h, &(Variant){PLAIN, .space = SPACE_VARIABLE}, 1);
    kernel_share(h.p);
    for (int i = 0; i < 2; i++)
        CHECK(c_print_kernel(&text, h.p, &dialect_c, h.sequence->kernels[i]));
    CHECK_TEXT(copied(&h, &text),
               "/* y = x scale */\n"
               "static void scale_2(const float (*restrict in)[8], float (*restrict out)[8], int64_t first, "
               "int64_t last) {\n"
               "    for (int64_t m = first; m < last; m++)\n"
               "        for (int64_t n = 0; n < 8; n++)\n"
               "            out[m][n] = in[m][n] * 2.0f;\n"
               "}\n");
    CHECK_TEXT(called(&h, 0, (CallNames){0}), "scale_2(AT(x), AT(y), first, last)");
    CHECK_TEXT(called(&h, 1, (CallNames){.first = "0", .last = "6"}), "scale_2(model->x_1, AT(y_1), 0, 6)");
    CHECK_TEXT(called(&h, 0, (CallNames){.model = "job"}),
               "scale_2((void *)(job->arena + AT_x), (void *)(job->arena + AT_y), first, last)");
    hand_free(&h);
}

/* Streams that differ become a parameter, memory that two parameters have in common is not restrict. */
static void test_streams_and_overlap(void) {
    static const Variant random = {PLAIN, .random = 1, .partial = true};
    Hand h = hand_new(6);
    Text text = {0};
    add_kernel(&h, &random, 0);
    add_kernel(&h, &random, 7);
    kernel_share(h.p);
    CHECK(c_print_kernel(&text, h.p, &dialect_c, h.sequence->kernels[0]));
    const char *function = copied(&h, &text);
    CHECK(strstr(function, "scale_2(const float (*in)[8], float (*out)[8], int32_t stream, int64_t first") != NULL);
    CHECK(strstr(function, "nnrt_uniform((uint32_t)1, stream, (uint32_t)2, (uint64_t)3)") != NULL);
    CHECK_TEXT(called(&h, 0, (CallNames){0}), "scale_2(AT(x), AT(y), 65536, first, last)");
    CHECK_TEXT(called(&h, 1, (CallNames){0}), "scale_2(AT(x_1), AT(y_1), 65543, first, last)");
    hand_free(&h);
}

/* ---- repetitions */

typedef struct {
    int kernels, functions, lines;
} Counts;

static int count_lines(KProgram *p, int *functions) {
    Text text = {0};
    int lines = 0;
    *functions = 0;
    for (int s = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++) {
            text_clear(&text);
            CHECK(c_print_kernel(&text, p, &dialect_c, p->sequences[s]->kernels[k]));
            for (const char *c = text.data; c && *c; c++)
                lines += *c == '\n';
            *functions += text.length > 0;
        }
    text_free(&text);
    return lines;
}

/* Without biases: what is too little for a kernel of its own is put together with more or less of its kind. */
static const char *repeated(Arena *arena, int times) {
    return arena_format(
        arena,
        "model repeated {\n"
        "    Input(8)\n"
        "    Dense(16, activation=relu)\n"
        "    Repeat(%d) {\n"
        "        Residual { Dense(24, activation=relu, use_bias=false); Dropout(0.1); Dense(16, use_bias=false) "
        "}\n"
        "    }\n"
        "    Dense(3, activation=softmax)\n"
        "}\n"
        "compile { loss = sparse_categorical_crossentropy; optimizer = Adam() }\n"
        "fit { batch_size = 16 }\n",
        times);
}

static Counts count_repeated(int times, bool shared) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    const char *text = repeated(arena, times);
    SourceFile source = {.name = "repeated.nn", .text = (char *)text, .length = strlen(text)};
    Counts counts = {0};
    Ast *ast = ast_parse(arena, interner_new(arena), diag, &source);
    Program *program = ast ? frontend_program(arena, diag, ast, &(FrontendOptions){NULL, 0, NULL}) : NULL;
    KProgram *p = program ? kernel_program(arena, diag, program->module, "x86-64-v3", true, "repeated") : NULL;
    CHECK(p != NULL);
    if (p && shared)
        kernel_share(p);
    for (int s = 0; p && s < p->sequence_count; s++)
        counts.kernels += p->sequences[s]->count;
    if (p)
        counts.lines = count_lines(p, &counts.functions);
    arena_free(arena);
    return counts;
}

static void test_repetitions(void) {
    Counts four = count_repeated(4, true), eight = count_repeated(8, true), apart = count_repeated(4, false);
    printf("Repeat(4): %d kernels, %d functions, %d lines; each on its own: %d lines\n", four.kernels, four.functions,
           four.lines, apart.lines);
    CHECK(apart.functions == apart.kernels && four.kernels == apart.kernels);
    CHECK(four.functions < four.kernels / 2 && four.lines < apart.lines / 2);
    CHECK(eight.kernels > four.kernels && eight.functions == four.functions); /* more comments at most */
    CHECK(eight.lines < four.lines + 2 * four.functions);
}

int main(void) {
    test_equality();
    test_text();
    test_streams_and_overlap();
    test_repetitions();
    return test_report();
}
