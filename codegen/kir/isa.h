/* Instruction sets: how wide vectors are and how many registers there are (codegen/kir/isa.c). */
#ifndef NNC_CODEGEN_ISA_H
#define NNC_CODEGEN_ISA_H
#include "codegen/kir/kir.h"

/* native, generic, x86-64-v3, x86-64-v4, neon; false: unknown name. native looks at this machine. */
bool isa_find(const char *name, KIsa *);
/* A GPU: each thread is one lane. */
extern const KIsa isa_cuda;
/* The same for a name of --gpu; false: unknown name. */
bool isa_of_gpu(const char *name, KIsa *);
/* The names, for messages. */
extern const char *const isa_names[];
extern const int isa_count;
#endif
