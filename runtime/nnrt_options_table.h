/* The table of a trainer's commands and options, for the parser (nnrt_options.c) and the help (nnrt_help.c). */
#ifndef NNRT_OPTIONS_TABLE_H
#define NNRT_OPTIONS_TABLE_H
#include "nnrt_options.h"

typedef enum {
    NNRT_OPTION_FLAG,    /* --resume */
    NNRT_OPTION_BOOLEAN, /* --shuffle=false; without a value: true */
    NNRT_OPTION_INTEGER, /* from least to most */
    NNRT_OPTION_SEED,    /* 64 bits */
    NNRT_OPTION_SHARE,   /* in [0, 1) */
    NNRT_OPTION_NUMBER,  /* 0 or more */
    NNRT_OPTION_TEXT
} nnrt_option_kind;

typedef struct {
    const char *name;
    nnrt_option_kind kind;
    size_t offset;  /* in nnrt_options */
    unsigned verbs; /* bit 1 << verb */
    unsigned given; /* bit set in nnrt_options.given */
    int least, most;
    const char *value; /* what stands for the value in the help */
    const char *help;
} nnrt_option;

typedef struct {
    const char *name, *help;
} nnrt_verb_text;

extern const nnrt_verb_text nnrt_verb_table[NNRT_VERBS];
extern const nnrt_option nnrt_option_table[];
extern const int nnrt_option_count;

#endif
