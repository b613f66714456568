/* Which part of each buffer one iteration of a kernel's parallel loop touches. */
#ifndef NNC_CODEGEN_KERNEL_PARTS_H
#define NNC_CODEGEN_KERNEL_PARTS_H
#include "codegen/kir/kir.h"

/* Iteration u touches only the places u * size .. (u + 1) * size - 1 of memory axis `axis`; axis -1: that is not so, or
 * not known. */
typedef struct {
    KBuffer *buffer;
    bool written;
    int axis;
    int64_t size;
} KernelPart;

typedef struct {
    KExpr *units; /* iterations; NULL: no parallel loop */
    KernelPart *parts;
    int count;
} KernelParts;

KernelParts kernel_parts(KProgram *, const KKernel *);

typedef enum {
    PARTS_APART, /* neither reads or writes what the other writes */
    PARTS_ALIKE, /* they do, but iteration u of one meets only iteration u of the other */
    PARTS_MIXED
} PartsMeeting;
PartsMeeting kernel_parts_meeting(const KProgram *, const KernelParts *, const KernelParts *);
#endif
