// The universal copy: dimensions are put in the destination's order and coalesced, then one of four walks does the work
// (whole rows, blocked transposition, strided items by size, conversion through tiles that stay in the L1 cache).
// -O2 of GCC 12 vectorises only loops whose length it knows.
#pragma GCC optimize("tree-vectorize,vect-cost-model=dynamic")
#include "kernels/cpu/copy_parts.h"
#include "kernels/cpu/vector.h"
#include "base/parallel.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

constexpr int kMaxDims = 64;
constexpr int64_t kGrain = 128 << 10;  // bytes of a chunk of copying

struct Item16 {
  uint64_t low, high;
};

// ---- streaming stores ----

typedef uint64_t Wide __attribute__((vector_size(kVectorBytes), aligned(1), may_alias));

FLAMBEAU_INLINE void stream(void* dst, Wide value) {  // dst aligned to the vector
#if defined(FLAMBEAU_ISA_v4)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(dst), (__m512i)value);
#elif defined(FLAMBEAU_ISA_v3)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(dst), (__m256i)value);
#elif defined(__SSE2__)
  _mm_stream_si128(reinterpret_cast<__m128i*>(dst), (__m128i)value);
#else
  *static_cast<Wide*>(dst) = value;
#endif
}

FLAMBEAU_INLINE void stream_end() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// Outputs beyond half of the last-level cache would only push everything else out of it.
bool worth_streaming(int64_t bytes) { return bytes > int64_t(cpu_features().l3 / 2); }

// n bytes; whole vectors with an overlapping last one, since memcpy takes its slow string instruction for middling
// sizes.
void copy_run(char* dst, const char* src, int64_t n, bool streaming) {
  if (n < 64 || (!streaming && n > (1 << 20))) return void(std::memcpy(dst, src, n));
  auto move64 = [&](int64_t i) {
    Wide w[64 / kVectorBytes];
    for (int k = 0; k < 64 / kVectorBytes; ++k) w[k] = *reinterpret_cast<const Wide*>(src + i + k * kVectorBytes);
    for (int k = 0; k < 64 / kVectorBytes; ++k) *reinterpret_cast<Wide*>(dst + i + k * kVectorBytes) = w[k];
  };
  int64_t i = 0;
  if (streaming && n >= 512) {
    move64(0);
    for (i = 64 - (reinterpret_cast<uintptr_t>(dst) & 63); i + 64 <= n; i += 64) {
      for (int k = 0; k < 64; k += kVectorBytes) stream(dst + i + k, *reinterpret_cast<const Wide*>(src + i + k));
    }
    stream_end();
  } else {
    for (; i + 256 <= n; i += 256) move64(i), move64(i + 64), move64(i + 128), move64(i + 192);
    for (; i + 64 <= n; i += 64) move64(i);
  }
  if (i < n) move64(n - 64);
}

// n bytes of a pattern of 64 whose period divides the offset of every position that is written.
void fill_run(char* dst, const char* pattern, int64_t n, bool streaming) {
  Wide wide[64 / kVectorBytes];
  std::memcpy(wide, pattern, 64);
  int64_t i = 0;
  if (streaming && (reinterpret_cast<uintptr_t>(dst) & 63) == 0) {
    for (; i + 64 <= n; i += 64) {
      for (int k = 0; k < 64 / kVectorBytes; ++k) stream(dst + i + k * kVectorBytes, wide[k]);
    }
    stream_end();
  } else {
    for (; i + 64 <= n; i += 64) {
      for (int k = 0; k < 64 / kVectorBytes; ++k) *reinterpret_cast<Wide*>(dst + i + k * kVectorBytes) = wide[k];
    }
  }
  std::memcpy(dst + i, pattern, n - i);
}

// ---- strided items ----

// An n1 x n0 patch of items; the strides are in bytes.
struct Patch {
  int64_t n0, d0, s0, n1, d1, s1;
};

