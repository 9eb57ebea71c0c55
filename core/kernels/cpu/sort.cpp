// Order. Every dtype becomes an unsigned key that sorts the same way; a key and its position together are one element,
// so that no two are equal and every method is stable. Short rows are merged, longer ones radix-sorted from the lowest
// digit; a single long row is first split by its highest digit over all threads.
#pragma GCC optimize("tree-vectorize,vect-cost-model=dynamic")
#include "kernels/cpu/sort.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include <algorithm>
#include <atomic>

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

// Key and position in one word (keys of at most 32 bits, fewer than 2^32 positions), or in two.
struct Packed {
  using Key = uint32_t;
  uint64_t word;
  static FLAMBEAU_INLINE Packed make(uint64_t key, int64_t index) { return {key << 32 | uint64_t(index)}; }
  FLAMBEAU_INLINE uint64_t key() const { return word >> 32; }
  FLAMBEAU_INLINE int64_t index() const { return int64_t(word & 0xffffffffu); }
};
struct Paired {
  using Key = uint64_t;
  uint64_t high;
  int64_t low;
  static FLAMBEAU_INLINE Paired make(uint64_t key, int64_t index) { return {key, index}; }
  FLAMBEAU_INLINE uint64_t key() const { return high; }
  FLAMBEAU_INLINE int64_t index() const { return low; }
};
struct Before {
  FLAMBEAU_INLINE bool operator()(const Packed& a, const Packed& b) const { return a.word < b.word; }
  FLAMBEAU_INLINE bool operator()(const Paired& a, const Paired& b) const {
    return a.high != b.high ? a.high < b.high : a.low < b.low;
  }
};

// ---- keys ----

template <class T> FLAMBEAU_INLINE uint64_t key_of(T x) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
    return key_of(to_float(x));
  } else if constexpr (std::is_same_v<T, float>) {
    uint32_t bits;
    x = x == 0 ? 0.0f : x;  // -0 and 0 are equal
    std::memcpy(&bits, &x, 4);
    uint32_t key = bits ^ (uint32_t(int32_t(bits) >> 31) | 0x80000000u);
    return x == x ? key : 0xffffffffu;
  } else if constexpr (std::is_same_v<T, double>) {
    uint64_t bits;
    x = x == 0 ? 0.0 : x;
    std::memcpy(&bits, &x, 8);
    uint64_t key = bits ^ (uint64_t(int64_t(bits) >> 63) | uint64_t(1) << 63);
    return x == x ? key : ~uint64_t(0);
  } else if constexpr (std::is_same_v<T, int64_t>) {
    return uint64_t(x) ^ uint64_t(1) << 63;
  } else if constexpr (std::is_same_v<T, int32_t>) {
    return uint32_t(x) ^ 0x80000000u;
  } else {
    return uint32_t(int32_t(x) + 32768);
  }
}

bool narrow(DType dtype) { return item_size(dtype) <= 4; }
// The bits of a key: an element is compared and inverted within these.
uint64_t key_mask(DType dtype) { return narrow(dtype) ? 0xffffffffu : ~uint64_t(0); }

// out[i] = the key of in[begin + i] xor flip (all bits: descending).
template <class E>
[[gnu::noinline]] void fill_keys(typename E::Key* __restrict out, DType dtype, const void* in, int64_t begin,
                                 int64_t count, uint64_t flip) {
  visit_dtype(is_bool(dtype) ? DType::UInt8 : dtype, [&]<class T>() {
    if constexpr (!std::is_same_v<T, bool> && !std::is_same_v<T, Complex64> && !std::is_same_v<T, Complex128> &&
                  sizeof(T) <= sizeof(typename E::Key)) {
      const T* from = static_cast<const T*>(in) + begin;
      for (int64_t i = 0; i < count; ++i) out[i] = typename E::Key(key_of(from[i]) ^ flip);
    }
  });
}

// Elements of in[begin, end) into out[0...]. Returns the bits in which any key differs from the first one of the row.
template <class E>
[[gnu::noinline]] uint64_t fill(E* out, DType dtype, const void* in, int64_t begin, int64_t end, uint64_t flip) {
  constexpr int64_t kStep = 512;
  using Key = typename E::Key;
  Key keys[kStep], first, differ = 0;
  fill_keys<E>(&first, dtype, in, 0, 1, flip);
  for (; begin < end; begin += kStep, out += kStep) {
    int64_t count = end - begin < kStep ? end - begin : kStep;
    fill_keys<E>(keys, dtype, in, begin, count, flip);
    for (int64_t i = 0; i < count; ++i) {
      differ |= keys[i] ^ first;
      out[i] = E::make(keys[i], begin + i);
    }
  }
  return differ;
}

