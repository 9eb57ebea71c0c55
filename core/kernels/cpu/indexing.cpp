// Gathering and scattering. Bounds are tested a block at a time before the block is used; which index was the first bad
// one is found by a second, cold scan. Work that adds into shared rows is divided by destination, never by source, so
// that every element is summed in the order of the list for any number of threads.
#pragma GCC optimize("tree-vectorize,vect-cost-model=dynamic")
#include "kernels/cpu/indexing_parts.h"
#include "base/allocator.h"
#include "base/parallel.h"
#include <atomic>

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

constexpr int kMaxDims = 64;
constexpr int64_t kBlock = 1024;       // indices tested together
constexpr int64_t kGrain = 128 << 10;  // bytes of a chunk

// Whether all of n indices (step apart) lie in [low, size).
[[gnu::noinline]] bool all_within(const int64_t* index, int64_t step, int64_t n, int64_t low, int64_t size) {
  const uint64_t first = uint64_t(low), span = uint64_t(size) - first;
  uint64_t worst = 0;
  if (step == 1) {
    for (int64_t i = 0; i < n; ++i) worst |= uint64_t(index[i]) - first >= span;
  } else {
    for (int64_t i = 0; i < n; ++i) worst |= uint64_t(index[i * step]) - first >= span;
  }
  return worst == 0;
}

BadIndex first_outside(const int64_t* index, int64_t n, int64_t low, int64_t size, int64_t skip = -1) {
  for (int64_t i = 0; i < n; ++i) {
    if ((index[i] < low || index[i] >= size) && !(skip >= 0 && index[i] == skip)) return {i, index[i], 0};
  }
  return {};
}

// Row-major scan of a strided index tensor.
BadIndex first_outside(int ndim, const int64_t* sizes, const int64_t* strides, const int64_t* index, int64_t low,
                       int64_t size) {
  int64_t total = 1;
  for (int k = 0; k < ndim; ++k) total *= sizes[k];
  for (int64_t i = 0; i < total; ++i) {
    int64_t rest = i, offset = 0;
    for (int k = ndim - 1; k >= 0; --k) offset += rest % sizes[k] * strides[k], rest /= sizes[k];
    if (index[offset] < low || index[offset] >= size) return {i, index[offset], 0};
  }
  return {};
}

// ---- gather and scatter along a dimension ----

// Dimensions innermost first, with the strides of the index, of the other side, and of the data (zero along `dim`).
struct Walk {
  int ndim = 0;
  int64_t size[kMaxDims], index[kMaxDims], other[kMaxDims], data[kMaxDims];
  int64_t dim_step;  // stride of the data along the indexed dimension
  int64_t dim_size;

  void push(int64_t n, int64_t i, int64_t o, int64_t d) {
    if (n == 1) return;
    int k = ndim - 1;
    if (k >= 0 && i == index[k] * size[k] && o == other[k] * size[k] && d == data[k] * size[k]) {
      size[k] *= n;
      return;
    }
    size[ndim] = n, index[ndim] = i, other[ndim] = o, data[ndim++] = d;
  }
  int64_t count(int from) const {
    int64_t n = 1;
    for (int k = from; k < ndim; ++k) n *= size[k];
    return n;
  }
  void offsets(int from, int64_t position, int64_t& i, int64_t& o, int64_t& d) const {
    i = o = d = 0;
    for (int k = from; k < ndim; ++k) {
      int64_t at = position % size[k];
      position /= size[k];
      i += at * index[k], o += at * other[k], d += at * data[k];
    }
  }
};

// One patch of n1 x n0: data at index * step + j * d1 + i * d0.
struct Patch {
  int64_t n0, i0, o0, d0, n1, i1, o1, d1, step, size;
};

// Random accesses to a row that is not in the cache wait for every line; if most of its lines will be used, asking for
// the next row early turns them into a stream.
FLAMBEAU_INLINE void prefetch_next_row(const char* row, const Patch& p, int64_t item, int64_t j) {
  int64_t bytes = p.size * p.step * item;
  if (p.d0 != 0 || j + 1 >= p.n1 || bytes > (16 << 10) || p.n0 * 64 < bytes || p.d1 * item < bytes) return;
  for (int64_t k = 0; k < bytes; k += 64) __builtin_prefetch(row + p.d1 * item + k);
}