template <class T> void copy_patch_of(char* dst, const char* src, const Patch& p) {
  constexpr int64_t size = sizeof(T);
  for (int64_t j = 0; j < p.n1; ++j, dst += p.d1, src += p.s1) {
    char* __restrict d = dst;
    const char* __restrict s = src;
    if (p.s0 == 0) {
      T value;
      std::memcpy(&value, s, size);
      if (p.d0 == size) {
        for (int64_t i = 0; i < p.n0; ++i) std::memcpy(d + i * size, &value, size);
      } else {
        for (int64_t i = 0; i < p.n0; ++i) std::memcpy(d + i * p.d0, &value, size);
      }
    } else if (p.d0 == size) {
      for (int64_t i = 0; i < p.n0; ++i) std::memcpy(d + i * size, s + i * p.s0, size);
    } else if (p.s0 == size) {
      for (int64_t i = 0; i < p.n0; ++i) std::memcpy(d + i * p.d0, s + i * size, size);
    } else {
      for (int64_t i = 0; i < p.n0; ++i) std::memcpy(d + i * p.d0, s + i * p.s0, size);
    }
  }
}

void copy_patch(char* dst, const char* src, const Patch& p, int64_t item) {
  switch (item) {
    case 1: return copy_patch_of<uint8_t>(dst, src, p);
    case 2: return copy_patch_of<uint16_t>(dst, src, p);
    case 4: return copy_patch_of<uint32_t>(dst, src, p);
    case 8: return copy_patch_of<uint64_t>(dst, src, p);
    default: return copy_patch_of<Item16>(dst, src, p);
  }
}

void gather_tile(void* tile, int64_t count, const void* src, int64_t stride, int64_t item) {
  copy_patch(static_cast<char*>(tile), static_cast<const char*>(src), {count, item, stride, 1, 0, 0}, item);
}

void load_tile(void* tile, DType tile_dtype, int64_t count, const void* src, int64_t stride, DType src_dtype) {
  int64_t item = item_size(src_dtype);
  if (stride == item) return convert_some(tile, tile_dtype, src, src_dtype, count);
  if (stride == 0) {
    alignas(16) char value[16];
    convert_some(value, tile_dtype, src, src_dtype, 1);
    return gather_tile(tile, count, value, 0, item_size(tile_dtype));
  }
  if (same_bytes(tile_dtype, src_dtype)) return gather_tile(tile, count, src, stride, item);
  alignas(64) char raw[kTile * 16];
  char* out = static_cast<char*>(tile);
  const char* in = static_cast<const char*>(src);
  for (int64_t i = 0; i < count; i += kTile) {
    int64_t n = count - i < kTile ? count - i : kTile;
    gather_tile(raw, n, in + i * stride, stride, item);
    convert_some(out + i * item_size(tile_dtype), tile_dtype, raw, src_dtype, n);
  }
}

void store_tile(void* dst, int64_t stride, DType dst_dtype, int64_t count, const void* tile, DType tile_dtype) {
  int64_t item = item_size(dst_dtype), step = item_size(tile_dtype);
  if (stride == item) return convert_some(dst, dst_dtype, tile, tile_dtype, count);
  char* out = static_cast<char*>(dst);
  const char* in = static_cast<const char*>(tile);
  if (same_bytes(dst_dtype, tile_dtype)) return copy_patch(out, in, {count, stride, item, 1, 0, 0}, item);
  alignas(64) char raw[kTile * 16];
  for (int64_t i = 0; i < count; i += kTile) {
    int64_t n = count - i < kTile ? count - i : kTile;
    convert_some(raw, dst_dtype, in + i * step, tile_dtype, n);
    copy_patch(out + i * stride, raw, {n, stride, item, 1, 0, 0}, item);
  }
}

// ---- blocked transposition: dst[i, j] = src[j, i], j contiguous in dst and i contiguous in src ----

