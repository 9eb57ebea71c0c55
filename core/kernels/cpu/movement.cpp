// Triangles, padding by reflection, replication or wrapping, and the positions of repeat_interleave.
#pragma GCC optimize("tree-vectorize,vect-cost-model=dynamic")
#include "kernels/cpu/movement.h"
#include "base/allocator.h"
#include "base/parallel.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

constexpr int64_t kGrain = 128 << 10;  // bytes of a chunk

int64_t at_least_one(int64_t x) { return x < 1 ? 1 : x; }
int64_t clamp(int64_t x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : x; }

void triangle(void* out, const void* in, int64_t batch, int64_t rows, int64_t columns, int64_t diagonal, bool upper,
              int item_size) {
  int64_t bytes = columns * item_size;
  diagonal = clamp(diagonal, -rows - 1, columns + 1);  // beyond the corners nothing changes, and sums stay numbers
  parallel_for(batch * rows, at_least_one(kGrain / at_least_one(bytes)), [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    for (int64_t r = begin; r < end; ++r) {
      char* to = static_cast<char*>(out) + r * bytes;
      const char* from = static_cast<const char*>(in) + r * bytes;
      // the kept part is [split, columns) of the upper triangle, [0, split) of the lower one
      int64_t split = clamp(r % rows + diagonal + (upper ? 0 : 1), 0, columns) * item_size;
      if (upper) {
        std::memset(to, 0, split);
        std::memmove(to + split, from + split, bytes - split);
      } else {
        std::memmove(to, from, split);
        std::memset(to + split, 0, bytes - split);
      }
    }
  });
}

// The input position that output position i (already less the padding before) is copied from.
FLAMBEAU_INLINE int64_t source_of(int64_t i, int64_t size, PadMode mode) {
  if (i >= 0 && i < size) return i;
  if (mode == PadMode::Replicate) return i < 0 ? 0 : size - 1;
  if (mode == PadMode::Reflect) return i < 0 ? -i : 2 * (size - 1) - i;
  return i < 0 ? i + size : i - size;
}

// Three dimensions, the missing ones of extent 1 in front.
struct Padding {
  int64_t size[3] = {1, 1, 1}, before[3] = {0, 0, 0}, out[3] = {1, 1, 1};
  int64_t full[3] = {1, 1, 1}, origin = 0;  // extents of the input in memory, and where [0, 0, 0] of `size` is there
  PadMode mode;

  Padding(int ndim, const int64_t* sizes, const int64_t* before_, const int64_t* after, PadMode mode) : mode(mode) {
    for (int k = 0; k < ndim; ++k) {
      int to = 3 - ndim + k;
      size[to] = full[to] = sizes[k], before[to] = before_[k], out[to] = sizes[k] + before_[k] + after[k];
      origin *= full[to];
      if (mode != PadMode::Circular) continue;  // what is cropped does not take part in the wrapping
      int64_t front = before[to] < 0 ? -before[to] : 0, back = after[k] < 0 ? -after[k] : 0;
      size[to] -= front + back, before[to] += front, origin += front;
    }
  }
  int64_t in_count() const { return full[0] * full[1] * full[2]; }
  int64_t rows() const { return out[0] * out[1]; }
  // Offset of the input row behind an output row.
  int64_t row_source(int64_t row) const {
    int64_t a = source_of(row / out[1] - before[0], size[0], mode);
    int64_t b = source_of(row % out[1] - before[1], size[1], mode);
    return origin + (a * full[1] + b) * full[2];
  }
  // Output columns [first, last) are input columns in their own order.
  int64_t first() const { return clamp(before[2], 0, out[2]); }
  int64_t last() const { return clamp(before[2] + size[2], first(), out[2]); }
  int64_t column_source(int64_t column) const { return source_of(column - before[2], size[2], mode); }
};