int bit_length(uint64_t x) { return x == 0 ? 0 : 64 - __builtin_clzll(x); }

// ---- sorting a range ----

template <class E> void insertion_sort(E* a, int64_t n) {
  for (int64_t i = 1; i < n; ++i) {
    E x = a[i];
    int64_t k = i;
    for (; k > 0 && Before()(x, a[k - 1]); --k) a[k] = a[k - 1];
    a[k] = x;
  }
}

template <class E> void merge_sort(E* a, E* spare, int64_t n) {
  constexpr int64_t kRun = 16;
  for (int64_t i = 0; i < n; i += kRun) insertion_sort(a + i, n - i < kRun ? n - i : kRun);
  E *from = a, *to = spare;
  for (int64_t width = kRun; width < n; width *= 2) {
    for (int64_t i = 0; i < n; i += 2 * width) {
      int64_t l = i, middle = i + width < n ? i + width : n, r = middle, stop = i + 2 * width < n ? i + 2 * width : n;
      for (int64_t k = i; k < stop; ++k) {
        bool right = l == middle || (r < stop && Before()(from[r], from[l]));
        to[k] = from[right ? r : l];
        r += right;
        l += !right;
      }
    }
    std::swap(from, to);
  }
  if (from != a) std::memcpy(a, from, n * sizeof(E));
}

// By the lowest `bits` of the key, stable; the result stands in a.
template <class E, int kDigit> void radix_sort(E* a, E* spare, int64_t n, int bits) {
  constexpr int kBuckets = 1 << kDigit, kPasses = (64 + kDigit - 1) / kDigit;
  uint32_t count[kPasses][kBuckets];
  int passes = (bits + kDigit - 1) / kDigit;
  std::memset(count, 0, sizeof(count[0]) * passes);
  for (int64_t i = 0; i < n; ++i) {
    uint64_t key = a[i].key();
    for (int p = 0; p < passes; ++p, key >>= kDigit) ++count[p][key & (kBuckets - 1)];
  }
  E *from = a, *to = spare;
  for (int p = 0; p < passes; ++p) {
    uint32_t* at = count[p];
    int shift = p * kDigit;
    if (at[from[0].key() >> shift & (kBuckets - 1)] == n) continue;
    uint32_t sum = 0;
    for (int b = 0; b < kBuckets; ++b) {
      uint32_t c = at[b];
      at[b] = sum;
      sum += c;
    }
    for (int64_t i = 0; i < n; ++i) to[at[from[i].key() >> shift & (kBuckets - 1)]++] = from[i];
    std::swap(from, to);
  }
  if (from != a) std::memcpy(a, from, n * sizeof(E));
}

template <class E> [[gnu::noinline]] void sort_range(E* a, E* spare, int64_t n, int bits) {
  if (bits == 0 || n < 2) return;
  if (n <= 24)
    insertion_sort(a, n);
  else if (n <= 160 || n >= int64_t(0xffffffff))
    merge_sort(a, spare, n);
  else if (n <= 16384)
    radix_sort<E, 8>(a, spare, n, bits);
  else
    radix_sort<E, 11>(a, spare, n, bits);
}

// ---- a long row over all threads ----

constexpr int64_t kLong = 1 << 16;

// Splits by the highest digit in which keys differ, then sorts the parts. emit(sorted part, its first position, count)
// is called for every part, in parallel. `a` holds the elements and is overwritten.
template <class E, class F> void sort_long(E* a, E* spare, int64_t n, int bits, const F& emit) {
  constexpr int kDigit = 11, kBuckets = 1 << kDigit;
  constexpr int64_t kChunks = 16;
  if (bits == 0) {
    return parallel_for(n, kLong,
                        [&](int64_t begin, int64_t end) FLAMBEAU_BODY { emit(a + begin, begin, end - begin); });
  }
  int shift = bits > kDigit ? bits - kDigit : 0;
  int64_t step = (n + kChunks - 1) / kChunks;
  ScratchOf<int64_t> start(kChunks * kBuckets);
  int64_t part[kBuckets + 1];
  std::fill_n(start.data, kChunks * kBuckets, 0);
  parallel_for(n, step, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    int64_t* mine = start.data + begin / step * kBuckets;
    for (int64_t i = begin; i < end; ++i) ++mine[a[i].key() >> shift & (kBuckets - 1)];
  });
  int64_t sum = 0;
  for (int b = 0; b < kBuckets; ++b) {
    part[b] = sum;
    for (int64_t c = 0; c < kChunks; ++c) {
      int64_t count = start[c * kBuckets + b];
      start[c * kBuckets + b] = sum;
      sum += count;
    }
  }
  part[kBuckets] = n;
  parallel_for(n, step, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    int64_t* mine = start.data + begin / step * kBuckets;
    for (int64_t i = begin; i < end; ++i) spare[mine[a[i].key() >> shift & (kBuckets - 1)]++] = a[i];
  });
  parallel_for(kBuckets, 4, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    for (int64_t b = begin; b < end; ++b) {
      int64_t count = part[b + 1] - part[b];
      if (count == 0) continue;
      sort_range(spare + part[b], a + part[b], count, shift);
      emit(spare + part[b], part[b], count);
    }
  });
}

