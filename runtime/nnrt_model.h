/* The parts of loading and saving that the trainer needs beyond nnrt_model_load and nnrt_model_save. */
#ifndef NNRT_MODEL_H
#define NNRT_MODEL_H
#include "nnrt_program.h"
#include "nnrt_safetensors.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tensors of a checkpoint that belong to the state of a callback begin with this and are no part of the model. */
#define NNRT_CALLBACK_PREFIX "callback."
#define NNRT_TENSOR_NAME 256
/* Keys of the metadata. */
#define NNRT_KEY_MODEL "model"
#define NNRT_KEY_OPTIMIZER "optimizer"         /* first part of the names of the optimizer's variables */
#define NNRT_KEY_PREPROCESSING "preprocessing" /* "fitted" or "not fitted" */
#define NNRT_KEY_VOCABULARY "vocabulary"
#define NNRT_KEY_COLUMNS "columns" /* names of the inputs */

/* What a file held beside the weights, which it must hold. */
typedef struct {
    bool optimizer;     /* every optimizer variable; a file has all of them or none */
    bool preprocessing; /* every preprocessing variable, fitted */
} nnrt_model_found;

/* Whether missing preprocessing is an error. Missing optimizer state never is: training then starts with a fresh one.
 */
typedef enum { NNRT_PREPROCESSING_REQUIRED, NNRT_PREPROCESSING_OPTIONAL } nnrt_model_strictness;

/* Asks the system for large pages where the model covers whole ones, before they are touched: a step walks through many
 * tensors at a time, and finding their small pages costs it up to 2 % of its time. */
#define NNRT_LARGE_PAGE ((size_t)1 << 21)
void nnrt_model_large_pages(void *model, size_t bytes);
/* nnrt_model_init that reports a lack of memory. */
int nnrt_model_fill(const nnrt_program *program, void *model, uint64_t seed);
/* Checks everything, then copies; on error nothing is changed. `path` is for messages. */
int nnrt_model_load_from(const nnrt_program *program, void *model, const nnrt_safetensors *file, const char *path,
                         nnrt_model_strictness strictness, nnrt_model_found *found);

/* What goes into a file beside the model. The writer adds the keys model, compiler and optimizer itself. */
typedef struct {
    const nnrt_tensor *tensors; /* with row-major data */
    int64_t tensor_count;
    const nnrt_metadata *metadata;
    int64_t metadata_count;
} nnrt_model_extra;
int nnrt_model_save_with(const nnrt_program *program, const void *model, const char *path,
                         const nnrt_model_extra *extra);

/* "(64, 64)", "()" for rank 0. Returns `text`. */
char *nnrt_shape_text(char *text, size_t size, int rank, const int64_t *dims);

#ifdef __cplusplus
}
#endif
#endif
