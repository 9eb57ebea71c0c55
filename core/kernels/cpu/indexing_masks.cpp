// The part of the indexing family that counts: masks to positions, histograms, binary search. Two passes over fixed
// chunks: the first counts, the second knows where each chunk writes.
#pragma GCC optimize("tree-vectorize,vect-cost-model=dynamic")
#include "kernels/cpu/indexing_parts.h"
#include <atomic>
#if defined(FLAMBEAU_ISA_v4)
#include <immintrin.h>
#endif

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

constexpr int64_t kChunk = 32 << 10;  // mask elements; a multiple of 8

uint64_t load8(const bool* mask) {
  uint64_t word;
  std::memcpy(&word, mask, 8);
  return word;
}

int64_t count_some(const bool* mask, int64_t n) {
  int64_t total = 0, i = 0;
  while (i + 8 <= n) {  // bytes of a word are counters; none passes 255 within 128 words
    int64_t stop = n - i < 1024 ? n / 8 * 8 : i + 1024;
    uint64_t sums = 0;
    for (; i < stop; i += 8) sums += load8(mask + i);
    sums = (sums & 0x00ff00ff00ff00ffu) + (sums >> 8 & 0x00ff00ff00ff00ffu);
    total += int64_t(sums * 0x0001000100010001u >> 48);
  }
  for (; i < n; ++i) total += mask[i];
  return total;
}

// starts[c] = set elements before chunk c; the last entry is the total.
void chunk_starts(const bool* mask, int64_t n, ScratchOf<int64_t>& starts) {
  int64_t chunks = (n + kChunk - 1) / kChunk;
  parallel_for(n, kChunk, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    starts[begin / kChunk + 1] = count_some(mask + begin, end - begin);
  });
  starts[0] = 0;
  for (int64_t c = 0; c < chunks; ++c) starts[c + 1] += starts[c];
}

template <class T> void select_some(T* out, T* end, const T* src, const bool* mask, int64_t n) {
  int64_t i = 0;
#if defined(FLAMBEAU_ISA_v4)
  if constexpr (sizeof(T) == 4) {
    for (; i + 16 <= n && end - out >= 16; i += 16) {
      __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(mask + i));
      __mmask16 bits = _mm_test_epi8_mask(bytes, bytes);
      // to a register and then to memory: the compressing store is microcoded on Zen 4
      _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(bits, _mm512_loadu_si512(src + i)));
      out += __builtin_popcount(bits);
    }
  } else if constexpr (sizeof(T) == 8) {
    for (; i + 8 <= n && end - out >= 8; i += 8) {
      __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(mask + i));
      __mmask8 bits = __mmask8(_mm_test_epi8_mask(bytes, bytes));
      _mm512_storeu_si512(out, _mm512_maskz_compress_epi64(bits, _mm512_loadu_si512(src + i)));
      out += __builtin_popcount(bits);
    }
  }
#endif
  for (; i + 8 <= n && end - out >= 8; i += 8) {
    if (load8(mask + i) == 0) continue;
    for (int k = 0; k < 8; ++k) {
      *out = src[i + k];
      out += mask[i + k];
    }
  }
  for (; i < n && out < end; ++i) {
    if (mask[i]) *out++ = src[i];
  }
}

// One histogram per fixed chunk, added up in the order of the chunks. f(counters, begin, end) fills one.
template <class C, class F> void histogram(C* counts, int64_t n, int64_t bins, const F& f) {
  int64_t chunks = n / at_least_one(4 * bins);
  chunks = chunks > 16 ? 16 : chunks;
  for (int64_t b = 0; b < bins; ++b) counts[b] = 0;
  if (chunks < 2 || n < 65536) return f(counts, 0, n);
  ScratchOf<C> parts(chunks * bins);
  int64_t step = (n + chunks - 1) / chunks;
  parallel_for(n, step, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    C* mine = parts.data + begin / step * bins;
    for (int64_t b = 0; b < bins; ++b) mine[b] = 0;
    f(mine, begin, end);
  });
  for (int64_t c = 0; c * step < n; ++c) {
    for (int64_t b = 0; b < bins; ++b) counts[b] += parts[c * bins + b];
  }
}

template <class T> void histc_of(int64_t* counts, const T* x, int64_t n, int64_t bins, T lo, T hi) {
  histogram(counts, n, bins, [=](int64_t* mine, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (!(x[i] >= lo && x[i] <= hi)) continue;
      int64_t b = int64_t((x[i] - lo) * T(bins) / (hi - lo));
      ++mine[b < bins ? b : bins - 1];
    }
  });
}

// The number of leading elements for which `value` belongs after them; NaN belongs after everything.
template <class T, bool Right> int64_t position_of(const T* sorted, const int64_t* sorter, int64_t n, T value) {
  const int64_t all = n;
  int64_t base = 0;
  auto before = [&](int64_t i) {
    T x = sorted[sorter ? sorter[i] : i];
    return Right ? !(x > value) : !(x >= value);
  };
  while (n > 1) {  // no branch depends on the data
    int64_t half = n / 2;
    base = before(base + half - 1) ? base + half : base;
    n -= half;
  }
  return all == 0 ? 0 : base + before(base);
}