template <class T, class E> void take_of(void* values, const void* in, const E* sorted, int64_t n) {
  T* to = static_cast<T*>(values);
  const T* from = static_cast<const T*>(in);
  for (int64_t i = 0; i < n; ++i) to[i] = from[sorted[i].index()];
}

// Writes elements in their order: values[at...] = in[index], indices[at...] = index. Either may be null.
template <class E>
[[gnu::noinline]] void emit(const E* sorted, int64_t at, int64_t n, int64_t item, const void* in, void* values,
                            int64_t* indices) {
  if (indices) {
    for (int64_t i = 0; i < n; ++i) indices[at + i] = sorted[i].index();
  }
  if (!values) return;
  char* to = static_cast<char*>(values) + at * item;
  switch (item) {
    case 1: return take_of<uint8_t>(to, in, sorted, n);
    case 2: return take_of<uint16_t>(to, in, sorted, n);
    case 4: return take_of<uint32_t>(to, in, sorted, n);
    default: return take_of<uint64_t>(to, in, sorted, n);
  }
}

// Advances a pointer that may be null.
template <class T> T* row_of(T* base, int64_t offset) { return base ? base + offset : nullptr; }

// f(E*, input row, output row number, scratch) for every row, in parallel; `scratch` holds 2 n elements.
template <class E, class F>
void for_rows(DType dtype, const void* in, int64_t rows, int64_t n, int64_t scratch, const F& f) {
  int64_t grain = (1 << 14) / (n < 1 ? 1 : n);
  parallel_for(rows, grain < 1 ? 1 : grain, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    ScratchOf<E> room(scratch);
    for (int64_t r = begin; r < end; ++r) {
      f(static_cast<const char*>(in) + r * n * int64_t(item_size(dtype)), r, room.data);
    }
  });
}

template <class E>
void sort_of(DType dtype, const void* in, int64_t rows, int64_t n, bool descending, void* values, int64_t* indices) {
  int64_t item = item_size(dtype);
  uint64_t flip = descending ? key_mask(dtype) : 0;
  if (n >= kLong && rows < 8) {
    ScratchOf<E> room(2 * n);
    for (int64_t r = 0; r < rows; ++r) {
      const char* row = static_cast<const char*>(in) + r * n * item;
      std::atomic<uint64_t> differ{0};
      parallel_for(n, kLong, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
        differ.fetch_or(fill(room.data + begin, dtype, row, begin, end, flip), std::memory_order_relaxed);
      });
      sort_long(room.data, room.data + n, n, bit_length(differ.load()),
                [&](const E* sorted, int64_t at, int64_t count) {
                  emit(sorted, at, count, item, row, row_of(static_cast<char*>(values), r * n * item),
                       row_of(indices, r * n));
                });
    }
    return;
  }
  for_rows<E>(dtype, in, rows, n, 2 * n, [&](const char* row, int64_t r, E* room) {
    uint64_t differ = fill(room, dtype, row, 0, n, flip);
    sort_range(room, room + n, n, bit_length(differ));
    emit(room, 0, n, item, row, row_of(static_cast<char*>(values), r * n * item), row_of(indices, r * n));
  });
}

// ---- top k: a buffer of candidates and the key that a newcomer has to beat ----