template <class T, int N> struct Square {
  typedef T Row __attribute__((vector_size(sizeof(T) * N), aligned(1), may_alias));

  // Exchanges the off-diagonal quarters of every 2W x 2W square: element j of row i goes to where bit W of both swaps.
  template <int W> static FLAMBEAU_INLINE void exchange(Row* r) {
    typedef T Mask __attribute__((vector_size(sizeof(T) * N)));
    Mask low, high;
    for (int j = 0; j < N; ++j) {
      low[j] = T((j & W) ? N + j - W : j);
      high[j] = T((j & W) ? N + j : j + W);
    }
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) {
      if (i & W) continue;
      Row a = r[i], b = r[i + W];
      r[i] = shuffled(a, b, low);
      r[i + W] = shuffled(a, b, high);
    }
  }

  template <bool Streaming>
  static FLAMBEAU_INLINE void transpose(char* dst, int64_t dst_row, const char* src, int64_t src_row) {
    Row r[N];
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) r[i] = *reinterpret_cast<const Row*>(src + i * src_row);
    if constexpr (N > 8) exchange<8>(r);
    if constexpr (N > 4) exchange<4>(r);
    if constexpr (N > 2) exchange<2>(r);
    exchange<1>(r);
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) {
      if constexpr (Streaming && sizeof(Row) == kVectorBytes)
        stream(dst + i * dst_row, (Wide)r[i]);
      else
        *reinterpret_cast<Row*>(dst + i * dst_row) = r[i];
    }
  }
};

// A block of `rows` x `columns` of dst. Source rows are taken 256 at a time by whole squares, so that the lines and
// pages of both sides are used up before they are left.
template <class T, int N, bool Streaming>
void transpose_block(char* dst, int64_t dst_row, const char* src, int64_t src_row, int64_t rows, int64_t columns) {
  constexpr int64_t size = sizeof(T);
  int64_t full_rows = rows / N * N, full_columns = columns / N * N;
  for (int64_t i = 0; i < full_rows; i += N) {
    for (int64_t j = 0; j < full_columns; j += N) {
      Square<T, N>::template transpose<Streaming>(dst + i * dst_row + j * size, dst_row, src + j * src_row + i * size,
                                                  src_row);
    }
  }
  if (full_rows < rows) {
    for (int64_t j = 0; j < full_columns; ++j) {
      for (int64_t i = full_rows; i < rows; ++i) {
        std::memcpy(dst + i * dst_row + j * size, src + j * src_row + i * size, size);
      }
    }
  }
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = full_columns; j < columns; ++j) {
      std::memcpy(dst + i * dst_row + j * size, src + j * src_row + i * size, size);
    }
  }
}

template <class T>
void transpose_items(char* dst, int64_t dst_row, const char* src, int64_t src_row, int64_t rows, int64_t columns,
                     bool streaming) {
  constexpr int N = kVectorBytes / int(sizeof(T)) < 16 ? kVectorBytes / int(sizeof(T)) : 16;
  if (streaming && N * sizeof(T) == kVectorBytes && ((reinterpret_cast<uintptr_t>(dst) | dst_row) & 63) == 0) {
    transpose_block<T, N, true>(dst, dst_row, src, src_row, rows, columns);
    stream_end();
  } else {
    transpose_block<T, N, false>(dst, dst_row, src, src_row, rows, columns);
  }
}

void transpose_some(char* dst, int64_t dst_row, const char* src, int64_t src_row, int64_t rows, int64_t columns,
                    int64_t item, bool streaming) {
  switch (item) {
    case 1: return transpose_items<uint8_t>(dst, dst_row, src, src_row, rows, columns, streaming);
    case 2: return transpose_items<uint16_t>(dst, dst_row, src, src_row, rows, columns, streaming);
    case 4: return transpose_items<uint32_t>(dst, dst_row, src, src_row, rows, columns, streaming);
    case 8: return transpose_items<uint64_t>(dst, dst_row, src, src_row, rows, columns, streaming);
    default: {
      for (int64_t j = 0; j < columns; j += 8) {
        int64_t n = columns - j < 8 ? columns - j : 8;
        copy_patch_of<Item16>(dst + j * 16, src + j * src_row, {n, 16, src_row, rows, dst_row, 16});
      }
    }
  }
}

// ---- the plan: dimensions in the destination's order, innermost first ----

struct Plan {
  int ndim = 0;
  int64_t size[kMaxDims], d[kMaxDims], s[kMaxDims];

  void remove(int k) {
    --ndim;
    for (; k < ndim; ++k) size[k] = size[k + 1], d[k] = d[k + 1], s[k] = s[k + 1];
  }
  int64_t count(int from) const {
    int64_t n = 1;
    for (int k = from; k < ndim; ++k) n *= size[k];
    return n;
  }
};

