/* The groups of the fuse pass: which ops become one kernel (passes/fuse_groups.c decides, passes/fuse.c rewrites). */
#ifndef NNC_PASSES_FUSE_GROUPS_H
#define NNC_PASSES_FUSE_GROUPS_H
#include "passes/fuse.h"

/* What a group is made of. */
typedef struct {
    bool known; /* the rest is filled in */
    bool maps_only, rows, single_space, small;
    int contractions, roots;
    int64_t row_elements;
    const Type *space; /* of the single nest */
    int64_t work;
} GroupFacts;

typedef struct {
    Func *func;
    Arena *arena;
    Op **ops; /* ops of the body in order */
    int count;
    int *index;        /* by Value.id: op that makes it, -1 for arguments */
    int *group;        /* by op: representative op of its group, -1 for ops outside groups */
    int *next;         /* by op: the next member of its group, in no order; -1: the last one */
    int *last;         /* by representative: the last member */
    GroupFacts *facts; /* by representative */
    int *stack;        /* room for a walk over groups */
    int *uses;         /* by Value.id */
    /* Groups that must come before: successors[i] lists ops that read op i, through inline ops. */
    int **readers, *reader_count, *reader_capacity;
} FuseGroups;

FuseGroups *fuse_groups(Func *, Arena *);
FusionKind fuse_group_kind(const FuseGroups *, int group);
/* Why a group and one that reads it are two kernels. */
const char *fuse_why_apart(const FuseGroups *, int producer, int consumer);
#endif