template <class E>
void topk_of(DType dtype, const void* in, int64_t rows, int64_t n, int64_t k, bool largest, void* values,
             int64_t* indices) {
  constexpr int64_t kStep = 256, kGroup = 32;
  int64_t item = item_size(dtype), capacity = 2 * k + 64 + kStep;
  uint64_t flip = largest ? key_mask(dtype) : 0;
  bool whole = n <= 512 || k > n / 4;
  for_rows<E>(dtype, in, rows, n, whole ? 2 * n : capacity * 2, [&](const char* row, int64_t r, E* room) {
    if (whole) {
      uint64_t differ = fill(room, dtype, row, 0, n, flip);
      sort_range(room, room + n, n, bit_length(differ));
    } else {
      typename E::Key keys[kStep], limit = ~typename E::Key(0);
      int64_t held = 0;
      bool open = true;  // fewer than k seen: everything enters
      for (int64_t begin = 0; begin < n; begin += kStep) {
        int64_t count = n - begin < kStep ? n - begin : kStep;
        fill_keys<E>(keys, dtype, row, begin, count, flip);
        for (int64_t i = 0; i < count; i += kGroup) {
          int64_t stop = count - i < kGroup ? count : i + kGroup;
          if (!open && stop == i + kGroup) {
            typename E::Key any = 0;
            for (int64_t j = 0; j < kGroup; ++j) any |= keys[i + j] < limit;
            if (!any) continue;
          }
          for (int64_t j = i; j < stop; ++j) {
            room[held] = E::make(keys[j], begin + j);
            held += open | (keys[j] < limit);
          }
          if (held >= 2 * k + 64) {
            std::nth_element(room, room + k - 1, room + held, Before());
            held = k;
            limit = typename E::Key(
                room[k - 1].key());  // an equal key comes later in the row and so after all that are held
            open = false;
          }
        }
      }
      std::nth_element(room, room + k - 1, room + held, Before());
      merge_sort(room, room + capacity, k);  // compares positions too: the selection has mixed them up
    }
    emit(room, 0, k, item, row, row_of(static_cast<char*>(values), r * k * item), row_of(indices, r * k));
  });
}

template <class E>
void kth_of(DType dtype, const void* in, int64_t rows, int64_t n, int64_t k, void* values, int64_t* indices) {
  int64_t item = item_size(dtype);
  for_rows<E>(dtype, in, rows, n, n, [&](const char* row, int64_t r, E* room) {
    fill(room, dtype, row, 0, n, 0);
    std::nth_element(room, room + k, room + n, Before());
    emit(room + k, 0, 1, item, row, row_of(static_cast<char*>(values), r * item), row_of(indices, r));
  });
}

template <class E>
void median_of(DType dtype, const void* in, int64_t rows, int64_t n, bool ignore_nan, void* values, int64_t* indices) {
  int64_t item = item_size(dtype);
  uint64_t nan_key = key_mask(dtype);
  for_rows<E>(dtype, in, rows, n, n, [&](const char* row, int64_t r, E* room) {
    fill(room, dtype, row, 0, n, 0);
    int64_t nans = 0, first = n;
    if (is_floating(dtype)) {
      for (int64_t i = 0; i < n; ++i) nans += room[i].key() == nan_key;
      for (int64_t i = 0; nans > 0 && first == n; ++i) first = room[i].key() == nan_key ? i : n;
    }
    int64_t k = ignore_nan && nans < n ? (n - nans - 1) / 2 : (n - 1) / 2;
    if (nans == n || (nans > 0 && !ignore_nan))
      k = first;
    else
      std::nth_element(room, room + k, room + n, Before());
    emit(room + k, 0, 1, item, row, row_of(static_cast<char*>(values), r * item), row_of(indices, r));
  });
}

template <class E> void mode_of(DType dtype, const void* in, int64_t rows, int64_t n, void* values, int64_t* indices) {
  int64_t item = item_size(dtype);
  for_rows<E>(dtype, in, rows, n, 2 * n, [&](const char* row, int64_t r, E* room) {
    sort_range(room, room + n, n, bit_length(fill(room, dtype, row, 0, n, 0)));
    int64_t best = 0, length = 0;
    for (int64_t begin = 0, i = 1; i <= n; ++i) {
      if (i < n && room[i].key() == room[begin].key()) continue;
      if (i - begin > length) best = i - 1, length = i - begin;
      begin = i;
    }
    emit(room + best, 0, 1, item, row, row_of(static_cast<char*>(values), r * item), row_of(indices, r));
  });
}

// ---- unique ----

