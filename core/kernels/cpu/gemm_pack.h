// Packing of operands into the order in which the register tile reads them: out[p * step + i] for i < count, p < k.
// T is what the tile multiplies, S what lies in memory; a uint32_t made of BFloat16 is a pair of neighbours along k.
#pragma once
#include "kernels/cpu/gemm_vector.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

template <class T, class S> constexpr int kPerUnit = std::is_same_v<T, uint32_t> ? 2 : 1;  // elements along k in a unit

template <class T, class S> FLAMBEAU_INLINE Vec<T> fetch(const S* p) {
  if constexpr (std::is_same_v<T, S>)
    return load(p);
  else if constexpr (std::is_same_v<T, uint32_t>)
    return load(reinterpret_cast<const uint32_t*>(p));
  else
    return load_float(p);
}
template <class T, class S> FLAMBEAU_INLINE Vec<T> fetch_part(const S* p, int64_t count) {  // count in elements
  if constexpr (std::is_same_v<T, S>) {
    return load_part(p, count);
  } else {
    S all[kSpan<T> * kPerUnit<T, S>] = {};
    std::memcpy(all, p, size_t(count) * sizeof(S));
    return fetch<T>(all);
  }
}

// A vector that would reach into the next p's place is cut, except the first: its excess is overwritten by the next p.
// Behind the last p there must be room for one vector.
template <class T> FLAMBEAU_INLINE void put(T* out, int64_t step, int64_t at, int64_t count, Vec<T> v) {
  if (at == 0 || at + kSpan<T> <= step)
    store(out + at, v);
  else
    store_part(out + at, v, count - at);
}

// The operand's memory is contiguous along k: row i starts at src + i * ld.
template <class T, class S> void pack_rows(T* out, int64_t step, const S* src, int64_t ld, int64_t count, int64_t k) {
  constexpr int lanes = kSpan<T>, per = kPerUnit<T, S>;
  for (int64_t at = 0; at < count; at += lanes, src += lanes * ld) {
    const int64_t left = count - at;
    for (int64_t p = 0; p < k; p += lanes * per) {
      Vec<T> rows[lanes];
      const int64_t here = k - p;
      T* to = out + p / per * step;
      if (here >= lanes * per && left >= lanes) {
#pragma GCC unroll 16
        for (int i = 0; i < lanes; i++) rows[i] = fetch<T>(src + i * ld + p);
      } else if (here >= lanes * per) {
#pragma GCC unroll 16
        for (int i = 0; i < lanes; i++) rows[i] = i < left ? fetch<T>(src + i * ld + p) : Vec<T>{};
      } else {
#pragma GCC unroll 16
        for (int i = 0; i < lanes; i++) rows[i] = i < left ? fetch_part<T>(src + i * ld + p, here) : Vec<T>{};
      }
      transpose_square<T>(rows);
      if (here >= lanes * per) {
#pragma GCC unroll 16
        for (int i = 0; i < lanes; i++) put(to + i * step, step, at, count, rows[i]);
      } else {
        const int64_t units = ceil_div(here, per);
#pragma GCC unroll 16
        for (int i = 0; i < lanes; i++)
          if (i < units) put(to + i * step, step, at, count, rows[i]);
      }
    }
  }
}

FLAMBEAU_INLINE Vec<uint32_t> load_bits(const BFloat16* p) {  // in the lower halves
  Bits narrow;
  std::memcpy(&narrow, p, sizeof(narrow));
  return __builtin_convertvector(narrow, Wide);
}

// The operand's memory is contiguous along i: the values of p start at src + p * ld.
template <class T, class S>
void pack_columns(T* out, int64_t step, const S* src, int64_t ld, int64_t count, int64_t k) {
  constexpr int lanes = kSpan<T>;
  if constexpr (kPerUnit<T, S> == 2) {
    for (int64_t p = 0; p < k; p += 2, out += step, src += 2 * ld) {
      const S* ahead = src + larger(0, smaller(16, k - 2 - p)) * ld;  // a line each of rows that lie far apart
      for (int64_t at = 0; at < count; at += lanes) {
        const int64_t left = smaller(count - at, lanes);
        Vec<uint32_t> even, odd = {};
        if (left == lanes) {
          if (at % (2 * lanes) == 0) {
            __builtin_prefetch(ahead + at, 0, 2);
            __builtin_prefetch(ahead + at + ld, 0, 2);
          }
          even = load_bits(src + at);
          if (p + 1 < k) odd = (Vec<uint32_t>)load_float(src + ld + at);
        } else {
          even = (Vec<uint32_t>)load_float_part(src + at, left) >> 16;
          if (p + 1 < k) odd = (Vec<uint32_t>)load_float_part(src + ld + at, left);
        }
        put(out, step, at, count, even | odd);
      }
    }
  } else {
    const int64_t whole = count / lanes * lanes;
    for (int64_t p = 0; p < k; p++, out += step, src += ld) {
      for (int64_t at = 0; at < whole; at += lanes) put(out, step, at, count, fetch<T>(src + at));
      if (whole < count) put(out, step, whole, count, fetch_part<T>(src + whole, count - whole));
    }
  }
}

// An operand with one stride of 1: element (i, p) at src[i * along + p * across].
template <class T, class S>
void pack(T* out, int64_t step, const S* src, int64_t along, int64_t across, int64_t count, int64_t k) {
  if (across == 1 && (along != 1 || count == 1))
    pack_rows<T, S>(out, step, src, along, count, k);
  else
    pack_columns<T, S>(out, step, src, across, count, k);
}

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
