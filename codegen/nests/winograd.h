/* Convolutions of 3 x 3 taps and stride 1 by Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray, "Fast Algorithms
 * for Convolutional Neural Networks", 2016): 2 x 2 results, a tile, from a patch of 4 x 4 cells with 16 products for a
 * channel instead of 36. Works on nests, between lowering and layout; leaves a kernel more for each, which transforms
 * the weights, and three nests over blocks of samples instead of one:
 *
 *   patches[ij, t, c]  = B^T d B          of each patch d of the image
 *   products[ij, t, n] = sum over c of patches[ij, t, c] * weights[ij, c, n]
 *   results            = A^T m A          of the 16 products of a tile, and what the convolution's epilogue makes of
 * them
 *
 * The gradient by 3 x 3 weights by F(3x3, 2x2): as many products, for the 3 x 3 results that a tile of 2 x 2 cells of
 * what comes in has a part in. The samples are cut in parts; a kernel more makes the sums of each.
 *
 *   patches[ij, t, c]  = B^T d B          as above
 *   incoming[ij, t, n] = G g G^T          of each tile of what comes in
 *   products[ij, c, n] = sum over t, all tiles of a part, of patches[ij, t, c] * incoming[ij, t, n]
 *   results            = A^T m A          of the 16 sums of a channel and a feature
 *
 * The sums are rounded in another way than those of the direct form, and what is infinite or NaN in a patch reaches all
 * results of its tile. */
#ifndef NNC_CODEGEN_WINOGRAD_H
#define NNC_CODEGEN_WINOGRAD_H
#include "codegen/kir/kir.h"

typedef enum { WINOGRAD_CHEAPER, WINOGRAD_EVERYWHERE /* for tests: whatever it costs */ } WinogradUse;
void winograd_program(KProgram *, WinogradUse);
#endif