// Walks the dimensions from `from` outwards, starting at a linear position.
struct Odometer {
  const Plan& plan;
  int from;
  int64_t at[kMaxDims], d = 0, s = 0;

  Odometer(const Plan& plan, int from, int64_t position) : plan(plan), from(from) {
    for (int k = from; k < plan.ndim; ++k) {
      at[k] = position % plan.size[k];
      position /= plan.size[k];
      d += at[k] * plan.d[k];
      s += at[k] * plan.s[k];
    }
  }
  void next() {
    for (int k = from; k < plan.ndim; ++k) {
      d += plan.d[k];
      s += plan.s[k];
      if (++at[k] < plan.size[k]) return;
      d -= plan.size[k] * plan.d[k];
      s -= plan.size[k] * plan.s[k];
      at[k] = 0;
    }
  }
};

int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

// False when there is nothing to copy.
bool make_plan(Plan& plan, int ndim, const int64_t* sizes, const int64_t* dst_strides, const int64_t* src_strides) {
  for (int k = ndim - 1; k >= 0; --k) {
    if (sizes[k] == 0) return false;
    if (sizes[k] == 1) continue;
    int at = plan.ndim++;  // insertion sort by the destination's stride, the source's as the second key
    for (; at > 0; --at) {
      int64_t mine = magnitude(dst_strides[k]), theirs = magnitude(plan.d[at - 1]);
      if (theirs < mine || (theirs == mine && magnitude(plan.s[at - 1]) <= magnitude(src_strides[k]))) break;
      plan.size[at] = plan.size[at - 1], plan.d[at] = plan.d[at - 1], plan.s[at] = plan.s[at - 1];
    }
    plan.size[at] = sizes[k], plan.d[at] = dst_strides[k], plan.s[at] = src_strides[k];
  }
  for (int k = 0; k + 1 < plan.ndim;) {
    if (plan.d[k + 1] == plan.d[k] * plan.size[k] && plan.s[k + 1] == plan.s[k] * plan.size[k]) {
      int64_t merged = plan.size[k] * plan.size[k + 1];
      plan.remove(k + 1);
      plan.size[k] = merged;
    } else {
      ++k;
    }
  }
  return true;
}

// Units of `bytes` each per chunk. A copy has the same bits however it is cut, so the number of threads may count: each
// gets one contiguous part, which stays in its own cache from one operation to the next. Large ones are cut finer.
int64_t grain_for(int64_t total, int64_t bytes) {
  int64_t least = kGrain / bytes > 0 ? kGrain / bytes : 1, share = (total + num_threads() - 1) / num_threads();
  while (share * bytes > (4 << 20)) share = (share + 1) / 2;
  return share > least ? share : least;
}

// Pieces of the two innermost dimensions for all positions of the outer ones, spread over threads. f(d, s, a, na, b,
// nb) gets byte offsets of the outer position and a range of dimension `inner` and of dimension `second`.
template <class F> void for_patches(const Plan& plan, int64_t step0, int64_t step1, int64_t patch_bytes, const F& f) {
  int64_t n0 = plan.size[0], n1 = plan.ndim > 1 ? plan.size[1] : 1;
  int64_t pieces0 = (n0 + step0 - 1) / step0, pieces1 = (n1 + step1 - 1) / step1;
  int64_t patches = pieces0 * pieces1, total = patches * plan.count(2);
  parallel_for(total, grain_for(total, patch_bytes), [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    Odometer walk(plan, 2, begin / patches);
    int64_t patch = begin % patches;
    for (int64_t t = begin; t < end; ++t) {
      int64_t a = patch % pieces0 * step0, b = patch / pieces0 * step1;
      f(walk.d, walk.s, a, n0 - a < step0 ? n0 - a : step0, b, n1 - b < step1 ? n1 - b : step1);
      if (++patch == patches) patch = 0, walk.next();
    }
  });
}

int64_t clamp(int64_t x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : x; }

