// What the two source files of the indexing family share; included by them alone.
#pragma once
#include "kernels/cpu/indexing.h"
#include "base/parallel.h"
#include "base/scratch.h"

namespace flambeau::kernels::FLAMBEAU_ISA {

// indexing_masks.cpp; the contracts are those of IndexingKernels
int64_t count_mask(const bool* mask, int64_t n);
void masked_select(void* out, const void* src, const bool* mask, int64_t n, int item_size);
void masked_scatter(void* dst, const bool* mask, int64_t n, const void* src, int item_size);
void nonzero(int64_t* out, const bool* mask, int ndim, const int64_t* sizes);
bool bincount(int64_t* counts, const int64_t* x, int64_t n, int64_t bins);
bool bincount_weighted(double* sums, const int64_t* x, const double* weights, int64_t n, int64_t bins);
void histc(DType dtype, int64_t* counts, const void* x, int64_t n, int64_t bins, double lo, double hi);
void searchsorted(DType dtype, int64_t* out, const void* sorted, const void* values, int64_t rows, int64_t sorted_rows,
                  int64_t n, int64_t m, bool right, const int64_t* sorter);

namespace {

struct Item16 {
  uint64_t low, high;
};

// f.operator()<T>() with an unsigned type of the item's size.
template <class F> FLAMBEAU_INLINE void by_item(int64_t item, F&& f) {
  switch (item) {
    case 1: return f.template operator()<uint8_t>();
    case 2: return f.template operator()<uint16_t>();
    case 4: return f.template operator()<uint32_t>();
    case 8: return f.template operator()<uint64_t>();
    default: return f.template operator()<Item16>();
  }
}

FLAMBEAU_INLINE int64_t at_least_one(int64_t x) { return x < 1 ? 1 : x; }

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
