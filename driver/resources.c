/* --emit=resources: registers, spills and shared memory of each GPU kernel, as nvcc reports them, how many blocks fit a
 * multiprocessor with them, and which layers the kernel is of. Needs nvcc, but no GPU. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "codegen/kir/gpu_arch.h"
#include "driver/build.h"

typedef struct {
    bool found;
    int registers, stack, spilled; /* spilled: bytes, stored and loaded */
    int64_t shared;
} Resources;

/* ---- what nvcc has said */

/* "_Z13dense_forwardPfl", also with an L before the length: the name of the kernel. */
static bool names_kernel(const char *mangled, const char *name) {
    if (strncmp(mangled, "_Z", 2) != 0)
        return false;
    mangled += 2 + (mangled[2] == 'L');
    size_t length = strtoul(mangled, (char **)(uintptr_t)&mangled, 10);
    return strlen(name) == length && strncmp(mangled, name, length) == 0;
}

/* The number before the words, in this line; 0: they are not there. */
static int64_t number_before(const char *line, const char *words) {
    const char *end = strchr(line, '\n'), *at = strstr(line, words);
    if (!at || (end && at > end) || at == line)
        return 0;
    for (at--; at > line && at[-1] >= '0' && at[-1] <= '9';)
        at--;
    return strtoll(at, NULL, 10);
}

static const char *next_line(const char *line) {
    const char *end = strchr(line, '\n');
    return end ? end + 1 : line + strlen(line);
}

static bool begins_kernel(const char *line, const char **mangled) {
    static const char words[] = "Compiling entry function '";
    const char *end = strchr(line, '\n'), *at = strstr(line, words);
    *mangled = at ? at + sizeof words - 1 : NULL;
    return at && (!end || at < end);
}

static Resources read_resources(const char *said, const char *name) {
    Resources r = {.found = false};
    const char *mangled;
    for (const char *line = said; *line; line = next_line(line)) {
        if (begins_kernel(line, &mangled)) {
            if (r.found)
                break;
            r.found = names_kernel(mangled, name);
        } else if (r.found) {
            r.stack += (int)number_before(line, " bytes stack frame");
            r.spilled += (int)(number_before(line, " bytes spill stores") + number_before(line, " bytes spill loads"));
            r.registers += (int)number_before(line, " registers");
            r.shared += number_before(line, " bytes smem");
        }
    }
    return r;
}

/* Where --gpu=native leaves it to nvcc, it says what it has compiled for. */
static const GpuArch *compiled_for(Arena *arena, const char *said, const GpuArch *asked) {
    const char *mangled;
    for (const char *line = said; *line; line = next_line(line))
        if (begins_kernel(line, &mangled)) {
            const char *arch = strstr(mangled, "' for '");
            const GpuArch *found =
                arch ? gpu_arch_find(arena_format(arena, "%.*s", (int)strcspn(arch + 7, "'"), arch + 7)) : NULL;
            return found ? found : asked;
        }
    return asked;
}

/* ---- the table */

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Blocks that fit a multiprocessor together. Registers are given to warps, 256 at a time. */
static int64_t blocks_at_once(const GpuArch *arch, const Resources *r, int64_t threads) {
    enum { WARP = 32, REGISTERS_AT_ONCE = 256, SHARED_AT_ONCE = 128, SHARED_OF_SYSTEM = 1024 };
    int64_t warps = (threads + WARP - 1) / WARP;
    int64_t warp = (r->registers * (int64_t)WARP + REGISTERS_AT_ONCE - 1) / REGISTERS_AT_ONCE * REGISTERS_AT_ONCE;
    int64_t shared = (r->shared + SHARED_AT_ONCE - 1) / SHARED_AT_ONCE * SHARED_AT_ONCE;
    int64_t blocks = least(arch->blocks_sm, arch->threads_sm / (warps * WARP));
    if (arch->version >= 80)
        shared += SHARED_OF_SYSTEM;
    if (warp > 0)
        blocks = least(blocks, arch->registers_sm / warp / warps);
    return shared > 0 ? least(blocks, arch->shared_sm / shared) : blocks;
}

typedef struct {
    Text *out;
    const Pipeline *p;
    const GpuArch *arch;
    const char *said;
    int width; /* of the names */
    int kernels, spilling, missing;
} Table;

/* Every function of the program once, in the order of the file. */
static void each_kernel(Table *t, void (*visit)(Table *, const KKernel *, const char *name)) {
    const KProgram *k = t->p->kernels;
    for (int i = 0; i < k->shared_count; i++)
        visit(t, k->shared[i]->printed, k->shared[i]->name);
    for (int s = 0; s < k->sequence_count; s++)
        for (int i = 0; i < k->sequences[s]->count; i++)
            if (!k->sequences[s]->kernels[i]->shared)
                visit(t, k->sequences[s]->kernels[i], k->sequences[s]->kernels[i]->name);
}