template <class E>
int64_t unique_of(DType dtype, const void* in, int64_t n, bool sorted, void* values, int64_t* inverse,
                  int64_t* counts) {
  constexpr int64_t kChunk = 1 << 15;
  if (n == 0) return 0;
  int64_t item = item_size(dtype), chunks = (n + kChunk - 1) / kChunk;
  ScratchOf<E> room((sorted ? 2 : 1) * n);
  std::atomic<uint64_t> differ{0};
  parallel_for(n, kLong, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    differ.fetch_or(fill(room.data + begin, dtype, in, begin, end, 0), std::memory_order_relaxed);
  });
  const E* a = room.data;
  if (sorted && n >= kLong) {
    sort_long(room.data, room.data + n, n, bit_length(differ.load()), [](const E*, int64_t, int64_t) {});
    if (differ.load() != 0) a = room.data + n;
  } else if (sorted) {
    sort_range(room.data, room.data + n, n, bit_length(differ.load()));
  }
  uint64_t nan_key = key_mask(dtype);
  bool floating = is_floating(dtype);
  auto heads = [&](int64_t i) {  // whether a new value begins here
    return i == 0 || a[i].key() != a[i - 1].key() || (floating && a[i].key() == nan_key);
  };
  ScratchOf<int64_t> start(chunks + 1);
  parallel_for(n, kChunk, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    int64_t count = 0;
    for (int64_t i = begin; i < end; ++i) count += heads(i);
    start[begin / kChunk + 1] = count;
  });
  start[0] = 0;
  for (int64_t c = 0; c < chunks; ++c) start[c + 1] += start[c];
  int64_t total = start[chunks];
  parallel_for(n, kChunk, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    int64_t at = start[begin / kChunk] - 1;
    for (int64_t i = begin; i < end; ++i) {
      int64_t from = a[i].index();
      if (heads(i)) {
        ++at;
        std::memcpy(static_cast<char*>(values) + at * item, static_cast<const char*>(in) + from * item, item);
        if (counts) counts[at] = i;  // where it begins, for now
      }
      if (inverse) inverse[from] = at;
    }
  });
  if (counts) {
    for (int64_t u = 0; u < total; ++u) counts[u] = (u + 1 < total ? counts[u + 1] : n) - counts[u];
  }
  return total;
}

// ---- the choice of the element ----

bool one_word(DType dtype, int64_t n) { return narrow(dtype) && n < int64_t(0xffffffff); }

void sort(DType dtype, const void* in, int64_t rows, int64_t n, bool descending, void* values, int64_t* indices) {
  if (rows == 0 || n == 0) return;
  if (one_word(dtype, n))
    sort_of<Packed>(dtype, in, rows, n, descending, values, indices);
  else
    sort_of<Paired>(dtype, in, rows, n, descending, values, indices);
}

void topk(DType dtype, const void* in, int64_t rows, int64_t n, int64_t k, bool largest, void* values,
          int64_t* indices) {
  if (rows == 0 || k == 0) return;
  if (one_word(dtype, n))
    topk_of<Packed>(dtype, in, rows, n, k, largest, values, indices);
  else
    topk_of<Paired>(dtype, in, rows, n, k, largest, values, indices);
}

void kth(DType dtype, const void* in, int64_t rows, int64_t n, int64_t k, void* values, int64_t* indices) {
  if (one_word(dtype, n))
    kth_of<Packed>(dtype, in, rows, n, k, values, indices);
  else
    kth_of<Paired>(dtype, in, rows, n, k, values, indices);
}

void median(DType dtype, const void* in, int64_t rows, int64_t n, bool ignore_nan, void* values, int64_t* indices) {
  if (one_word(dtype, n))
    median_of<Packed>(dtype, in, rows, n, ignore_nan, values, indices);
  else
    median_of<Paired>(dtype, in, rows, n, ignore_nan, values, indices);
}

void mode(DType dtype, const void* in, int64_t rows, int64_t n, void* values, int64_t* indices) {
  if (one_word(dtype, n))
    mode_of<Packed>(dtype, in, rows, n, values, indices);
  else
    mode_of<Paired>(dtype, in, rows, n, values, indices);
}

int64_t unique(DType dtype, const void* in, int64_t n, void* values, int64_t* inverse, int64_t* counts) {
  if (one_word(dtype, n)) return unique_of<Packed>(dtype, in, n, true, values, inverse, counts);
  return unique_of<Paired>(dtype, in, n, true, values, inverse, counts);
}

int64_t unique_consecutive(DType dtype, const void* in, int64_t n, void* values, int64_t* inverse, int64_t* counts) {
  if (one_word(dtype, n)) return unique_of<Packed>(dtype, in, n, false, values, inverse, counts);
  return unique_of<Paired>(dtype, in, n, false, values, inverse, counts);
}

}  // namespace

const SortKernels kSortKernels = {sort, topk, kth, median, mode, unique, unique_consecutive};

}  // namespace flambeau::kernels::FLAMBEAU_ISA