// The gather and scatter instructions are slower than their scalar loops on Zen, so the vectoriser stays out.
template <class T>
[[gnu::optimize("no-tree-vectorize")]] bool gather_patch(T* out, const T* src, const int64_t* index, const Patch& p) {
  for (int64_t j = 0; j < p.n1; ++j, out += p.o1, src += p.d1, index += p.i1) {
    prefetch_next_row(reinterpret_cast<const char*>(src), p, sizeof(T), j);
    for (int64_t begin = 0; begin < p.n0; begin += kBlock) {
      int64_t n = p.n0 - begin < kBlock ? p.n0 - begin : kBlock;
      const int64_t* at = index + begin * p.i0;
      if (!all_within(at, p.i0, n, 0, p.size)) return false;
      T* __restrict to = out + begin * p.o0;
      const T* from = src + begin * p.d0;
      if (p.i0 == 1 && p.o0 == 1 && p.d0 == 0) {
        if (p.step == 1) {
          for (int64_t i = 0; i < n; ++i) to[i] = from[at[i]];
        } else {
          for (int64_t i = 0; i < n; ++i) to[i] = from[at[i] * p.step];
        }
      } else {
        for (int64_t i = 0; i < n; ++i) to[i * p.o0] = from[at[i * p.i0] * p.step + i * p.d0];
      }
    }
  }
  return true;
}

BadIndex gather(const AlongDim& along, void* out, const void* src, const int64_t* index, int item_size) {
  Walk w;
  w.dim_step = along.ndim ? along.data_strides[along.dim] : 1;
  w.dim_size = along.data_size;
  for (int k = along.ndim - 1; k >= 0; --k) {
    if (along.sizes[k] == 0) return {};
    w.push(along.sizes[k], along.index_strides[k], along.other_strides[k], k == along.dim ? 0 : along.data_strides[k]);
  }
  if (w.ndim == 0) w.size[0] = 1, w.index[0] = w.other[0] = w.data[0] = 0, w.ndim = 1;
  if (w.ndim == 1) w.size[1] = 1, w.index[1] = w.other[1] = w.data[1] = 0, w.ndim = 2;
  // pieces of the two innermost dimensions for all positions of the others
  int64_t n0 = w.size[0], n1 = w.size[1], step0 = n0 < 8192 ? n0 : 8192, step1 = at_least_one(8192 / step0);
  int64_t pieces0 = (n0 + step0 - 1) / step0, pieces = pieces0 * ((n1 + step1 - 1) / step1);
  std::atomic<bool> bad{false};
  parallel_for(pieces * w.count(2), 2, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    for (int64_t t = begin; t < end; ++t) {
      int64_t i, o, d, a = t % pieces % pieces0 * step0, b = t % pieces / pieces0 * step1;
      w.offsets(2, t / pieces, i, o, d);
      i += a * w.index[0] + b * w.index[1], o += a * w.other[0] + b * w.other[1], d += a * w.data[0] + b * w.data[1];
      Patch p{n0 - a < step0 ? n0 - a : step0,
              w.index[0],
              w.other[0],
              w.data[0],
              n1 - b < step1 ? n1 - b : step1,
              w.index[1],
              w.other[1],
              w.data[1],
              w.dim_step,
              w.dim_size};
      by_item(item_size, [&]<class T>() {
        if (!gather_patch(static_cast<T*>(out) + o, static_cast<const T*>(src) + d, index + i, p)) {
          bad.store(true, std::memory_order_relaxed);
        }
      });
    }
  });
  if (!bad.load()) return {};
  return first_outside(along.ndim, along.sizes, along.index_strides, index, 0, along.data_size);
}

