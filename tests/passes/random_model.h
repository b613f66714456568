/* For tests: a module made from a seed, with the shapes and ops of real training programs and the clumsy forms that
 * passes should tidy up.
 *
 *   forward(x) -> output
 *   train_step(x, y, seed) -> loss.total, loss.count       with grad and an optimizer
 *   gradients(x, y, seed) -> loss, then the gradient of every trainable variable, in the order of the module
 */
#ifndef NNC_TESTS_PASSES_RANDOM_MODEL_H
#define NNC_TESTS_PASSES_RANDOM_MODEL_H
#include "ir/build.h"

enum { RANDOM_MODEL_CLASSES = 4 };
Module *random_model(Arena *, Diag *, uint64_t seed);
/* The same with sizes around those of vectors, panels and tiles: sequences of 64 steps and more, layers of 1 to 33
 * features, batches that no tile divides. */
Module *random_large_model(Arena *, Diag *, uint64_t seed);
#endif
