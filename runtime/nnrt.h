/* Everything that a generated program includes. */
#ifndef NNRT_H
#define NNRT_H
#include "nnrt_barrier.h"
#include "nnrt_error.h"
#include "nnrt_math.h"
#include "nnrt_program.h"
#include "nnrt_random.h"
#endif
