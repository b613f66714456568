/* How a variable lies in memory: conversion between the row-major order of files and nnrt_storage. */
#ifndef NNRT_STORAGE_H
#define NNRT_STORAGE_H
#include "nnrt_program.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Elements of the variable as users count them, and as memory holds them (with the padding of the last panel). */
int64_t nnrt_variable_elements(const nnrt_variable *variable);
int64_t nnrt_storage_elements(const nnrt_variable *variable);
/* True if memory order is file order. An all-zero nnrt_storage means that. */
bool nnrt_storage_is_plain(const nnrt_variable *variable);

/* Copies elements [first, first + count) of the row-major order out of memory. An element has 4 bytes. */
void nnrt_storage_gather(const nnrt_variable *variable, const void *memory, int64_t first, int64_t count, void *out);
/* Fills the whole memory from row-major values; padding becomes zero. `values` may have any alignment. */
void nnrt_storage_scatter(const nnrt_variable *variable, const void *values, void *memory);

#ifdef __cplusplus
}
#endif
#endif
