/* As in CUDA: the same without what only nvcc knows. */
#include "cuda_runtime.h"
