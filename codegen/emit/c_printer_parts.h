/* Shared by the parts of the C-family printer: c_expr.c (expressions), c_place.c (buffers, declarations, calls),
 * c_gemm.c (products of matrices), c_convolution.c, c_lines.c (lines, comments), c_printer.c (statements, kernels). */
#ifndef NNC_C_PRINTER_PARTS_H
#define NNC_C_PRINTER_PARTS_H
#include "codegen/emit/c_printer.h"

/* Precedence of C's operators, as far as kernels have them. */
enum {
    PRECEDENCE_ANY,
    PRECEDENCE_CONDITIONAL,
    PRECEDENCE_OR,
    PRECEDENCE_AND,
    PRECEDENCE_BIT_OR,
    PRECEDENCE_BIT_AND,
    PRECEDENCE_EQUAL,
    PRECEDENCE_LESS,
    PRECEDENCE_SUM,
    PRECEDENCE_PRODUCT,
    PRECEDENCE_UNARY,
    PRECEDENCE_POSTFIX
};

typedef struct {
    KProgram *program;
    const Dialect *dialect;
    const KKernel *kernel;
    const bool *live;
    Text *out;
    int depth;
    const char **names; /* by KVar.id: the name in scope */
    const char **taken; /* names in scope, innermost last */
    int taken_count, taken_capacity;
    const KVar *unrolled; /* of the unrolled loop at hand, on a CPU; NULL: none */
    KLaunch launch;
    bool failed;
} CPrinter;

CPrinter c_printer(Text *, KProgram *, const Dialect *, const KKernel *);
void c_fail(CPrinter *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Takes a name that nothing in scope has. */
const char *c_take_name(CPrinter *, const char *wanted);

/* An expression with parentheses if it binds less than `least`. */
void c_expr(CPrinter *, Text *, const KExpr *, int least);
bool c_is_fused(const CPrinter *, const KExpr *); /* spelled together with one of its operands */
/* The place of an element, such as w[k][n]; returns its precedence. */
int c_access(CPrinter *, Text *, const KBuffer *, KExpr *const *index, int count);
/* The address of an element: &w[k][n], or w[k] for the first one. */
void c_address(CPrinter *, Text *, const KBuffer *, KExpr *const *index, int count);
/* The suffix of a type in the runtime's names: f32x16. */
void c_suffix(char out[32], KType);
/* A template with finished texts for %1, %2, ..; %t from `type`. */
void c_template(CPrinter *, Text *, const char *template, KType type, const char *const *texts, int count);
void c_value_type(CPrinter *, Text *, KType);

/* A name for a variable: that of a parameter, if it would be named after the buffer there. */
const char *c_hint(const CPrinter *, const char *name);
/* A random stream: its number, or the parameter for it. */
const char *c_stream(const CPrinter *, int stream);

/* A product of matrices (c_gemm.c). */
void c_gemm(CPrinter *, const KGemm *);
/* A convolution, and the constant before the function of a kernel that is one (c_convolution.c). */
void c_convolution(CPrinter *, const KConvolution *);
void c_convolution_shape(CPrinter *, const KConvolution *);
const KConvolution *c_convolution_of(const KKernel *); /* NULL: it is none */
/* The function of a kernel; a buffer in it. */
const char *c_function_name(const KKernel *);
const char *c_buffer_name(const CPrinter *, const KBuffer *);

/* The declarations at the top of a kernel, and names of what it uses. */
void c_declare_buffers(CPrinter *);
void c_declare_array(CPrinter *, Text *, const KBuffer *); /* float gradient[8][32] */
void c_array_type(CPrinter *, Text *, const KBuffer *);    /* float */
void c_array_name(CPrinter *, Text *, const KBuffer *);    /* gradient[8][32] */
void c_signature(CPrinter *, Text *);

/* One line at the printer's depth, broken where it is too long. */
void c_line(CPrinter *, const char *text);
void c_line_format(CPrinter *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same at depth 0, or filled two levels in if that takes fewer lines. */
void c_line_short(CPrinter *, const char *text);
/* A comment of as many lines as it needs. */
void c_comment(CPrinter *, const char *comment);
#endif