void copy_whole_rows(const Plan& plan, char* dst, const char* src, int64_t item) {
  bool streaming = worth_streaming(plan.count(0) * item);
  int64_t step0 = kGrain / item, row = (plan.size[0] < step0 ? plan.size[0] : step0) * item;
  int64_t step1 = clamp(kGrain / 4 / row, 1, 1 << 20);
  int64_t d1 = plan.ndim > 1 ? plan.d[1] : 0, s1 = plan.ndim > 1 ? plan.s[1] : 0;
  for_patches(plan, step0, step1, row * step1, [&](int64_t d, int64_t s, int64_t a, int64_t na, int64_t b, int64_t nb) {
    char* to = dst + d + a * item + b * d1;
    const char* from = src + s + a * item + b * s1;
    for (int64_t j = 0; j < nb; ++j, to += d1, from += s1) {
      copy_run(to, from, na * item, streaming);
    }
  });
}

void copy_transposed(Plan& plan, char* dst, const char* src, int64_t item, int source_dim) {
  // dimension 0 is contiguous in dst; bring the one that is contiguous in src to place 1
  int64_t n = plan.size[source_dim], d = plan.d[source_dim], s = plan.s[source_dim];
  for (int k = source_dim; k > 1; --k) {
    plan.size[k] = plan.size[k - 1], plan.d[k] = plan.d[k - 1], plan.s[k] = plan.s[k - 1];
  }
  plan.size[1] = n, plan.d[1] = d, plan.s[1] = s;
  bool streaming = worth_streaming(plan.count(0) * item);
  int64_t step0 = 256, step1 = 64 * 4 / item;
  int64_t used0 = plan.size[0] < step0 ? plan.size[0] : step0;
  for_patches(plan, step0, step1, used0 * step1 * item,
              [&](int64_t d, int64_t s, int64_t a, int64_t na, int64_t b, int64_t nb) {
                transpose_some(dst + d + a * item + b * plan.d[1], plan.d[1], src + s + a * plan.s[0] + b * item,
                               plan.s[0], nb, na, item, streaming);
              });
}

void copy_items(const Plan& plan, char* dst, const char* src, int64_t item) {
  int64_t d0 = plan.d[0], s0 = plan.s[0];
  int64_t d1 = plan.ndim > 1 ? plan.d[1] : 0, s1 = plan.ndim > 1 ? plan.s[1] : 0;
  bool streaming = worth_streaming(plan.count(0) * item);
  int64_t step0 = 16 << 10, used0 = plan.size[0] < step0 ? plan.size[0] : step0;
  int64_t step1 = clamp((16 << 10) / used0, 1, 1 << 20);
  for_patches(plan, step0, step1, used0 * step1 * item * 2,
              [&](int64_t d, int64_t s, int64_t a, int64_t na, int64_t b, int64_t nb) {
                char* to = dst + d + a * d0 + b * d1;
                const char* from = src + s + a * s0 + b * s1;
                if (s0 != 0 || d0 != item || na * item < 64) {
                  return copy_patch(to, from, {na, d0, s0, nb, d1, s1}, item);
                }
                for (int64_t j = 0; j < nb; ++j, to += d1, from += s1) {
                  alignas(64) char pattern[64];
                  copy_patch(pattern, from, {64 / item, item, 0, 1, 0, 0}, item);
                  fill_run(to, pattern, na * item, streaming);
                }
              });
}

void copy_same(Plan& plan, char* dst, const char* src, int64_t item) {
  // A short innermost run that both sides hold together is one larger item.
  if (plan.ndim > 1 && plan.d[0] == item && plan.s[0] == item) {
    int64_t run = plan.size[0] * item;
    if (run <= 16 && (run & (run - 1)) == 0) {
      plan.remove(0);
      item = run;
    }
  }
  if (plan.ndim == 0) return void(std::memcpy(dst, src, item));
  if (plan.d[0] == item && plan.s[0] == item) return copy_whole_rows(plan, dst, src, item);
  if (plan.d[0] == item && plan.s[0] != 0) {
    for (int k = 1; k < plan.ndim; ++k) {
      if (plan.s[k] == item) return copy_transposed(plan, dst, src, item, k);
    }
  }
  copy_items(plan, dst, src, item);
}

