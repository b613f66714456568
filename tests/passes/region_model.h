/* For tests: a module made from a seed, of which much is computed and little read: convolutions and poolings with
 * slack, crops, slices, values with several readers.
 *
 *   forward(x) -> output
 *   gradients(x, seed) -> loss, then the gradient of x and of every trainable variable, in the order of the module
 */
#ifndef NNC_TESTS_PASSES_REGION_MODEL_H
#define NNC_TESTS_PASSES_REGION_MODEL_H
#include "ir/build.h"

Module *region_model(Arena *, Diag *, uint64_t seed);
#endif