template <class T> void pad_of(T* out, const T* in, int64_t batch, const Padding& p) {
  int64_t rows = p.rows(), width = p.out[2], first = p.first(), last = p.last();
  parallel_for(batch * rows, at_least_one(kGrain / at_least_one(width * int64_t(sizeof(T)))),
               [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
                 for (int64_t r = begin; r < end; ++r) {
                   T* to = out + r * width;
                   const T* from = in + r / rows * p.in_count() + p.row_source(r % rows);
                   for (int64_t c = 0; c < first; ++c) to[c] = from[p.column_source(c)];
                   std::memcpy(to + first, from + (first - p.before[2]), (last - first) * sizeof(T));
                   for (int64_t c = last; c < width; ++c) to[c] = from[p.column_source(c)];
                 }
               });
}

struct Item16 {
  uint64_t low, high;
};

void pad(void* out, const void* in, int64_t batch, int ndim, const int64_t* sizes, const int64_t* before,
         const int64_t* after, PadMode mode, int item_size) {
  Padding p(ndim, sizes, before, after, mode);
  auto run = [&]<class T>(T* to) { pad_of(to, static_cast<const T*>(in), batch, p); };
  switch (item_size) {
    case 1: return run(static_cast<uint8_t*>(out));
    case 2: return run(static_cast<uint16_t*>(out));
    case 4: return run(static_cast<uint32_t*>(out));
    case 8: return run(static_cast<uint64_t*>(out));
    default: return run(static_cast<Item16*>(out));
  }
}

// Batches are independent; within one the output rows are added in their order.
template <class T> void pad_backward_of(T* grad_in, const T* grad_out, int64_t batch, const Padding& p) {
  int64_t rows = p.rows(), width = p.out[2], first = p.first(), last = p.last();
  parallel_for(batch, at_least_one(kGrain / at_least_one(rows * width * int64_t(sizeof(T)))),
               [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
                 std::memset(grad_in + begin * p.in_count(), 0, (end - begin) * p.in_count() * sizeof(T));
                 for (int64_t r = begin * rows; r < end * rows; ++r) {
                   const T* __restrict from = grad_out + r * width;
                   T* __restrict to = grad_in + r / rows * p.in_count() + p.row_source(r % rows);
                   for (int64_t c = 0; c < first; ++c) to[p.column_source(c)] += from[c];
                   for (int64_t c = first; c < last; ++c) to[c - p.before[2]] += from[c];
                   for (int64_t c = last; c < width; ++c) to[p.column_source(c)] += from[c];
                 }
               });
}

void pad_backward(DType dtype, void* grad_in, const void* grad_out, int64_t batch, int ndim, const int64_t* sizes,
                  const int64_t* before, const int64_t* after, PadMode mode) {
  Padding p(ndim, sizes, before, after, mode);
  if (dtype == DType::Float32) {
    pad_backward_of(static_cast<float*>(grad_in), static_cast<const float*>(grad_out), batch, p);
  } else {
    pad_backward_of(static_cast<double*>(grad_in), static_cast<const double*>(grad_out), batch, p);
  }
}

int64_t repeat_total(const int64_t* repeats, int64_t n) {
  int64_t total = 0, negative = 0;
  for (int64_t i = 0; i < n; ++i) {
    total += repeats[i];
    negative |= repeats[i] >> 63;
  }
  return negative ? -1 : total;
}

void repeat_positions(int64_t* out, const int64_t* repeats, int64_t n) {
  constexpr int64_t kChunk = 4096;
  int64_t chunks = (n + kChunk - 1) / kChunk;
  size_t bytes = (chunks + 1) * sizeof(int64_t);
  int64_t* start = static_cast<int64_t*>(allocate(bytes));
  start[0] = 0;
  for (int64_t c = 0; c < chunks; ++c) {
    int64_t begin = c * kChunk;
    start[c + 1] = start[c] + repeat_total(repeats + begin, n - begin < kChunk ? n - begin : kChunk);
  }
  parallel_for(n, kChunk, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    int64_t* to = out + start[begin / kChunk];
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t k = 0; k < repeats[i]; ++k) *to++ = i;
    }
  });
  deallocate(start, bytes);
}

}  // namespace

const MovementKernels kMovementKernels = {triangle, pad, pad_backward, repeat_total, repeat_positions};

}  // namespace flambeau::kernels::FLAMBEAU_ISA