// The operations: each combines an element of the destination with one of the source.
struct Assign {
  template <class T> static FLAMBEAU_INLINE T apply(T, T s) { return s; }
};
struct Sum {
  template <class T> static FLAMBEAU_INLINE T apply(T d, T s) {
    if constexpr (std::is_integral_v<T>)
      return T(std::make_unsigned_t<T>(d) + std::make_unsigned_t<T>(s));
    else
      return d + s;
  }
  template <class R> static FLAMBEAU_INLINE Complex<R> apply(Complex<R> d, Complex<R> s) {
    return {d.re + s.re, d.im + s.im};
  }
};
struct Prod {
  template <class T> static FLAMBEAU_INLINE T apply(T d, T s) {
    if constexpr (std::is_integral_v<T>)
      return T(uint64_t(d) * uint64_t(s));
    else
      return d * s;
  }
  template <class R> static FLAMBEAU_INLINE Complex<R> apply(Complex<R> d, Complex<R> s) {
    return {d.re * s.re - d.im * s.im, d.re * s.im + d.im * s.re};
  }
};
struct Max {
  template <class T> static FLAMBEAU_INLINE T apply(T d, T s) { return s > d || s != s ? s : d; }
};
struct Min {
  template <class T> static FLAMBEAU_INLINE T apply(T d, T s) { return s < d || s != s ? s : d; }
};
template <class Op, class T> FLAMBEAU_INLINE T combine(T d, T s) {
  if constexpr (std::is_same_v<Op, Assign>)
    return s;
  else if constexpr (std::is_same_v<T, Half>)
    return to_half(Op::apply(to_float(d), to_float(s)));
  else if constexpr (std::is_same_v<T, BFloat16>)
    return to_bfloat16(Op::apply(to_float(d), to_float(s)));
  else
    return Op::apply(d, s);
}

template <class T, class Op>
[[gnu::optimize("no-tree-vectorize")]] bool scatter_patch(void* dst, const void* src, const int64_t* index,
                                                          const Patch& p) {
  T* to = static_cast<T*>(dst);
  const T* from = static_cast<const T*>(src);
  for (int64_t j = 0; j < p.n1; ++j, from += p.o1, to += p.d1, index += p.i1) {
    prefetch_next_row(reinterpret_cast<const char*>(to), p, sizeof(T), j);
    for (int64_t begin = 0; begin < p.n0; begin += kBlock) {
      int64_t end = p.n0 - begin < kBlock ? p.n0 : begin + kBlock;
      if (!all_within(index + begin * p.i0, p.i0, end - begin, 0, p.size)) return false;
      for (int64_t i = begin; i < end; ++i) {
        T* d = to + index[i * p.i0] * p.step + i * p.d0;
        *d = combine<Op>(*d, from[i * p.o0]);
      }
    }
  }
  return true;
}

using ScatterPatch = bool (*)(void*, const void*, const int64_t*, const Patch&);

template <class T> ScatterPatch patch_of(ScatterOp op) {
  if (op == ScatterOp::Sum) return scatter_patch<T, Sum>;
  if (op == ScatterOp::Prod) return scatter_patch<T, Prod>;
  if constexpr (!std::is_same_v<T, Complex64> && !std::is_same_v<T, Complex128>) {
    if (op == ScatterOp::Max) return scatter_patch<T, Max>;
    if (op == ScatterOp::Min) return scatter_patch<T, Min>;
  }
  return nullptr;
}

ScatterPatch scatter_patch_for(DType dtype, ScatterOp op) {
  if (op == ScatterOp::Assign) {
    ScatterPatch result = nullptr;
    by_item(item_size(dtype), [&]<class T>() { result = scatter_patch<T, Assign>; });
    return result;
  }
  if (dtype == DType::Bool) {  // or and and are maximum and minimum of 0 and 1
    dtype = DType::UInt8;
    if (op == ScatterOp::Sum) op = ScatterOp::Max;
    if (op == ScatterOp::Prod) op = ScatterOp::Min;
  }
  switch (dtype) {
    case DType::UInt8: return patch_of<uint8_t>(op);
    case DType::Int8: return patch_of<int8_t>(op);
    case DType::Int16: return patch_of<int16_t>(op);
    case DType::Int32: return patch_of<int32_t>(op);
    case DType::Int64: return patch_of<int64_t>(op);
    case DType::Float16: return patch_of<Half>(op);
    case DType::BFloat16: return patch_of<BFloat16>(op);
    case DType::Float32: return patch_of<float>(op);
    case DType::Float64: return patch_of<double>(op);
    case DType::Complex64: return patch_of<Complex64>(op);
    default: return patch_of<Complex128>(op);
  }
}