static void widen(Table *t, const KKernel *kernel, const char *name) {
    (void)kernel;
    t->width = (int)strlen(name) > t->width ? (int)strlen(name) : t->width;
}

/* "dense (digits.nn:3): einsum add; beside it loss (digits.nn:9): sub" are two layers. */
static void add_layers(const Table *t, const char *comment, Text *layers) {
    static const char beside[] = "beside it ";
    for (const char *at = comment; at && *at;) {
        at += strncmp(at, beside, sizeof beside - 1) == 0 ? sizeof beside - 1 : 0;
        int length = (int)strcspn(at, " ,;:");
        const char *layer = arena_format(t->p->arena, "%.*s", length, at), *end = strstr(at, "; ");
        if (*layer && !options_list_has(layers->data, layer))
            text_format(layers, "%s%s", layers->length ? "," : "", layer);
        at = end ? end + 2 : NULL;
    }
}

/* Of all kernels that have this function; the first few by name. */
static void print_layers(const Table *t, const KKernel *kernel) {
    enum { NAMED = 4 };
    const KProgram *k = t->p->kernels;
    Text layers = {0};
    int count = 0;
    add_layers(t, kernel->comment, &layers);
    for (int s = 0; kernel->shared && s < k->sequence_count; s++)
        for (int i = 0; i < k->sequences[s]->count; i++)
            if (k->sequences[s]->kernels[i]->shared == kernel->shared)
                add_layers(t, k->sequences[s]->kernels[i]->comment, &layers);
    for (const char *at = layers.data; at && *at; count++) {
        int length = (int)strcspn(at, ",");
        if (count < NAMED)
            text_format(t->out, "%s%.*s", count ? ", " : "", length, at);
        at += length + (at[length] == ',');
    }
    if (count > NAMED)
        text_format(t->out, " and %d more", count - NAMED);
    text_free(&layers);
}

static void print_kernel(Table *t, const KKernel *kernel, const char *name) {
    KLaunch launch;
    if (!kkernel_launch(t->p->kernels, kernel, &launch)) /* a call of a library */
        return;
    Resources r = read_resources(t->said, name);
    t->missing += !r.found;
    if (!r.found)
        return;
    int64_t threads = launch.block[0] * launch.block[1], blocks = blocks_at_once(t->arch, &r, threads);
    text_format(t->out, "  %-*s %9d %7d %7d %7lld %8lld %7lld %7.0f %%  ", t->width, name, r.registers, r.spilled,
                r.stack, (long long)r.shared, (long long)threads, (long long)blocks,
                100.0 * (double)(blocks * threads) / t->arch->threads_sm);
    print_layers(t, kernel);
    text_add(t->out, "\n");
    t->kernels++;
    t->spilling += r.spilled > 0;
}

static Status print_table(Text *out, const Pipeline *p, const char *said) {
    Table t = {.out = out, .p = p, .arch = compiled_for(p->arena, said, p->kernels->isa.gpu), .said = said};
    each_kernel(&t, widen);
    text_format(out, "%s for %s, %s\n\n  %-*s registers spilled   stack  shared  threads  blocks    of all\n",
                p->program->name, t.arch->name, t.arch->title, t.width, "");
    text_format(out, "  %-*s  a thread   bytes   bytes   bytes  a block at once   threads  layers\n", t.width,
                "kernel");
    each_kernel(&t, print_kernel);
    text_format(out, "\n%d kernel%s, %d of them spill%s registers. ", t.kernels, t.kernels == 1 ? "" : "s", t.spilling,
                t.spilling == 1 ? "s" : "");
    text_format(out, "At once: blocks on one multiprocessor, and their share of its %d threads.\n", t.arch->threads_sm);
    if (t.missing == 0)
        return STATUS_OK;
    diag_internal(p->diag, (Span){0}, "nvcc says nothing of %d kernels", t.missing);
    return STATUS_INTERNAL;
}

Status emit_resources(Text *out, const Pipeline *p) {
    const char *folder = build_folder(p->arena, p->diag, "gpu");
    CBuild build = build_start(p->options, p->arena, p->diag);
    Text source = {0}, header = {0}, said = {0};
    if (!folder)
        return STATUS_FILE;
    const char *path = arena_format(p->arena, "%s/%s.cu", folder, p->program->name);
    Status status = emit_code(&source, &header, p, path, false) ? STATUS_OK : STATUS_PROGRAM;
    if (status == STATUS_OK)
        status = write_output(p->diag, path, &source);
    if (status == STATUS_OK)
        status = build_resources(&build, path, arena_format(p->arena, "%s/cubin", folder), &said);
    if (status == STATUS_OK)
        status = print_table(out, p, said.data ? said.data : "");
    unlink(path);
    rmdir(folder);
    text_free(&source);
    text_free(&header);
    text_free(&said);
    return status;
}
