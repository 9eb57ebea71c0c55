// Random fills of contiguous memory, with the streams of PyTorch's CPU generator: which words an element takes from the
// engine, in what order, and what becomes of them. Each call holds the generator's lock, checks its parameters and
// throws with PyTorch's phrase. A tensor that is not contiguous is filled through a contiguous copy in the order in
// which its elements lie in memory if they are dense (in logical order otherwise).
#pragma once
#include "base/dtype.h"
#include "base/random.h"

#include <cstdint>

namespace flambeau::random {

// Floating and complex types (a complex number is two real ones).
void uniform(Generator& g, DType dtype, void* out, int64_t n, double from, double to);
// From 16 elements on, a contiguous tensor takes its numbers in blocks; fewer, or a tensor that is not contiguous
// (`contiguous` false), one pair after the other. Complex: std is of the whole number, mean of each part.
void normal(Generator& g, DType dtype, void* out, int64_t n, double mean, double std, bool contiguous = true);
void log_normal(Generator& g, DType dtype, void* out, int64_t n, double mean, double std);
void exponential(Generator& g, DType dtype, void* out, int64_t n, double lambda);
void cauchy(Generator& g, DType dtype, void* out, int64_t n, double median, double sigma);
void geometric(Generator& g, DType dtype, void* out, int64_t n, double p);

// Integers of [from, to) in any real type (randint, random_(from, to)).
void integers(Generator& g, DType dtype, void* out, int64_t n, int64_t from, int64_t to);
// random_(from, None): up to the largest value that the type holds exactly; from -2^63, all 64 bits.
void integers_from(Generator& g, DType dtype, void* out, int64_t n, int64_t from);
// random_(): [0, largest], for floating types up to the last integer before gaps.
void integers(Generator& g, DType dtype, void* out, int64_t n);
void permutation(Generator& g, DType dtype, void* out, int64_t n);

void bernoulli(Generator& g, DType dtype, void* out, int64_t n, double p);
// One probability an element, of a floating type.
void bernoulli(Generator& g, DType dtype, void* out, DType p_dtype, const void* p, int64_t n);

// out = x * mask / (1 - p), mask[i] = 1 where x[i] is kept; floating types. p = 0 and p = 1 draw nothing.
void dropout(Generator& g, DType dtype, const void* x, void* out, bool* mask, int64_t n, double p);

// `samples` indices for each of `rows` rows of `columns` weights (floating types).
void multinomial(Generator& g, DType dtype, const void* weights, int64_t rows, int64_t columns, int64_t samples,
                 bool replacement, int64_t* out);

}  // namespace flambeau::random
