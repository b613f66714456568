#include "tests/codegen/compiled_kernels.h"
#include "codegen/emit/c_printer.h"
#include "codegen/emit/kernel_share.h"
#include "codegen/kir/library.h"
#include "test.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the file ---- */

static bool compiled_owns(const KBuffer *b, KSpace space, const KSequence *sequence) {
    return b->space == space && !b->alias && (!sequence || b->sequence == sequence);
}

static void compiled_model(Text *out, KProgram *p) {
    text_format(out, "struct %s {\n", p->info->name);
    for (int i = 0; i < p->buffer_count; i++)
        if (compiled_owns(p->buffers[i], SPACE_VARIABLE, NULL)) {
            text_add(out,
                     kbuffer_elements(p->buffers[i], 1) >= 4 ? "    _Alignas(64) " : "    "); /* as host code has it */
            c_print_member(out, p, &dialect_c, p->buffers[i]);
            text_add(out, ";\n");
        }
    text_format(out, "    _Alignas(64) unsigned char arena[%lld];\n};\n", (long long)p->arena_bytes + 64);
    text_format(out, "int64_t model_size(void) {\n    return (int64_t)sizeof(struct %s);\n}\n", p->info->name);
    text_add(out, "int64_t variable_offset(int variable) {\n    static const int64_t offsets[] = {\n");
    for (int i = 0; i < p->buffer_count; i++)
        if (compiled_owns(p->buffers[i], SPACE_VARIABLE, NULL))
            text_format(out, "        [%d] = (int64_t)offsetof(struct %s, %s),\n", p->buffers[i]->id, p->info->name,
                        p->buffers[i]->name);
    text_add(out, "    };\n    return offsets[variable];\n}\n");
}

/* The library's function by its definition, strict about what it is given. */
static void compiled_gemm(Text *out, const Library *library) {
    text_add(out, library->declarations);
    text_add(
        out,
        "#include <stdlib.h>\n"
        "void cblas_sgemm(int order, int transpose_a, int transpose_b, int rows, int columns, int terms, float alpha,\n"
        "                 const float *a, int a_distance, const float *b, int b_distance, float beta, float *c,\n"
        "                 int c_distance) {\n"
        "    int by_rows = order == CblasRowMajor;\n"
        "    int a_rows = by_rows == (transpose_a == CblasNoTrans), b_rows = by_rows == (transpose_b == "
        "CblasNoTrans);\n"
        "    if (rows < 1 || columns < 1 || terms < 1 || a_distance < (a_rows ? terms : rows) ||\n"
        "        b_distance < (b_rows ? columns : terms) || c_distance < (by_rows ? columns : rows))\n"
        "        abort();\n"
        "    for (int i = 0; i < rows; i++)\n"
        "        for (int j = 0; j < columns; j++) {\n"
        "            float sum = 0, *to = by_rows ? &c[i * c_distance + j] : &c[j * c_distance + i];\n"
        "            for (int k = 0; k < terms; k++)\n"
        "                sum += (a_rows ? a[i * a_distance + k] : a[k * a_distance + i]) *\n"
        "                       (b_rows ? b[k * b_distance + j] : b[j * b_distance + k]);\n"
        "            *to = alpha * sum + (beta == 0 ? 0 : beta * *to);\n"
        "        }\n"
        "}\n");
}

/* const float (*restrict x)[64] = arguments[0]; */
static void compiled_parameter(Text *out, KProgram *p, const KBuffer *b) {
    bool written = b->space == SPACE_RESULT;
    const char *from = written ? "results" : "arguments";
    text_add(out, "    ");
    c_print_parameter(out, p, &dialect_c, b, written);
    if (b->rank == 0 && !written)
        text_format(out, " = *(const %s *)arguments[%d];\n", dialect_c.memory_types[b->base], b->argument);
    else
        text_format(out, " = %s[%d];\n", from, b->argument);
    text_format(out, "    (void)%s;\n", b->name);
}

static void compiled_call(Text *out, KProgram *p, const KKernel *kernel) {
    text_add(out, "    ");
    if (kkernel_parallel(kernel)) {
        text_add(out, "for (int64_t thread = 0, units = ");
        c_print_units(out, p, &dialect_c, kernel);
        text_add(out, "; thread < threads; thread++)\n        ");
    }
    c_print_call(out, p, &dialect_c, kernel,
                 (CallNames){.first = "units * thread / threads", .last = "units * (thread + 1) / threads"});
    text_add(out, ";\n");
}