// The neutral element of an operation as bytes of the dtype.
void neutral_element(DType dtype, ScatterOp op, void* out) {
  std::memset(out, 0, 16);
  if (op == ScatterOp::Sum) return;
  auto put = [&](auto value) { std::memcpy(out, &value, sizeof(value)); };
  bool largest = op == ScatterOp::Min;
  double extreme = op == ScatterOp::Prod ? 1 : largest ? __builtin_inf() : -__builtin_inf();
  switch (dtype) {
    case DType::Float16: return put(to_half(float(extreme)));
    case DType::BFloat16: return put(to_bfloat16(float(extreme)));
    case DType::Float32:
    case DType::Complex64: return put(float(extreme));
    case DType::Float64:
    case DType::Complex128: return put(extreme);
    default: break;
  }
  int bits = dtype == DType::Bool ? 1 : 8 * int(item_size(dtype));
  bool is_signed = dtype != DType::Bool && dtype != DType::UInt8;
  uint64_t top = uint64_t(1) << (bits - 1), low = is_signed ? top : 0, high = is_signed ? top - 1 : top + (top - 1);
  uint64_t value = op == ScatterOp::Prod ? 1 : largest ? high : low;
  std::memcpy(out, &value, item_size(dtype));
}

bool scatter_all(const Walk& w, int64_t m, int64_t index_step, int64_t other_step, DType dtype, ScatterOp op, void* dst,
                 const void* src, const int64_t* index) {
  // Lanes (positions of the other dimensions) are independent; within a lane the list is walked in order.
  ScatterPatch apply = scatter_patch_for(dtype, op);
  int64_t item = item_size(dtype);
  bool along_first = w.ndim == 0 || index_step < w.index[0];  // the indexed dimension is the inner loop
  int64_t lanes = w.ndim ? w.size[0] : 1, i0 = w.ndim ? w.index[0] : 0, o0 = w.ndim ? w.other[0] : 0;
  int64_t d0 = w.ndim ? w.data[0] : 0;
  int64_t step = along_first ? at_least_one(4096 / m) : lanes < 512 ? lanes : 512;
  int64_t pieces = (lanes + step - 1) / step;
  std::atomic<bool> bad{false};
  parallel_for(
      pieces * w.count(1), at_least_one(8192 / at_least_one(step * m)), [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
        for (int64_t t = begin; t < end; ++t) {
          int64_t i, o, d, a = t % pieces * step, n = lanes - a < step ? lanes - a : step;
          w.offsets(1, t / pieces, i, o, d);
          i += a * i0, o += a * o0, d += a * d0;
          Patch p = along_first ? Patch{m, index_step, other_step, 0, n, i0, o0, d0, w.dim_step, w.dim_size}
                                : Patch{n, i0, o0, d0, m, index_step, other_step, 0, w.dim_step, w.dim_size};
          if (!apply(static_cast<char*>(dst) + d * item, static_cast<const char*>(src) + o * item, index + i, p)) {
            bad.store(true, std::memory_order_relaxed);
          }
        }
      });
  return !bad.load();
}

BadIndex scatter(const AlongDim& along, DType dtype, ScatterOp op, bool include_self, void* dst, const void* src,
                 const int64_t* index) {
  Walk w, neutral;
  w.dim_step = along.ndim ? along.data_strides[along.dim] : 1;
  w.dim_size = along.data_size;
  for (int k = along.ndim - 1; k >= 0; --k) {
    if (along.sizes[k] == 0) return {};
    if (k == along.dim) continue;
    w.push(along.sizes[k], along.index_strides[k], along.other_strides[k], along.data_strides[k]);
  }
  int64_t m = along.ndim ? along.sizes[along.dim] : 1;
  int64_t index_step = along.ndim ? along.index_strides[along.dim] : 0;
  bool fine = true;
  if (!include_self && op != ScatterOp::Assign) {
    alignas(16) char value[16];
    neutral_element(dtype, op, value);
    neutral = w;
    for (int k = 0; k < neutral.ndim; ++k) neutral.other[k] = 0;
    fine = scatter_all(neutral, m, index_step, 0, dtype, ScatterOp::Assign, dst, value, index);
  }
  if (fine) {
    fine = scatter_all(w, m, index_step, along.ndim ? along.other_strides[along.dim] : 0, dtype, op, dst, src, index);
  }
  if (fine) return {};
  return first_outside(along.ndim, along.sizes, along.index_strides, index, 0, along.data_size);
}

