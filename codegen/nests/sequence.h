/* Kernels of a sequence before they are mapped: split into several, brought together, moved. */
#ifndef NNC_CODEGEN_NESTS_SEQUENCE_H
#define NNC_CODEGEN_NESTS_SEQUENCE_H
#include "codegen/kir/kir.h"
#include "codegen/kir/nest.h"

/* ---- who touches a buffer (users.c) */
typedef struct {
    KKernel **items;
    int count, capacity;
} KernelList;
/* By the id of what owns the memory: the kernels of a sequence of which a nest loads from it, stores to it. An index of
 * where to look: kernels that have changed remain, those that are new or read something new are noted. */
typedef struct {
    Arena *arena;
    int buffers; /* that were there */
    KernelList *loads, *stores;
} SequenceUsers;
SequenceUsers users_of(const KProgram *, const KSequence *);
void users_note(SequenceUsers *, KKernel *);
int ksequence_place(const KSequence *, const KKernel *); /* -1: it is not there */

/* ---- too much for one thread or block, or for one kernel (split.c) */
/* Local memory, with so many rows at a time in a kernel over rows. */
int64_t kkernel_local_bytes(const KProgram *, const KKernel *, int64_t rows);
/* If kernel number `at` has several nests with more local memory than `most_bytes` (of `rows` rows at a time in a
 * kernel over rows), or, not being over rows, with more work than one thread or block should do alone: one kernel per
 * nest. */
void kkernel_fit(KProgram *, KSequence *, int at, int64_t rows, int64_t most_bytes);
void kkernel_apart(KProgram *, KSequence *, int at); /* one kernel per nest */
/* The only reduction of nest `number`, a sum, becomes a nest and a kernel before this one, in so many parts; what is
 * computed from the sums stays and reads them from memory, adding the parts in order. Returns the nest of the sums. */
typedef struct {
    const char *suffix, *sums, *comment; /* of the names of the kernel and of the buffer; of the kernel */
} SumsApart;
Nest *nest_sums_apart(KProgram *, KSequence *, int at, int number, int parts, SumsApart);

/* Long sums with few results are shared by the threads (sum_parts.c). */
void sum_parts_program(KProgram *);

/* ---- other places of a sequence (move.c) */
/* Does a kernel between these two places write what `moved` reads, or touch what it writes? */
bool ksequence_in_the_way(const KProgram *, const KSequence *, const KKernel *moved, int from, int to);
/* The variables of a nest that comes to this kernel get numbers there. */
void kkernel_take_variables(KKernel *to, Nest *);
/* Kernels over rows within samples come right behind the kernels that make what they read. */
void ksequence_rows_behind(const KProgram *, KSequence *);
#endif