static void compiled_sequence(Text *out, KProgram *p, const KSequence *sequence) {
    text_format(out,
                "void run_%s(struct %s *model, void **arguments, void **results, const int32_t *rows, "
                "int64_t batch, int64_t threads) {\n",
                sequence->func->name, p->info->name);
    text_add(out, "    (void)model, (void)arguments, (void)results, (void)rows, (void)batch, (void)threads;\n");
    for (int i = 0; i < p->buffer_count; i++)
        if (compiled_owns(p->buffers[i], SPACE_ARGUMENT, sequence) ||
            compiled_owns(p->buffers[i], SPACE_RESULT, sequence))
            compiled_parameter(out, p, p->buffers[i]);
    for (int i = 0; i < sequence->count; i++)
        compiled_call(out, p, sequence->kernels[i]);
    text_add(out, "}\n");
}

bool compiled_source(Text *out, KProgram *p) {
    bool ok = true;
    kernel_share(p);
    text_add(out, "#include \"nnrt_kernel.h\"\n#include <stddef.h>\n");
    if (library_is_used(p, library_find("blas", "openblas")))
        compiled_gemm(out, library_find("blas", "openblas"));
    compiled_model(out, p);
    c_print_offsets(out, p, NULL);
    c_print_places(out, p, &dialect_c);
    for (int s = 0; s < p->sequence_count; s++)
        for (int i = 0; i < p->sequences[s]->count; i++)
            ok = c_print_kernel(out, p, &dialect_c, p->sequences[s]->kernels[i]) && ok;
    for (int s = 0; s < p->sequence_count; s++)
        compiled_sequence(out, p, p->sequences[s]);
    return ok;
}

/* ---- the library ---- */

bool compiled_has(const char *compiler) {
    char command[256];
    snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", compiler);
    return system(command) == 0;
}

void compiled_with_each(void (*check)(const char *command, const char *folder, int compiler)) {
    static const char *const compilers[COMPILERS] = {"gcc", "clang"};
    char folder[] = "/tmp/nnc-kernels-XXXXXX", command[64];
    CHECK(mkdtemp(folder) != NULL);
    for (int c = 0; c < COMPILERS; c++)
        if (compiled_has(compilers[c])) {
            snprintf(command, sizeof command, "%s -O2 -march=native", compilers[c]);
            check(command, folder, c);
        }
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK(system(command) == 0);
}

Compiled compiled_build(KProgram *p, const char *command, const char *stem) {
    Compiled c = {.program = p};
    Text source = {0}, line = {0};
    bool ok = compiled_source(&source, p);
    text_format(&line, "%s.c", stem);
    FILE *file = fopen(line.data, "w");
    ok = ok && file && fwrite(source.data, 1, source.length, file) == source.length;
    if (file)
        ok = fclose(file) == 0 && ok;
    text_clear(&line);
    text_format(&line,
                "%s -std=c11 -Wall -Wextra -Werror -Wno-missing-prototypes -fPIC -shared -I" NNC_SOURCE_DIR
                "/runtime %s.c -o %s.so -lm",
                command, stem, stem);
    ok = ok && system(line.data) == 0;
    text_clear(&line);
    text_format(&line, "%s.so", stem);
    c.handle = ok ? dlopen(line.data, RTLD_NOW | RTLD_LOCAL) : NULL;
    text_free(&source);
    text_free(&line);
    return c;
}

void compiled_close(Compiled *c) {
    if (c->handle)
        dlclose(c->handle);
    c->handle = NULL;
}

static void *compiled_symbol(const Compiled *c, const char *name) {
    return dlsym(c->handle, name);
}

/* ---- data in and out ---- */

/* Where a logical index lies in memory. */
static int64_t compiled_element(const KBuffer *b, int64_t batch_max, const int64_t *logical) {
    int64_t stride[MAX_RANK + 1], element = 0;
    kbuffer_strides(b, batch_max, stride);
    for (int p = 0; p < b->rank; p++) {
        bool panels = b->block > 0 && b->order[p] == b->block_axis;
        element += (panels ? logical[b->order[p]] / b->block : logical[b->order[p]]) * stride[p];
    }
    return b->block > 0 ? element + logical[b->block_axis] % b->block : element;
}

static void compiled_copy(const KBuffer *b, int64_t batch_max, int64_t samples, double *values, void *memory, bool in) {
    int64_t at[MAX_RANK] = {0}, extent[MAX_RANK], count = 1;
    for (int i = 0; i < b->rank; i++)
        count *= extent[i] = dim_size(b->dims[i], samples);
    for (int64_t n = 0; n < count; n++) {
        int64_t element = compiled_element(b, batch_max, at);
        if (b->base == KBASE_F32 && in)
            ((float *)memory)[element] = (float)values[n];
        else if (b->base == KBASE_F32)
            values[n] = (double)((float *)memory)[element];
        else if (b->base == KBASE_I32 && in)
            ((int32_t *)memory)[element] = (int32_t)values[n];
        else if (b->base == KBASE_I32)
            values[n] = ((int32_t *)memory)[element];
        else if (in)
            ((uint8_t *)memory)[element] = values[n] != 0;
        else
            values[n] = ((uint8_t *)memory)[element];
        for (int i = b->rank - 1; i >= 0 && ++at[i] == extent[i]; i--)
            at[i] = 0;
    }
}