// ---- whole rows by index ----

FLAMBEAU_INLINE int64_t wrapped(int64_t index, int64_t size) { return index < 0 ? index + size : index; }

BadIndex select_rows(const BlockRows& rows, void* out, const void* src, const int64_t* index, int64_t n, int64_t size,
                     bool wrap, int item_size) {
  int64_t bytes = rows.block * item_size;
  if (n == 0 || rows.outer == 0 || bytes == 0) return first_outside(index, n, wrap ? -size : 0, size);
  std::atomic<bool> bad{false};
  int64_t least = at_least_one(kGrain / (bytes + 32)), share = (rows.outer * n + num_threads() - 1) / num_threads();
  while (share * bytes > (4 << 20)) share = (share + 1) / 2;  // moving has the same bits however it is cut
  parallel_for(rows.outer * n, share > least ? share : least, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    while (begin < end) {  // the part of one outer position
      int64_t o = begin / n, i = begin % n, stop = end - begin < n - i ? i + (end - begin) : n;
      const char* from = static_cast<const char*>(src) + o * rows.data_outer;
      char* to = static_cast<char*>(out) + (o * n + i) * bytes;
      begin += stop - i;
      for (; i < stop; i += kBlock) {
        int64_t count = stop - i < kBlock ? stop - i : kBlock;
        const int64_t* at = index + i;
        if (!all_within(at, 1, count, wrap ? -size : 0, size)) return bad.store(true, std::memory_order_relaxed);
        if (bytes <= 16 && (bytes & (bytes - 1)) == 0) {
          by_item(bytes, [&]<class T>() {
            for (int64_t k = 0; k < count; ++k, to += sizeof(T)) {
              std::memcpy(to, from + wrapped(at[k], size) * rows.data_row, sizeof(T));
            }
          });
        } else {
          for (int64_t k = 0; k < count; ++k, to += bytes) {
            if (k + 2 < count) __builtin_prefetch(from + wrapped(at[k + 2], size) * rows.data_row);
            std::memcpy(to, from + wrapped(at[k], size) * rows.data_row, bytes);
          }
        }
      }
    }
  });
  if (!bad.load()) return {};
  return first_outside(index, n, wrap ? -size : 0, size);
}

// What happens to a row: `count` items of src go to dst. alpha: a scale, or null.
using RowOp = void (*)(char* dst, const char* src, int64_t count, const void* alpha);