template <class T>
void searchsorted_of(int64_t* out, const T* sorted, const T* values, int64_t rows, int64_t sorted_rows, int64_t n,
                     int64_t m, bool right, const int64_t* sorter) {
  parallel_for(rows * m, 2048, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    for (int64_t i = begin; i < end; ++i) {
      int64_t offset = sorted_rows == 1 ? 0 : i / m * n;
      const int64_t* order = sorter ? sorter + offset : nullptr;
      out[i] = right ? position_of<T, true>(sorted + offset, order, n, values[i])
                     : position_of<T, false>(sorted + offset, order, n, values[i]);
    }
  });
}

}  // namespace

int64_t count_mask(const bool* mask, int64_t n) {
  std::atomic<int64_t> total{0};
  parallel_for(n, 4 * kChunk, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    total.fetch_add(count_some(mask + begin, end - begin), std::memory_order_relaxed);
  });
  return total.load();
}

void masked_select(void* out, const void* src, const bool* mask, int64_t n, int item_size) {
  ScratchOf<int64_t> starts((n + kChunk - 1) / kChunk + 1);
  chunk_starts(mask, n, starts);
  parallel_for(n, kChunk, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    int64_t c = begin / kChunk;
    by_item(item_size, [&]<class T>() {
      select_some(static_cast<T*>(out) + starts[c], static_cast<T*>(out) + starts[c + 1],
                  static_cast<const T*>(src) + begin, mask + begin, end - begin);
    });
  });
}

void masked_scatter(void* dst, const bool* mask, int64_t n, const void* src, int item_size) {
  ScratchOf<int64_t> starts((n + kChunk - 1) / kChunk + 1);
  chunk_starts(mask, n, starts);
  parallel_for(n, kChunk, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    by_item(item_size, [&]<class T>() {
      T* to = static_cast<T*>(dst);
      const T* from = static_cast<const T*>(src) + starts[begin / kChunk];
      for (int64_t i = begin; i < end; ++i) {
        if (mask[i]) to[i] = *from++;
      }
    });
  });
}

void nonzero(int64_t* out, const bool* mask, int ndim, const int64_t* sizes) {
  int64_t n = 1;
  for (int k = 0; k < ndim; ++k) n *= sizes[k];
  if (n == 0 || ndim == 0) return;
  int64_t inner = sizes[ndim - 1];
  ScratchOf<int64_t> starts((n + kChunk - 1) / kChunk + 1);
  chunk_starts(mask, n, starts);
  parallel_for(n, kChunk, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    int64_t* to = out + starts[begin / kChunk] * ndim;
    int64_t* stop = out + starts[begin / kChunk + 1] * ndim;
    int64_t outer[64];
    while (begin < end) {
      int64_t row = begin / inner, at = begin % inner, last = end - begin < inner - at ? at + (end - begin) : inner;
      const bool* from = mask + row * inner;
      for (int k = ndim - 2; k >= 0; --k) outer[k] = row % sizes[k], row /= sizes[k];
      begin += last - at;
      int64_t row0 = ndim == 2 ? outer[0] : 0;
      while (at < last) {
        if (at + 8 <= last && load8(from + at) == 0) {
          at += 8;
          continue;
        }
        int64_t group = at + 8 <= last ? at + 8 : last;
        if (ndim <= 2) {
          for (; at < group && to < stop; ++at) {  // written always, kept where the mask is set
            to[0] = row0;
            to[ndim - 1] = at;
            to += ndim & -int64_t(from[at]);  // a branch would be mispredicted half of the time
          }
          at = group;
          continue;
        }
        for (; at < group; ++at) {
          if (!from[at]) continue;
          for (int k = 0; k + 1 < ndim; ++k) to[k] = outer[k];
          to[ndim - 1] = at;
          to += ndim;
        }
      }
    }
  });
}

bool bincount(int64_t* counts, const int64_t* x, int64_t n, int64_t bins) {
  std::atomic<bool> bad{false};
  histogram(counts, n, bins, [&](int64_t* mine, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (uint64_t(x[i]) >= uint64_t(bins)) return bad.store(true, std::memory_order_relaxed);
      ++mine[x[i]];
    }
  });
  return !bad.load();
}

bool bincount_weighted(double* sums, const int64_t* x, const double* weights, int64_t n, int64_t bins) {
  std::atomic<bool> bad{false};
  histogram(sums, n, bins, [&](double* mine, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (uint64_t(x[i]) >= uint64_t(bins)) return bad.store(true, std::memory_order_relaxed);
      mine[x[i]] += weights[i];
    }
  });
  return !bad.load();
}

void histc(DType dtype, int64_t* counts, const void* x, int64_t n, int64_t bins, double lo, double hi) {
  if (dtype == DType::Float32)
    histc_of(counts, static_cast<const float*>(x), n, bins, float(lo), float(hi));
  else
    histc_of(counts, static_cast<const double*>(x), n, bins, lo, hi);
}

void searchsorted(DType dtype, int64_t* out, const void* sorted, const void* values, int64_t rows, int64_t sorted_rows,
                  int64_t n, int64_t m, bool right, const int64_t* sorter) {
  auto run = [&]<class T>(const T* s) {
    searchsorted_of(out, s, static_cast<const T*>(values), rows, sorted_rows, n, m, right, sorter);
  };
  if (dtype == DType::Int64)
    run(static_cast<const int64_t*>(sorted));
  else if (dtype == DType::Float32)
    run(static_cast<const float*>(sorted));
  else
    run(static_cast<const double*>(sorted));
}

}  // namespace flambeau::kernels::FLAMBEAU_ISA