static void *compiled_memory(Arena *arena, const KBuffer *b, int64_t batch_max, int64_t samples) {
    int64_t most = samples > batch_max ? samples : batch_max;
    return arena_alloc(arena, (size_t)(kbuffer_elements(b, most) * 4 + 64));
}

static void compiled_give(Arena *arena, const Compiled *c, const KSequence *sequence, const KernelExpected *e,
                          unsigned char *model, void **arguments, void **results) {
    KProgram *p = c->program;
    int64_t (*offset)(int), batch_max = p->module->batch_max;
    *(void **)&offset = compiled_symbol(c, "variable_offset");
    for (int i = 0; i < p->buffer_count; i++) {
        KBuffer *b = p->buffers[i];
        if (compiled_owns(b, SPACE_VARIABLE, NULL)) {
            const Tensor *from = &e->variables[module_find_variable(e->interp->module, b->variable->name)->id];
            compiled_copy(b, batch_max, e->batch, from->data, model + offset(i), true);
        } else if (compiled_owns(b, SPACE_ARGUMENT, sequence)) {
            arguments[b->argument] = compiled_memory(arena, b, batch_max, e->samples);
            compiled_copy(b, batch_max, e->samples, e->arguments[b->argument].data, arguments[b->argument], true);
        } else if (compiled_owns(b, SPACE_RESULT, sequence))
            results[b->argument] = compiled_memory(arena, b, batch_max, e->batch);
    }
}

static void compiled_take(Arena *arena, const Compiled *c, const KSequence *sequence, const KernelExpected *e,
                          unsigned char *model, void **results, KernelValues *values) {
    KProgram *p = c->program;
    int64_t (*offset)(int), batch_max = p->module->batch_max;
    *(void **)&offset = compiled_symbol(c, "variable_offset");
    values->results = ARENA_ARRAY(arena, double *, e->func->body.yield_count + 1);
    values->variables = ARENA_ARRAY(arena, double *, e->interp->module->variable_count + 1);
    for (int i = 0; i < p->buffer_count; i++) {
        KBuffer *b = p->buffers[i];
        bool variable = compiled_owns(b, SPACE_VARIABLE, NULL);
        if (!variable && !compiled_owns(b, SPACE_RESULT, sequence))
            continue;
        double *to = ARENA_ARRAY(arena, double, kbuffer_elements(b, batch_max) + 1);
        compiled_copy(b, batch_max, e->batch, to, variable ? model + offset(i) : results[b->argument], false);
        if (variable)
            values->variables[module_find_variable(e->interp->module, b->variable->name)->id] = to;
        else
            values->results[b->argument] = to;
    }
}

KernelValues compiled_run(Arena *arena, const Compiled *c, const KernelExpected *e, int threads) {
    KernelValues values = {.ran = false};
    int64_t (*size)(void);
    void (*run)(void *, void **, void **, const int32_t *, int64_t, int64_t);
    char name[128];
    snprintf(name, sizeof name, "run_%s", e->func->name);
    *(void **)&size = compiled_symbol(c, "model_size");
    *(void **)&run = compiled_symbol(c, name);
    const KSequence *sequence = kernel_sequence(c->program, e->func->name);
    if (!size || !run || !sequence)
        return values;
    unsigned char *memory = arena_alloc(arena, (size_t)size() + 64), *model = memory + (64 - (uintptr_t)memory % 64);
    memset(model, 0xFF, (size_t)size());
    void **arguments = ARENA_ARRAY(arena, void *, e->func->body.arg_count + 1);
    void **results = ARENA_ARRAY(arena, void *, e->func->body.yield_count + 1);
    compiled_give(arena, c, sequence, e, model, arguments, results);
    run(model, arguments, results, e->rows, e->batch, threads);
    compiled_take(arena, c, sequence, e, model, results, &values);
    values.ran = true;
    return values;
}

bool compiled_right(Arena *arena, KProgram *p, const Module *oracle, const char *command, const char *stem,
                    const char *name) {
    Compiled c = compiled_build(p, command, stem);
    bool right = c.handle != NULL;
    for (int64_t batch = 3; batch <= 5 && right; batch += 2) {
        Text why = {0};
        KernelExpected e = kernel_expect(arena, oracle, oracle->funcs[0], 4, batch, 2);
        KernelValues one = compiled_run(arena, &c, &e, 1), several = compiled_run(arena, &c, &e, 3);
        right = kernel_check(&e, &one, &why) && kernel_same_bits(&e, &one, &several, &why);
        if (!right)
            printf("%s, %s, batch %d: %s\n", name, command, (int)batch, why.data ? why.data : "");
        text_free(&why);
    }
    if (c.handle)
        compiled_close(&c);
    return right;
}