// Calls apply for every list entry, so that rows which coincide are met in the order of the list. Work is divided over
// outer positions, over columns of long blocks, or over ranges of the destination whose list entries are collected by a
// counting sort.
void for_rows(const BlockRows& rows, void* dst, const void* src, const int64_t* index, int64_t n, int64_t size,
              int64_t item, int64_t skip, RowOp apply, const void* alpha) {
  char* to = static_cast<char*>(dst);
  const char* from = static_cast<const char*>(src);
  int64_t src_outer = rows.one_value ? 0 : rows.src_outer, src_row = rows.one_value ? 0 : rows.src_row;
  int64_t bytes = rows.block * item, whole = n * bytes;
  auto one = [&](char* d, const char* s, int64_t i, int64_t first, int64_t count) {
    if (index[i] == skip && skip >= 0) return;
    apply(d + wrapped(index[i], size) * rows.data_row + first * item,
          rows.one_value ? s : s + i * src_row + first * item, count, alpha);
  };
  constexpr int64_t kPiece = 16 << 10, kBuckets = 16;
  if (rows.outer >= kBuckets || whole * rows.outer <= kGrain || bytes >= kPiece) {
    int64_t step = bytes >= kPiece ? kPiece / item : rows.block, pieces = (rows.block + step - 1) / step;
    parallel_for(rows.outer * pieces, at_least_one(kGrain / at_least_one(n * step * item)),
                 [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
                   for (int64_t t = begin; t < end; ++t) {
                     int64_t o = t / pieces, first = t % pieces * step;
                     int64_t count = rows.block - first < step ? rows.block - first : step;
                     char* d = to + o * rows.data_outer;
                     const char* s = from + o * src_outer;
                     for (int64_t i = 0; i < n; ++i) one(d, s, i, first, count);
                   }
                 });
    return;
  }
  int64_t range = (size + kBuckets - 1) / kBuckets;
  double scale = 1.0 / double(range);  // size < 2^52, and any monotonic rule keeps equal rows together
  int64_t start[kBuckets + 2] = {};
  ScratchOf<int64_t> list(n);
  ScratchOf<uint8_t> bucket(n);
  for (int64_t i = 0; i < n; ++i) {
    int64_t b = int64_t(double(wrapped(index[i], size)) * scale);
    bucket[i] = uint8_t(b < kBuckets ? b : kBuckets - 1);
    ++start[bucket[i] + 2];
  }
  for (int b = 2; b < kBuckets + 2; ++b) start[b] += start[b - 1];
  for (int64_t i = 0; i < n; ++i) list[start[bucket[i] + 1]++] = i;
  parallel_for(rows.outer * kBuckets, 1, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    for (int64_t t = begin; t < end; ++t) {
      int64_t b = t % kBuckets, o = t / kBuckets;
      for (int64_t k = start[b]; k < start[b + 1]; ++k) {
        if (k + 2 < start[b + 1]) __builtin_prefetch(from + o * src_outer + list[k + 2] * src_row);
        one(to + o * rows.data_outer, from + o * src_outer, list[k], 0, rows.block);
      }
    }
  });
}

BadIndex check_list(const int64_t* index, int64_t n, int64_t size, bool wrap, int64_t skip) {
  std::atomic<bool> bad{false};
  parallel_for(n, 1 << 16, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    if (!all_within(index + begin, 1, end - begin, wrap ? -size : 0, size)) bad.store(true, std::memory_order_relaxed);
  });
  return bad.load() ? first_outside(index, n, wrap ? -size : 0, size, skip) : BadIndex{};
}

template <class T> void set_items(char* dst, const char* src, int64_t count, const void*) {
  T value;
  std::memcpy(&value, src, sizeof(T));
  for (int64_t k = 0; k < count; ++k) std::memcpy(dst + k * sizeof(T), &value, sizeof(T));
}
template <class T> void copy_items(char* dst, const char* src, int64_t count, const void*) {
  std::memcpy(dst, src, count * sizeof(T));
}

BadIndex assign_rows(const BlockRows& rows, void* dst, const void* src, const int64_t* index, int64_t n, int64_t size,
                     bool wrap, int item_size) {
  BadIndex bad = check_list(index, n, size, wrap, -1);
  if (!bad.ok() || n == 0 || rows.block == 0) return bad;
  RowOp apply = nullptr;
  by_item(item_size, [&]<class T>() { apply = rows.block == 1 || rows.one_value ? set_items<T> : copy_items<T>; });
  for_rows(rows, dst, src, index, n, size, item_size, -1, apply, nullptr);
  return {};
}

template <class T> FLAMBEAU_INLINE T scaled(T alpha, T s) {
  if constexpr (std::is_same_v<T, Half>)
    return to_half(to_float(alpha) * to_float(s));
  else if constexpr (std::is_same_v<T, BFloat16>)
    return to_bfloat16(to_float(alpha) * to_float(s));
  else
    return Prod::apply(alpha, s);
}

