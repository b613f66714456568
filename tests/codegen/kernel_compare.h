/* For tests: a module through the whole pipeline to mapped kernels, which are run on the kernel-IR interpreter and
 * compared with the tensor interpreter. */
#ifndef NNC_TESTS_KERNEL_COMPARE_H
#define NNC_TESTS_KERNEL_COMPARE_H
#include "codegen/kir/kir.h"
#include "codegen/kir/kir_interp.h"
#include "tests/passes/interp_compare.h"

/* Prints what diag holds, under a title. */
void kernel_report(Diag *, const char *what);
/* The program in a file of the project, with another value for a constant (NAME=VALUE; NULL: none). NULL with the
 * reason printed if it has errors. */
struct Program *kernel_source(Arena *, Diag *, const char *file, const char *define);
struct Program *kernel_source_with(Arena *, Diag *, const char *file, const char *const *defines, int count);
/* The program compiled for a processor (an instruction set of codegen/kir/isa.h) as the driver does it, up to the
 * memory plan; changes its module. `barrier_work` takes the place of the instruction set's, if it is not 0. NULL: a
 * stage failed. */
KProgram *kernel_compile(Arena *, Diag *, struct Program *, const char *target, int barrier_work, bool planned);
/* The kernels of a function; NULL: there is none of that name. */
KSequence *kernel_sequence(const KProgram *, const char *name);
/* The oracle module has its gradients expanded and nothing else; NULL with the reason printed if a pass fails. */
Module *kernel_oracle(Arena *, Diag *, const Module *);
/* Barriers are taken to cost little, so that also the small kernels of tests are shared by threads. */
enum { KERNEL_BARRIER_WORK = 10 };
/* Pipeline, lowering, layout, map_cpu or map_gpu, memory plan, verification. `target`: an ISA's name, "cuda",
 * "cuda:RC" (contractions of any size in tiles of R x C elements a thread), "cuda:library" (products of any size by
 * cuBLASLt, where one call does it), the same with :PRECISION, "panels" (4 lanes, rows of 8 in panels), "blas" (4
 * lanes, products of matrices of any size for a library), "winograd" (4 lanes, all convolutions by F(2x2, 3x3) that it
 * can do), or "dnn" ("cuda" with convolutions for a library). NULL with the reason printed under `what`. */
KProgram *kernel_program(Arena *, Diag *, const Module *, const char *target, bool planned, const char *what);

/* One function on given data: what it read and what the tensor interpreter says. */
typedef struct {
    const Func *func; /* of the oracle module */
    int64_t batch, samples;
    int32_t *rows;                                         /* batch of them, in no order */
    Interp *interp;                                        /* variables after the run */
    Tensor *variables, *arguments;                         /* before; arguments with all samples */
    Tensor *results, *rounded_results, *rounded_variables; /* rounded: every operation in float */
    double bound; /* relative: unit roundoff times the longest chain of roundings */
} KernelExpected;
KernelExpected kernel_expect(Arena *, const Module *oracle, const Func *, uint64_t seed, int64_t batch,
                             int class_count);

/* Results and variables of one run, in the order of the function and the oracle module. */
typedef struct {
    double **results, **variables;
    bool ran;
} KernelValues;
/* `why`: filled if the run is refused or a value is off by more than the bound. */
KernelValues kernel_run(Arena *, KProgram *, const KernelExpected *, KInterpOptions, Text *why);
bool kernel_check(const KernelExpected *, const KernelValues *, Text *why);
bool kernel_same_bits(const KernelExpected *, const KernelValues *, const KernelValues *, Text *why);
/* Is the first function right with 1 thread, and do 2 and 5, in reverse, give the same bits? Else it says what is not.
 */
bool kernel_right_with_threads(Arena *, KProgram *, const Module *oracle, int64_t batch, const char *what);
/* This function of the program: values of the oracle, and the same bits for 1, 2 and 5 threads. What is wrong is
 * printed. `classes`: of targets that are numbers. */
bool kernel_function_right(Arena *, KProgram *, const Module *oracle, const char *function, int64_t batch, int classes);
#endif
