// Where a dimension attains a value: the second pass of argmax and argmin, after amax or amin. It stops at the first match.
#include <type_traits>
#include "base/parallel.h"
#include "kernels/cpu/arithmetic.h"
#include "kernels/cpu/reduction.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

template <class V> FLAMBEAU_INLINE auto found(V x, V value) {
  if constexpr (is_float_lane<V>)
    return (x == value) | (x != x);  // where there is a nan, the value is nan
  else
    return x == value;
}

template <class T> int64_t position_along(const T* x, int64_t n, T value) {
  using V = Lanes<T>;
  T lanes[kLanes<V>];
  for (T& each : lanes) each = value;
  const V wanted = load<V>(lanes);
  int64_t i = 0;
  for (; i + kLanes<V> <= n; i += kLanes<V>)
    if (any(found(load<V>(x + i), wanted))) break;
  for (; i < n - 1 && !found(x[i], value); ++i) {
  }
  return i;
}

template <class T>
void positions_down(int64_t* indices, const T* x, const T* values, int64_t n, int64_t inner, int64_t columns) {
  using V = Lanes<T>;
  for (int64_t c = 0; c < columns; ++c) indices[c] = -1;
  int64_t left = columns;
  for (int64_t r = 0; r < n && left > 0; ++r, x += inner)
    for (int64_t c = 0; c < columns; ++c) {
      while (c + kLanes<V> <= columns && !any(found(load<V>(x + c), load<V>(values + c)))) c += kLanes<V>;
      if (c < columns && indices[c] < 0 && found(x[c], values[c])) {
        indices[c] = r;
        --left;
      }
    }
}

template <class T>
void find(int64_t* indices, const char* value_bytes, const char* in, int64_t outer, int64_t reduced, int64_t inner) {
  const T* x = reinterpret_cast<const T*>(in);
  const T* values = reinterpret_cast<const T*>(value_bytes);
  if (inner == 1) {
    return parallel_for(outer, (1 << 16) / (reduced + 16) + 1, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) indices[i] = position_along(x + i * reduced, reduced, values[i]);
    });
  }
  constexpr int64_t kTile = 64;
  const int64_t tiles = (inner + kTile - 1) / kTile;
  parallel_for(outer * tiles, (1 << 16) / ((reduced + 1) * kTile) + 1, [=](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t row = task / tiles, column = task % tiles * kTile, at = row * inner + column;
      positions_down(indices + at, x + row * reduced * inner + column, values + at, reduced, inner,
                     inner - column < kTile ? inner - column : kTile);
    }
  });
}

}  // namespace

const PositionKernels kPositionKernels = {{find<bool>, find<uint8_t>, find<int8_t>, find<int16_t>, find<int32_t>,
                                           find<int64_t>, nullptr, nullptr, find<float>, find<double>, nullptr,
                                           nullptr}};

}  // namespace flambeau::kernels::FLAMBEAU_ISA