template <class T, bool OneValue> void add_items(char* dst, const char* src, int64_t count, const void* alpha) {
  T* __restrict to = reinterpret_cast<T*>(dst);
  const T* __restrict from = reinterpret_cast<const T*>(src);
  if constexpr (OneValue) {
    T value = alpha ? scaled(*static_cast<const T*>(alpha), *from) : *from;
    for (int64_t k = 0; k < count; ++k) to[k] = combine<Sum>(to[k], value);
  } else if (alpha) {
    T scale = *static_cast<const T*>(alpha);
    for (int64_t k = 0; k < count; ++k) to[k] = combine<Sum>(to[k], scaled(scale, from[k]));
  } else {
    for (int64_t k = 0; k < count; ++k) to[k] = combine<Sum>(to[k], from[k]);
  }
}

template <bool OneValue> void or_items(char* dst, const char* src, int64_t count, const void*) {
  for (int64_t k = 0; k < count; ++k) dst[k] |= src[OneValue ? 0 : k];
}

BadIndex add_rows(const BlockRows& rows, DType dtype, void* dst, const void* src, const int64_t* index, int64_t n,
                  int64_t size, bool wrap, const void* alpha, int64_t skip) {
  BadIndex bad = check_list(index, n, size, wrap, skip);
  if (!bad.ok() || n == 0 || rows.block == 0) return bad;
  RowOp apply = nullptr;
  visit_dtype(dtype == DType::Int8 ? DType::UInt8 : dtype, [&]<class T>() {
    if constexpr (std::is_same_v<T, bool>) {
      apply = rows.one_value ? or_items<true> : or_items<false>;
    } else if constexpr (!std::is_same_v<T, int8_t>) {  // wraps like its unsigned twin
      apply = rows.one_value ? add_items<T, true> : add_items<T, false>;
    }
  });
  if (dtype == DType::Bool && alpha && !*static_cast<const bool*>(alpha)) return {};
  for_rows(rows, dst, src, index, n, size, item_size(dtype), skip, apply, alpha);
  return {};
}

BadIndex offsets_of_indices(int ndim, const int64_t* shape, int count, const int64_t* const* index,
                            const int64_t* const* index_strides, const int64_t* dim_sizes, const int64_t* dim_strides,
                            int64_t* offsets) {
  int64_t inner = ndim ? shape[ndim - 1] : 1, outer = 1;
  for (int k = 0; k + 1 < ndim; ++k) outer *= shape[k];
  if (inner == 0) return {};
  std::atomic<bool> bad{false};
  parallel_for(outer * inner, 16 << 10, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    while (begin < end) {
      int64_t row = begin / inner, at = begin % inner, n = end - begin < inner - at ? end - begin : inner - at;
      for (int t = 0; t < count; ++t) {
        int64_t rest = row, offset = ndim ? at * index_strides[t][ndim - 1] : 0;
        for (int k = ndim - 2; k >= 0; --k) offset += rest % shape[k] * index_strides[t][k], rest /= shape[k];
        const int64_t* from = index[t] + offset;
        int64_t size = dim_sizes[t], stride = dim_strides[t], step = ndim ? index_strides[t][ndim - 1] : 0;
        int64_t* __restrict to = offsets + begin;
        if (!all_within(from, step, n, -size, size)) bad.store(true, std::memory_order_relaxed);
        if (t == 0) {
          for (int64_t i = 0; i < n; ++i) to[i] = wrapped(from[i * step], size) * stride;
        } else {
          for (int64_t i = 0; i < n; ++i) to[i] += wrapped(from[i * step], size) * stride;
        }
      }
      begin += n;
    }
  });
  if (!bad.load()) return {};
  for (int t = 0; t < count; ++t) {
    BadIndex found = first_outside(ndim, shape, index_strides[t], index[t], -dim_sizes[t], dim_sizes[t]);
    found.which = t;
    if (!found.ok()) return found;
  }
  return {};
}

}  // namespace

const IndexingKernels kIndexingKernels = {
    gather,         scatter, select_rows, assign_rows,       add_rows, offsets_of_indices, count_mask, masked_select,
    masked_scatter, nonzero, bincount,    bincount_weighted, histc,    searchsorted};

}  // namespace flambeau::kernels::FLAMBEAU_ISA