void copy_converted(const Plan& plan, char* dst, DType dst_dtype, const char* src, DType src_dtype) {
  int64_t ditem = item_size(dst_dtype), sitem = item_size(src_dtype);
  if (plan.ndim == 0) return convert_some(dst, dst_dtype, src, src_dtype, 1);
  int64_t d0 = plan.d[0], s0 = plan.s[0];
  int64_t d1 = plan.ndim > 1 ? plan.d[1] : 0, s1 = plan.ndim > 1 ? plan.s[1] : 0;
  int64_t step0 = 4096, used0 = plan.size[0] < step0 ? plan.size[0] : step0;
  int64_t step1 = clamp(kTile / used0, 1, kTile);
  for_patches(plan, step0, step1, used0 * step1 * 8,
              [&](int64_t d, int64_t s, int64_t a, int64_t na, int64_t b, int64_t nb) {
                char* to = dst + d + a * d0 + b * d1;
                const char* from = src + s + a * s0 + b * s1;
                if (nb > 1) {  // short rows: gather several into one tile
                  alignas(64) char raw[kTile * 16], converted[kTile * 16];
                  copy_patch(raw, from, {na, sitem, s0, nb, na * sitem, s1}, sitem);
                  convert_some(converted, dst_dtype, raw, src_dtype, na * nb);
                  copy_patch(to, converted, {na, d0, ditem, nb, d1, na * ditem}, ditem);
                } else if (d0 == ditem) {
                  load_tile(to, dst_dtype, na, from, s0, src_dtype);
                } else if (s0 == sitem) {
                  store_tile(to, d0, dst_dtype, na, from, src_dtype);
                } else {
                  alignas(64) char raw[kTile * 16];
                  for (int64_t i = 0; i < na; i += kTile) {
                    int64_t n = na - i < kTile ? na - i : kTile;
                    gather_tile(raw, n, from + i * s0, s0, sitem);
                    store_tile(to + i * d0, d0, dst_dtype, n, raw, src_dtype);
                  }
                }
              });
}

void copy(int ndim, const int64_t* sizes, void* dst, const int64_t* dst_strides, DType dst_dtype, const void* src,
          const int64_t* src_strides, DType src_dtype) {
  Plan plan;
  if (!make_plan(plan, ndim, sizes, dst_strides, src_strides)) return;
  char* to = static_cast<char*>(dst);
  const char* from = static_cast<const char*>(src);
  if (same_bytes(dst_dtype, src_dtype))
    copy_same(plan, to, from, item_size(src_dtype));
  else
    copy_converted(plan, to, dst_dtype, from, src_dtype);
}

void fill(void* dst, int64_t n, const void* value, int item_size) {
  alignas(64) char pattern[64];
  std::memcpy(pattern, value, item_size);
  for (int i = item_size; i < 64; i *= 2) std::memcpy(pattern + i, pattern, i);
  char* out = static_cast<char*>(dst);
  bool streaming = worth_streaming(n * item_size);
  int64_t lines = (n * item_size + 63) / 64;
  parallel_for(lines, grain_for(lines, 64), [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    int64_t stop = end == lines ? n * item_size : end * 64;
    fill_run(out + begin * 64, pattern, stop - begin * 64, streaming);
  });
}

void copy_rows(void* dst, int64_t dst_stride, const void* src, int64_t src_stride, int64_t row_bytes, int64_t rows) {
  int64_t sizes[2] = {rows, row_bytes}, d[2] = {dst_stride, 1}, s[2] = {src_stride, 1};
  copy(2, sizes, dst, d, DType::UInt8, src, s, DType::UInt8);
}

template <class R> void conjugate_of(void* dst, const void* src, int64_t n) {
  parallel_for(n, grain_for(n, 2 * sizeof(R)), [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    R* d = static_cast<R*>(dst);
    const R* s = static_cast<const R*>(src);
    for (int64_t i = begin; i < end; ++i) {
      R re = s[2 * i], im = s[2 * i + 1];
      d[2 * i] = re;
      d[2 * i + 1] = -im;
    }
  });
}

void conjugate(void* dst, const void* src, int64_t n, DType dtype) {
  if (dtype == DType::Complex64)
    conjugate_of<float>(dst, src, n);
  else
    conjugate_of<double>(dst, src, n);
}

}  // namespace

const CopyKernels kCopyKernels = {copy, load_tile, store_tile, fill, copy_rows, conjugate};

}  // namespace flambeau::kernels::FLAMBEAU_ISA
