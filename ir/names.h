/* The words of the text form, shared by ir/print.c and ir/read.c: each list is in the order of its enum. */
#ifndef NNC_IR_NAMES_H
#define NNC_IR_NAMES_H

static const char *const role_names[] = {"trainable", "non_trainable", "optimizer", "preprocess"};
static const char *const fit_names[] = {"none", "mean", "variance", "minimum", "maximum"};
static const char *const arg_kind_names[] = {"input", "target", "sample_weight", "raw_input", "seed", "plain"};
static const char *const reduce_names[] = {"sum", "max", "min"};
static const char *const random_names[] = {"uniform", "normal"};
static const struct {
    const char *name;
    int arguments; /* how many of a, b it has */
} init_names[] = {{"constant", 1},   {"uniform", 2},  {"normal", 2}, {"truncated_normal", 2},
                  {"orthogonal", 1}, {"identity", 1}, {"forget", 2}};

enum { INIT_KINDS = sizeof init_names / sizeof *init_names };
#endif
