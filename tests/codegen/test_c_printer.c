/* The C-family printer: its text, and that the printed kernels compile without a warning under gcc and clang and leave
 * the same bytes in memory as the interpreter. A compiler that is not installed is skipped aloud. */
#include "codegen/emit/c_printer.h"
#include "codegen/kir/kir_interp_parts.h"
#include "hand_kernels.h"
#include "test.h"
#include <stdlib.h>
#include <unistd.h>

/* ---- text */

static const char *printed(Hand *h, const Dialect *d) {
    Text text = {0};
    CHECK(c_print_kernel(&text, h->p, d, h->k));
    const char *copy = arena_strdup(h->arena, text.data);
    text_free(&text);
    return copy;
}

static void test_numbers(void) {
    char text[32];
    static const struct {
        double value;
        const char *text;
    } rows[] = {{0.1, "0.1f"},
                {1e-7, "1e-07f"},
                {3, "3.0f"},
                {-2.5, "-2.5f"},
                {1e20, "1e+20f"},
                {INFINITY, "INFINITY"},
                {-INFINITY, "-INFINITY"},
                {NAN, "NAN"},
                {1.0 / 3, "0.33333334f"},
                {16777217, "16777216.0f"},
                {0, "0.0f"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        c_float_text(text, rows[i].value);
        if (rows[i].value == 16777217)
            CHECK(strtof(text, NULL) == 16777216.0f);
        else
            CHECK_TEXT(text, rows[i].text);
    }
}

static void test_text_c(void) {
    Hand h = hand_new(32);
    hand_dense(&h, 16, true);
    CHECK_TEXT(
        printed(&h, &dialect_c),
        "/* dense: y = relu(x kernel + bias), lines 3 to 4 */\n"
        "static inline void dense_forward(struct hand *restrict model, const float (*restrict x)[7],\n"
        "                                 const int32_t *restrict rows, int64_t batch, int64_t first, int64_t last) "
        "{\n"
        "    const float (*restrict dense_kernel)[7][16] = model->dense_kernel;\n"
        "    const float *restrict dense_bias = model->dense_bias;\n"
        "    float (*restrict dense)[32] = (void *)(model->arena + AT_dense);\n"
        "    for (int64_t m = first * 4; m < last * 4; m += 4)\n"
        "        for (int64_t r = m; r < nnrt_min_index(m + 4, batch); r++) {\n"
        "            nnrt_f32x16 acc = nnrt_load_f32x16(dense_bias);\n"
        "            nnrt_f32x16 acc_1 = nnrt_load_f32x16(&dense_bias[16]);\n"
        "            NNRT_UNROLL(7) for (int64_t k = 0; k < 7; k++) {\n"
        "                float a = x[rows[r]][k];\n"
        "                acc = nnrt_fma_f32x16(nnrt_splat_f32x16(a), nnrt_load_f32x16(dense_kernel[0][k]), acc);\n"
        "                acc_1 = nnrt_fma_f32x16(nnrt_splat_f32x16(a), nnrt_load_f32x16(dense_kernel[1][k]), "
        "acc_1);\n"
        "            }\n"
        "            nnrt_store_f32x16(dense[r], nnrt_at_least_f32x16(acc, nnrt_splat_f32x16(0.0f)));\n"
        "            nnrt_store_f32x16(&dense[r][16], nnrt_at_least_f32x16(acc_1, nnrt_splat_f32x16(0.0f)));\n"
        "        }\n"
        "}\n");
    Text call = {0};
    c_print_call(&call, h.p, &dialect_c, h.k, (CallNames){.batch = "HAND_BATCH"});
    CHECK_TEXT(call.data, "dense_forward(model, x, rows, HAND_BATCH, first, last)");
    text_clear(&call);
    c_print_units(&call, h.p, &dialect_c, h.k);
    CHECK_TEXT(call.data, "(batch + 3) / 4");
    text_free(&call);
    hand_free(&h);
}

static void test_text_cuda(void) {
    Hand h = hand_new(1);
    hand_tile(&h, 8, 12, 20);
    CHECK_TEXT(printed(&h, &dialect_cuda),
               "/* y = x w, by tiles of 4 x 4 */\n"
               "__global__ static void tile_product(struct hand *__restrict__ model) {\n"
               "    const float (*__restrict__ x)[12] = (const float (*)[12])(model->arena + AT_x);\n"
               "    const float (*__restrict__ w)[20] = model->w;\n"
               "    float (*__restrict__ y)[20] = (float (*)[20])(model->arena + AT_y);\n"
               "    __shared__ float tile_x[4][4], tile_w[4][4];\n"
               "    int64_t m = (int64_t)blockIdx.y * 4;\n"
               "    int64_t n = (int64_t)blockIdx.x * 4;\n"
               "    int64_t i = threadIdx.y;\n"
               "    int64_t j = threadIdx.x;\n"
               "    float acc = 0.0f;\n"
               "    for (int64_t k = 0; k < 12; k += 4) {\n"
               "        tile_x[i][j] = x[m + i][k + j];\n"
               "        tile_w[i][j] = w[k + i][n + j];\n"
               "        __syncthreads();\n"
               "        #pragma unroll 4\n"
               "        for (int64_t l = 0; l < 4; l++)\n"
               "            acc = fmaf(tile_x[i][l], tile_w[l][j], acc);\n"
               "        __syncthreads();\n"
               "    }\n"
               "    y[m + i][n + j] = acc;\n"
               "}\n");
    Text launch = {0};
    c_print_launch(&launch, h.p, &dialect_cuda, h.k, (CallNames){.model = "device"}, "stream");
    CHECK_TEXT(launch.data, "tile_product<<<dim3(5, 2), dim3(4, 4), 0, stream>>>(device)");
    text_free(&launch);
    hand_free(&h);
}

/* One statement y[0] = e, without the frame. */
static const char *expression(Hand *h, KExpr *e) {
    static KBuffer *y[4];
    static const KProgram *owner;
    if (owner != h->p) {
        memset(y, 0, sizeof y);
        owner = h->p;
    }
    if (!y[e->type.base])
        y[e->type.base] = hbuffer(h, SPACE_RESULT, "y", e->type.base, 1, dim_static(16), dim_static(1));
    Hand inner = *h;
    hand_kernel(&inner, "e");
    hstore1(&inner, inner.k->body, y[e->type.base], hi(h, 0), e);
    inner.k->var_count = h->k->var_count;
    char *text = strstr(printed(&inner, &dialect_c), "    y");
    if (!text)
        return "";
    text = strchr(text, '=') + 2;
    *strrchr(text, ';') = '\0';
    return text;
}

static void test_precedence(void) {
    Hand h = hand_new(32);
    hand_kernel(&h, "k");
    KExpr *a = hv(&h, hvar(&h, "a", KBASE_F32, 1, false)), *b = hv(&h, hvar(&h, "b", KBASE_F32, 1, false));
    KExpr *c = hv(&h, hvar(&h, "c", KBASE_F32, 1, false));
    KExpr *less = hfn(&h, FN_lt, a, b), *more = hfn(&h, FN_gt, b, c);
    CHECK_TEXT(expression(&h, hfn(&h, FN_sub, a, hfn(&h, FN_sub, b, c))), "a - (b - c)");
    CHECK_TEXT(expression(&h, hfn(&h, FN_sub, hfn(&h, FN_sub, a, b), c)), "a - b - c");
    CHECK_TEXT(expression(&h, hfn(&h, FN_mul, hfn(&h, FN_add, a, b), c)), "(a + b) * c");
    CHECK_TEXT(expression(&h, hfn(&h, FN_add, a, hfn(&h, FN_add, b, c))), "a + (b + c)"); /* order of operations */
    CHECK_TEXT(expression(&h, hfn(&h, FN_add, hfn(&h, FN_mul, a, b), c)), "nnrt_fma_f32(a, b, c)");
    CHECK_TEXT(expression(&h, hfn(&h, FN_sub, hfn(&h, FN_mul, a, b), hfn(&h, FN_add, b, c))),
               "nnrt_fma_f32(a, b, -(b + c))");
    CHECK_TEXT(expression(&h, hfn(&h, FN_sub, c, hfn(&h, FN_mul, hf(&h, -2), b))), "nnrt_fma_f32(-(-2.0f), b, c)");
    CHECK_TEXT(expression(&h, hfn(&h, FN_neg, hfn(&h, FN_neg, a, NULL), NULL)), "-(-a)");
    CHECK_TEXT(expression(&h, hfn(&h, FN_div, a, hfn(&h, FN_exp, hfn(&h, FN_sub, b, c), NULL))),
               "a / nnrt_exp_f32(b - c)");
    CHECK_TEXT(expression(&h, hfn(&h, FN_max, a, hf(&h, 0))), "nnrt_at_least_f32(a, 0.0f)");
    CHECK_TEXT(expression(&h, hfn(&h, FN_max, a, b)), "nnrt_max_f32(a, b)");
    CHECK_TEXT(expression(&h, hselect(&h, less, a, hf(&h, 0))), "a < b ? a : 0.0f");
    CHECK_TEXT(expression(&h, hfn(&h, FN_mul, hselect(&h, less, a, b), c)), "(a < b ? a : b) * c");
    CHECK_TEXT(expression(&h, hfn(&h, FN_and, less, more)), "a < b && b > c");
    CHECK_TEXT(expression(&h, hfn(&h, FN_or, hfn(&h, FN_and, less, more), less)), "(a < b && b > c) || a < b");
    CHECK_TEXT(expression(&h, hfn(&h, FN_not, less, NULL)), "!(a < b)");
    CHECK_TEXT(expression(&h, kexpr_cast(h.p, KBASE_F32, less)), "(float)(a < b)");
    CHECK_TEXT(expression(&h, kexpr_cast(h.p, KBASE_I32, hfn(&h, FN_add, a, b))), "(int32_t)(a + b)");
    KExpr *v = hv(&h, hvar(&h, "v", KBASE_F32, 8, false)), *w = hv(&h, hvar(&h, "w", KBASE_F32, 8, false));
    CHECK_TEXT(expression(&h, kexpr_across(h.p, REDUCE_SUM, hfn(&h, FN_mul, v, a))), "nnrt_reduce_add_f32x8(v * a)");
    KExpr *both = hfn(&h, FN_and, hfn(&h, FN_lt, v, w), hfn(&h, FN_gt, v, hf(&h, 1)));
    CHECK_TEXT(expression(&h, kexpr_across(h.p, REDUCE_SUM, kexpr_cast(h.p, KBASE_I32, both))),
               "nnrt_reduce_add_i32x8(-((v < w) & (v > 1.0f)))");
    KExpr *chosen = hselect(&h, hfn(&h, FN_gt, v, w), v, hf(&h, 0));
    CHECK_TEXT(expression(&h, kexpr_across(h.p, REDUCE_MAX, chosen)),
               "nnrt_reduce_max_f32x8(nnrt_select_lt_f32x8(w, v, v, nnrt_splat_f32x8(0.0f)))");
    KExpr *i = hv(&h, hloopvar(&h, "i", 0)), *j = hv(&h, hloopvar(&h, "j", 0));
    KExpr *far = kexpr_binary(h.p, '*', kexpr_binary(h.p, '/', kexpr_binary(h.p, '+', i, j), hi(&h, 8)), j);
    CHECK_TEXT(expression(&h, far), "((i + j) / 8) * j");
    hand_free(&h);
}

static void test_lines(void) {
    Hand h = hand_new(32);
    hand_kernel(&h, "wide");
    h.k->comment =
        "ends early */ and has so many words that it does not fit into a line of a hundred and twenty columns, so "
        "that it goes on in a second one";
    KBuffer *y = hbuffer(&h, SPACE_RESULT, "y", KBASE_F32, 1, dim_static(16), dim_static(1));
    KExpr *sum = hf(&h, 1);
    for (int i = 0; i < 30; i++)
        sum = hfn(&h, FN_mul, sum, hf(&h, 1.5 + i));
    hstore1(&h, h.k->body, y, hi(&h, 0), sum);
    const char *text = printed(&h, &dialect_c);
    int longest = 0, width = 0;
    for (const char *c = text; *c; c++) {
        width = *c == '\n' ? 0 : width + 1;
        longest = width > longest ? width : longest;
    }
    CHECK(longest <= 120 && longest > 90);
    CHECK(strstr(text, "ends early * / and") != NULL);
    hand_free(&h);
}

static void test_refusals(void) {
    Hand h = hand_new(4);
    hand_tile(&h, 8, 12, 20);
    Text text = {0};
    CHECK(!c_print_kernel(&text, h.p, &dialect_c, h.k)); /* no shared memory, no barrier */
    hand_dense(&h, 16, false);
    CHECK(!c_print_kernel(&text, h.p, &dialect_cuda, h.k)); /* no vectors */
    text_clear(&text);
    diag_print(h.diag, &text, false);
    CHECK(strstr(text.data, "printing tile_product as c: no shared memory") != NULL);
    CHECK(strstr(text.data, "printing dense_forward as cuda: threads cannot share a loop") != NULL);
    text_free(&text);
    hand_free(&h);
}

/* ---- compiled */

/* A program that reads all memory from a file, runs the kernels with three shares, and writes all memory back. */
static void print_program(Text *out, Hand *h, const Dialect *d) {
    KProgram *p = h->p;
    text_add(out, "#define NNRT_MATH_WIDTH 16\n#include \"nnrt_kernel.h\"\n#include <stdio.h>\n\nstruct hand {\n");
    for (int i = 0; i < p->buffer_count; i++)
        if (p->buffers[i]->space == SPACE_VARIABLE && !p->buffers[i]->alias) {
            text_add(out, "    ");
            c_print_member(out, p, d, p->buffers[i]);
            text_add(out, ";\n");
        }
    text_format(out, "    _Alignas(64) unsigned char arena[%lld];\n};\n", (long long)p->arena_bytes + 64);
    c_print_offsets(out, p, NULL);
    for (int i = 0; i < h->sequence->count; i++)
        CHECK(c_print_kernel(out, p, d, h->sequence->kernels[i]));
    text_add(out, "static struct hand storage, *model = &storage;\nstatic int32_t rows[64];\n");
    for (int i = 0; i < p->buffer_count; i++) {
        const KBuffer *b = p->buffers[i];
        if ((b->space == SPACE_ARGUMENT || b->space == SPACE_RESULT) && !b->alias) {
            int64_t extent[MAX_RANK + 1];
            kbuffer_physical(b, 1, extent);
            int64_t row = b->rank > 1 ? kbuffer_elements(b, 1) / extent[0] : 1;
            text_format(out, "static %s %s_memory[64 * %lld];\n", d->memory_types[b->base], b->name, (long long)row);
        }
    }
    text_add(out, "\nint main(int count, char **names) {\n    FILE *file = fopen(names[1], \"rb\");\n"
                  "    int64_t batch = count > 3 ? 0 : 5, first, last;\n    int bad = 0;\n");
    for (int i = 0; i < p->buffer_count; i++) {
        const KBuffer *b = p->buffers[i];
        if ((b->space != SPACE_ARGUMENT && b->space != SPACE_RESULT) || b->alias)
            continue;
        text_add(out, "    ");
        c_print_parameter(out, p, d, b, b->space == SPACE_RESULT);
        text_format(out, b->rank == 0 && b->space == SPACE_ARGUMENT ? ";\n" : " = (void *)%s_memory;\n", b->name);
    }
}

/* The order in which memory stands in the files: variables, arena, arguments and results; then the rows. */
static void print_transfer(Text *out, Hand *h, KInterp *in, const char *verb) {
    for (int i = 0; i < h->p->buffer_count; i++) {
        const KBuffer *b = h->p->buffers[i];
        if (b->alias)
            continue;
        long long bytes = in->views[i].memory ? (long long)in->views[i].memory->size : 0;
        if (b->space == SPACE_VARIABLE)
            text_format(out, "    bad |= %s(&model->%s, 1, %lld, file) != %lld;\n", verb, b->name, bytes, bytes);
        else if (b->space != SPACE_ARENA)
            text_format(out, "    bad |= %s(%s_memory, 1, %lld, file) != %lld;\n", verb, b->name, bytes, bytes);
    }
    text_format(out, "    bad |= %s(model->arena, 1, %lld, file) != %lld;\n", verb, (long long)in->memory.size,
                (long long)in->memory.size);
}

static void print_main(Text *out, Hand *h, KInterp *in, const Dialect *d) {
    print_program(out, h, d);
    print_transfer(out, h, in, "fread");
    text_add(out,
             "    bad |= fread(rows, 1, 20, file) != 20;\n    fclose(file);\n    (void)first, (void)last, (void)rows, "
             "(void)batch;\n");
    for (int i = 0; i < h->sequence->count; i++) {
        text_add(out, "    for (int64_t share = 0; share < 3; share++) {\n        int64_t units = ");
        c_print_units(out, h->p, d, h->sequence->kernels[i]);
        text_add(out, ";\n        first = units * share / 3;\n        last = units * (share + 1) / 3;\n        ");
        if (!kkernel_parallel(h->sequence->kernels[i]))
            text_add(out, "if (share == 0) ");
        c_print_call(out, h->p, d, h->sequence->kernels[i], (CallNames){0});
        text_add(out, ";\n    }\n");
    }
    text_add(out, "    file = fopen(names[2], \"wb\");\n");
    print_transfer(out, h, in, "fwrite");
    text_add(out, "    return fclose(file) != 0 || bad;\n}\n");
}

static void write_memory(FILE *file, const Memory *m) {
    CHECK(fwrite(m->bytes, 1, (size_t)m->size, file) == (size_t)m->size);
}

static void write_all(const char *name, Hand *h, KInterp *in) {
    FILE *file = fopen(name, "wb");
    int32_t rows[5];
    for (int i = 0; i < 5; i++)
        rows[i] = (int32_t)in->rows[i];
    for (int i = 0; i < h->p->buffer_count; i++)
        if (h->p->buffers[i]->space != SPACE_ARENA && !h->p->buffers[i]->alias)
            write_memory(file, in->views[i].memory);
    write_memory(file, &in->memory);
    fwrite(rows, 1, sizeof rows, file);
    fclose(file);
}

/* Bytes that somebody wrote must be the same; `ulps`: how far apart floats may be (functions of the runtime). */
static int differences(FILE *file, const Memory *m, KBase base, int ulps) {
    int wrong = 0;
    for (int64_t at = 0; at < m->size; at += m->granule) {
        uint8_t bytes[4];
        int32_t got = 0, expected = 0;
        if (fread(bytes, 1, (size_t)m->granule, file) != (size_t)m->granule)
            return -1;
        if (!m->cells[at / m->granule].writer)
            continue;
        memcpy(&got, bytes, (size_t)m->granule);
        memcpy(&expected, m->bytes + at, (size_t)m->granule);
        wrong += base == KBASE_F32 ? abs(got - expected) > ulps : got != expected;
    }
    return wrong;
}

static void compare_all(const char *name, Hand *h, KInterp *in, int ulps) {
    FILE *file = fopen(name, "rb");
    CHECK(file != NULL);
    if (!file)
        return;
    for (int i = 0; i < h->p->buffer_count; i++)
        if (h->p->buffers[i]->space != SPACE_ARENA && !h->p->buffers[i]->alias) {
            int wrong = differences(file, in->views[i].memory, h->p->buffers[i]->base, ulps);
            if (wrong)
                printf("%s: %d differences\n", h->p->buffers[i]->name, wrong);
            CHECK(wrong == 0);
        }
    CHECK(differences(file, &in->memory, in->memory.granule == 4 ? KBASE_F32 : KBASE_BOOL, ulps) == 0);
    fclose(file);
}

typedef struct {
    const char *compiler, *flags;
    bool fused; /* the flags promise a processor with FMA */
} Build;

static bool is_installed(const char *compiler) {
    char command[64];
    snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", compiler);
    return system(command) == 0;
}

static bool machine_has_fma(void) {
    return system("grep -qw fma /proc/cpuinfo 2>/dev/null") == 0;
}

static void fill_all(Hand *h, KInterp *in) {
    double values[8192];
    for (int i = 0; i < 8192; i++)
        values[i] = (double)(float)sin(0.9 * i);
    for (int i = 0; i < h->p->buffer_count; i++) {
        const KBuffer *b = h->p->buffers[i];
        int64_t count = 1;
        for (int j = 0; j < b->rank; j++)
            count *= dim_size(b->dims[j], b->indirect ? 40 : 5);
        if ((b->space == SPACE_ARGUMENT || b->space == SPACE_VARIABLE) && !b->alias)
            CHECK(kinterp_set(in, b, values, count));
    }
}

static void compile_and_compare(Hand *h, const Build *build, const char *name, int ulps) {
    char stem[256], command[1024], file[300], after[300];
    snprintf(stem, sizeof stem, "%s/printed-%s-%s-%ld", NNC_BINARY_DIR, name, build->compiler, (long)getpid());
    KInterp *in = kinterp_new(h->p, 5, (KInterpOptions){.threads = 3, .fused_multiply_add = build->fused});
    static const int32_t rows[] = {39, 0, 7, 7, 21};
    kinterp_set_rows(in, rows);
    fill_all(h, in);
    Text source = {0};
    print_main(&source, h, in, &dialect_c);
    snprintf(file, sizeof file, "%s.c", stem);
    CHECK(text_write_file(file, source.data, source.length) == 0);
    snprintf(command, sizeof command, "%s -std=c11 -Wall -Wextra -Werror %s -I%s/runtime %s -lm -o %s.out",
             build->compiler, build->flags, NNC_SOURCE_DIR, file, stem);
    int compiled = system(command);
    CHECK(compiled == 0);
    snprintf(file, sizeof file, "%s.before", stem);
    snprintf(after, sizeof after, "%s.after", stem);
    write_all(file, h, in);
    bool good = kinterp_run(in, h->sequence);
    if (!good)
        printf("%s\n", kinterp_error(in));
    CHECK(good);
    snprintf(command, sizeof command, "%s.out %s %s", stem, file, after);
    if (compiled == 0) {
        CHECK(system(command) == 0);
        compare_all(after, h, in, ulps);
    }
    snprintf(command, sizeof command, "rm -f %s.*", stem);
    CHECK(getenv("NNC_KEEP") || system(command) == 0);
    text_free(&source);
    kinterp_free(in);
}

/* Partial vectors, conversions, masks, a transpose, register arrays, random numbers: whatever dense and softmax lack.
 */
static void hand_others(Hand *h, int lanes) {
    KProgram *p = h->p;
    KBuffer *a = hbuffer(h, SPACE_ARGUMENT, "a", KBASE_F32, 2, dim_static(2 * lanes), dim_static(2 * lanes));
    KBuffer *turned = hbuffer(h, SPACE_ARENA, "turned", KBASE_F32, 2, dim_static(2 * lanes), dim_static(2 * lanes));
    KBuffer *small = hbuffer(h, SPACE_ARENA, "small", KBASE_F32, 2, dim_static(3), dim_static(5));
    KBuffer *ids = hbuffer(h, SPACE_RESULT, "ids", KBASE_I32, 1, dim_static(lanes), dim_static(1));
    KBuffer *floats = hbuffer(h, SPACE_RESULT, "floats", KBASE_F32, 2, dim_static(6), dim_static(lanes));
    KBuffer *flags = hbuffer(h, SPACE_RESULT, "flags", KBASE_BOOL, 1, dim_static(lanes), dim_static(1));
    KBuffer *step = hbuffer(h, SPACE_VARIABLE, "step", KBASE_I32, 0, dim_static(1), dim_static(1));
    hand_kernel(h, "others");
    KStmt *body = h->k->body;
    KBuffer *local = kbuffer_local(p, h->k, SPACE_LOCAL, "local", KBASE_F32, 1, (Dim[]){dim_static(2)});
    local->lanes = lanes;
    kstmt_add(body, kstmt_alloc(p, local));
    KExpr *zeros[] = {hi(h, 0), hi(h, 0)};
    kstmt_add(body, kstmt_comment(p, "turned in registers, then element by element"));
    kstmt_add(body, kstmt_transpose(p, turned, zeros, a, zeros, 2 * lanes, 2 * lanes, lanes));
    kstmt_add(body, kstmt_transpose(p, small, zeros, a, zeros, 5, 3, 1));
    KVar *r = hloopvar(h, "r", 2), *v = hvar(h, "v", KBASE_F32, lanes, false),
         *w = hvar(h, "w", KBASE_F32, lanes, false);
    KVar *mask = hvar(h, "mask", KBASE_BOOL, lanes, false);
    KStmt *rows = hfor(h, body, r, AXIS_UNROLL, hi(h, 0), hi(h, 2), 1);
    KExpr *at[] = {hv(h, r), hi(h, 0)}, *first[] = {hi(h, 0), hi(h, 0)}, *second[] = {hi(h, 1), hi(h, 0)};
    kstmt_add(rows, kstmt_store(p, local, at, 2, kexpr_load_vector(p, a, at, 2, lanes, NULL, NULL), NULL));
    kstmt_add(rows,
              kstmt_store(p, local, at, 2,
                          hfn(h, FN_add, kexpr_load_vector(p, local, at, 2, lanes, NULL, NULL), hf(h, 0.25)), NULL));
    kstmt_add(body, kstmt_let(p, v, kexpr_load_vector(p, local, first, 2, lanes, NULL, NULL)));
    kstmt_add(body, kstmt_let(p, w, kexpr_load_vector(p, local, second, 2, lanes, NULL, NULL)));
    kstmt_add(body, kstmt_let(p, mask,
                              hfn(h, FN_or, hfn(h, FN_gt, hv(h, v), hf(h, 0.5)), hfn(h, FN_le, hv(h, w), hv(h, v)))));
    hstore1(h, body, flags, hi(h, 0), hfn(h, FN_not, hv(h, mask), NULL));
    KExpr *number =
        hselect(h, hv(h, mask), kexpr_lanes(p, lanes), kexpr_cast(p, KBASE_I32, hfn(h, FN_mul, hv(h, v), hf(h, 100))));
    hstore1(h, body, ids, hi(h, 0), hfn(h, FN_max, number, kexpr_number(p, KBASE_I32, 2)));
    KExpr *seed = kexpr_number(p, KBASE_I32, 9), *row[6];
    KExpr *random = kexpr_random(p, RANDOM_UNIFORM, 65536, seed, kexpr_load(p, step, NULL, 0), hi(h, 6));
    random->type.lanes = lanes;
    row[0] = random;
    row[1] = hselect(h, hfn(h, FN_lt, hv(h, v), hv(h, w)), hv(h, w), hf(h, -1));
    row[2] = kexpr_cast(p, KBASE_F32, hv(h, mask));
    row[3] = hfn(h, FN_sub, hv(h, v), hfn(h, FN_mul, hf(h, 3), hv(h, w)));
    row[4] = kexpr_load_vector(p, a, first, 2, lanes, hi(h, 3), hi(h, 2 * lanes));
    row[5] = hfn(h, FN_min, hfn(h, FN_sign, hv(h, v), NULL), hfn(h, FN_abs, hv(h, w), NULL));
    for (int i = 0; i < 6; i++)
        kstmt_add(body,
                  kstmt_store(p, floats, (KExpr *const[]){hi(h, i), hi(h, 0)}, 2, row[i], i == 5 ? hi(h, 3) : NULL));
    KExpr *total = kexpr_across(p, REDUCE_SUM, kexpr_cast(p, KBASE_I32, hv(h, mask)));
    kstmt_add(body, kstmt_if(p, hfn(h, FN_lt, kexpr_batch(p), hi(h, 3)), kstmt_block(p),
                             kstmt_store(p, step, NULL, 0, total, NULL)));
}

/* Uniform numbers for register arrays: one call draws four vectors, from an index that may begin anywhere. */
static void hand_drawn(Hand *h, int lanes) {
    static const int vectors[] = {4, 4, 2}, from[] = {32, 6, 16};
    KProgram *p = h->p;
    KBuffer *numbers = hbuffer(h, SPACE_RESULT, "numbers", KBASE_F32, 2, dim_static(10), dim_static(lanes));
    hand_kernel(h, "drawn");
    for (int i = 0, row = 0; i < 3; row += vectors[i++]) {
        KBuffer *local = kbuffer_local(p, h->k, SPACE_LOCAL, "v", KBASE_F32, 1, (Dim[]){dim_static(vectors[i])});
        KVar *r = hloopvar(h, "r", vectors[i]), *s = hloopvar(h, "s", vectors[i]);
        KExpr *seed = kexpr_number(p, KBASE_I32, 9), *step = kexpr_number(p, KBASE_I32, 2);
        KExpr *index = hplus(h, hi(h, from[i]), kexpr_binary(p, '*', hv(h, r), hi(h, lanes)));
        KExpr *random = kexpr_random(p, RANDOM_UNIFORM, 65536, seed, step, index);
        KExpr *to[] = {hv(h, r), hi(h, 0)}, *of[] = {hv(h, s), hi(h, 0)}, *at[] = {hplus(h, hi(h, row), of[0]), of[1]};
        random->type.lanes = lanes;
        local->lanes = lanes;
        kstmt_add(h->k->body, kstmt_alloc(p, local));
        KStmt *draw = hfor(h, h->k->body, r, AXIS_UNROLL, hi(h, 0), hi(h, vectors[i]), 1);
        kstmt_add(draw, kstmt_store(p, local, to, 2, random, NULL));
        KStmt *copy = hfor(h, h->k->body, s, AXIS_UNROLL, hi(h, 0), hi(h, vectors[i]), 1);
        kstmt_add(copy, kstmt_store(p, numbers, at, 2, kexpr_load_vector(p, local, of, 2, lanes, NULL, NULL), NULL));
    }
}

/* Buffers that show others with other axes: an argument, a variable, a result. */
static void hand_views(Hand *h) {
    KBuffer *x = hbuffer(h, SPACE_ARGUMENT, "x", KBASE_F32, 2, dim_batch(1), dim_static(6));
    KBuffer *w = hbuffer(h, SPACE_VARIABLE, "w", KBASE_F32, 2, dim_static(2), dim_static(3));
    KBuffer *y = hbuffer(h, SPACE_RESULT, "y", KBASE_F32, 2, dim_batch(1), dim_static(6));
    Dim cells[] = {dim_batch(1), dim_static(3), dim_static(2)};
    KBuffer *x_as = kbuffer_new(h->p, SPACE_ARGUMENT, "x_as", KBASE_F32, 3, cells);
    KBuffer *y_as = kbuffer_new(h->p, SPACE_RESULT, "y_as", KBASE_F32, 3, cells);
    KBuffer *w_as = hbuffer(h, SPACE_VARIABLE, "w_as", KBASE_F32, 1, dim_static(6), dim_static(1));
    x_as->alias = x, y_as->alias = y, w_as->alias = w;
    x->indirect = x_as->indirect = true;
    hand_kernel(h, "views");
    KVar *m = hloopvar(h, "m", 0), *i = hloopvar(h, "i", 3), *j = hloopvar(h, "j", 2),
         *named = hvar(h, "x", KBASE_F32, 1, false);
    KStmt *body = hfor(h, h->k->body, m, AXIS_PARALLEL, hi(h, 0), kexpr_batch(h->p), 1);
    body = hfor(h, body, i, AXIS_SERIAL, hi(h, 0), hi(h, 3), 1);
    body = hfor(h, body, j, AXIS_SERIAL, hi(h, 0), hi(h, 2), 1);
    KExpr *at[] = {hv(h, m), hv(h, i), hv(h, j)};
    kstmt_add(body, kstmt_let(h->p, named, kexpr_load(h->p, x_as, at, 3)));
    KExpr *weight = hload1(h, w_as, hplus(h, kexpr_binary(h->p, '*', hv(h, i), hi(h, 2)), hv(h, j)));
    kstmt_add(body, kstmt_store(h->p, y_as, at, 3, hfn(h, FN_mul, hv(h, named), weight), NULL));
}

static void test_compiled(void) {
    bool fma = machine_has_fma();
    const Build builds[] = {{"gcc", "-O2 -march=native", fma},
                            {"clang", "-O2 -march=native", fma},
                            {"gcc", "-O1 -fsanitize=address,undefined -fno-sanitize-recover=all", false},
                            {"clang", "-O0", false}};
    for (size_t i = 0; i < sizeof builds / sizeof *builds; i++) {
        if (!is_installed(builds[i].compiler)) {
            printf("skipped: %s is not installed\n", builds[i].compiler);
            continue;
        }
        int lanes = i == 3 ? 4 : i == 2 ? 8 : 16;
        Hand h = hand_new(8);
        HandDense d = hand_dense(&h, lanes, true);
        CHECK(kprogram_verify(h.p, "test"));
        compile_and_compare(&h, &builds[i], "dense", 0);
        hand_softmax(&h, d.y, 2 * lanes < 10 ? 2 * lanes : 10, lanes < 10 ? 16 : lanes);
        h.k->needs_barrier_before = true;
        if (2 * lanes >= 16)
            compile_and_compare(&h, &builds[i], "softmax", 4);
        hand_free(&h);
        h = hand_new(8);
        hand_others(&h, lanes);
        CHECK(kprogram_verify(h.p, "test"));
        compile_and_compare(&h, &builds[i], "others", 0);
        hand_free(&h);
        h = hand_new(8);
        hand_drawn(&h, lanes);
        CHECK(kprogram_verify(h.p, "test"));
        CHECK(strstr(printed(&h, &dialect_c), "nnrt_uniforms_f32x") != NULL);
        compile_and_compare(&h, &builds[i], "drawn", 0);
        hand_free(&h);
        h = hand_new(8);
        hand_views(&h);
        CHECK(kprogram_verify(h.p, "test"));
        compile_and_compare(&h, &builds[i], "views", 0);
        hand_free(&h);
    }
}

/* CUDA text compiles; running it needs a device and is tested elsewhere. */
static void test_nvcc(void) {
    if (!is_installed("nvcc")) {
        printf("skipped: nvcc is not installed\n");
        return;
    }
    Hand h = hand_new(1);
    hand_tile(&h, 8, 12, 20);
    Text source = {0};
    text_add(&source, "#include \"nnrt_cuda.h\"\nstruct hand {\n    float w[12][20];\n    alignas(64) unsigned char "
                      "arena[4096];\n};\n");
    c_print_offsets(&source, h.p, NULL);
    CHECK(c_print_kernel(&source, h.p, &dialect_cuda, h.k));
    text_add(&source, "void run(struct hand *model, cudaStream_t stream) {\n    ");
    c_print_launch(&source, h.p, &dialect_cuda, h.k, (CallNames){0}, "stream");
    text_add(&source, ";\n}\n");
    char file[256], command[1400];
    snprintf(file, sizeof file, "%s/printed-%ld.cu", NNC_BINARY_DIR, (long)getpid());
    CHECK(text_write_file(file, source.data, source.length) == 0);
    snprintf(command, sizeof command, "nvcc -Werror all-warnings -I%s/runtime -c %s -o %s.o && rm -f %s %s.o",
             NNC_SOURCE_DIR, file, file, file, file);
    CHECK(system(command) == 0);
    text_free(&source);
    hand_free(&h);
}

int main(void) {
    test_numbers();
    test_text_c();
    test_text_cuda();
    test_precedence();
    test_lines();
    test_refusals();
    test_compiled();
    test_nvcc();
    return test_report();
}
