/* The groups of the fuse pass: which ops become one kernel (passes/fuse_groups.c decides, passes/fuse.c rewrites). */
#ifndef NNC_PASSES_FUSE_GROUPS_H
#define NNC_PASSES_FUSE_GROUPS_H
#include "passes/fuse.h"

enum { ROW_ELEMENTS = 2048 }; /* of a row that stays in the cache from nest to nest */

/* What a group is made of. */
typedef struct {
    bool known; /* the rest is filled in */
    bool maps_only, rows, single_space, small;
    int contractions, roots;
    int64_t row_elements;
    const Type *space; /* of the single nest */
    const Op *windows; /* pooling of what the group computes: the nest is one of windows */
    int64_t work;
} GroupFacts;

typedef struct {
    int *items, count, capacity;
} IndexList;

typedef struct {
    Func *func;
    Arena *arena;
    Op **ops; /* ops of the body in order */
    int count;
    bool *moves;       /* by op: it reads something at other places than its own */
    int *index;        /* by Value.id: op that makes it, -1 for arguments */
    int *group;        /* by op: representative op of its group, -1 for ops outside groups */
    int *next;         /* by op: the next member of its group; -1: the last one. In the end in the order of ops */
    int *last;         /* by representative: the last member, while groups grow */
    GroupFacts *facts; /* by representative */
    /* Groups, and ops outside of groups, in an order in which each comes after what it reads. */
    int *place;        /* by representative or op outside: its place in the order */
    int *at;           /* by place; -1: nothing is there any more */
    int *stack, *seen; /* for a walk over groups; seen: the number of the last walk that came by */
    int walk;
    char *ways; /* by op: for walks over ops */
    int *terms; /* by op: of the expression that a sum would read */
    /* By op: which ops read it, and which it reads, the last one first; through inline ops. */
    IndexList *readers, *producers;
} FuseGroups;

FuseGroups *fuse_groups(Func *, Arena *);
/* Before groups are made: an op for each reader of a cheap value that needs no memory (passes/fuse_repeat.c). */
bool fuse_repeat(Func *, Arena *);
/* The group of an op, as its representative; the op itself where it is in none. */
int fuse_owner(const FuseGroups *, int op);
/* Is there a way from group `from` to group `to` that passes through another group? All ways lead on in the order, so
 * none needs to be followed beyond `to` (passes/fuse_order.c). */
bool fuse_reaches(FuseGroups *, int from, int to);
/* Two groups take one place in the order, which no third stands between: what comes between them and depends on the
 * first moves behind it, the rest stays before. */
void fuse_join_places(FuseGroups *, int a, int b, int merged);
/* Marks, as seen on the last walk, the groups that a way leads to from this one, or from which one leads to it, through
 * another group. */
void fuse_mark_tied(FuseGroups *, int group);
/* Could the two groups go through the samples' rows together, each row by itself: positions of a sequence, lines of the
 * scores of attention? A row has at most so many elements (passes/fuse_rows.c). */
bool fuse_share_rows(const FuseGroups *, int producer, int consumer, int64_t most_elements);
/* Does the op read this value, NULL: any, at other places than its own (passes/fuse_moves.c)? */
bool fuse_moves(const Op *, const Value *);
/* Does op `to` so read what op `from` makes, or an op of the consumer what the producer makes? */
bool fuse_reads_elsewhere(const FuseGroups *, int from, int to);
bool fuse_needs_other_places(const FuseGroups *, int producer, int consumer);
FusionKind fuse_group_kind(const FuseGroups *, int group);
/* Why a group and one that reads it are two kernels. */
const char *fuse_why_apart(FuseGroups *, int producer, int consumer);
#endif
