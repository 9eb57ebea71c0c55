// Positions of the greatest and the least along a dimension: the values come first, by the reduction of amax and amin,
// then a second pass stops at the first element that equals its value.
#include "kernels/cpu/reduce.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

template <bool kLargest>
struct Extreme {
  static constexpr int kStates = 1;
  template <class V> struct State { V value; };
  template <class V> static FLAMBEAU_INLINE State<V> init() {
    return {constant<V>(kLargest ? -__builtin_inf() : __builtin_inf())};
  }
  template <class V> static FLAMBEAU_INLINE State<V> step(State<V> s, V x, const double*) { return merge<V>(s, {x}); }
  template <class V> static FLAMBEAU_INLINE State<V> merge(State<V> s, State<V> t) {
    return {kLargest ? maximum(s.value, t.value) : minimum(s.value, t.value)};
  }
  template <class V> static FLAMBEAU_INLINE V finish(State<V> s, int64_t, const double*) { return s.value; }
};

template <class V>
FLAMBEAU_INLINE auto found(V x, V value) {
  if constexpr (is_float_lane<V>) return (x == value) | (x != x);  // a nan value was won by a nan element
  else return x == value;
}

template <class T>
int64_t position_along(const T* x, int64_t n, T value) {
  using V = Lanes<T>;
  int64_t i = 0;
  const V wanted = [&] {
    T lanes[kLanes<V>];
    for (T& each : lanes) each = value;
    return load<V>(lanes);
  }();
  for (; i + kLanes<V> <= n; i += kLanes<V>)
    if (any(found(load<V>(x + i), wanted))) break;
  for (; i < n - 1 && !found(x[i], value); ++i) {}
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

template <class T, bool kLargest>
void extreme(char* out_values, int64_t* indices, const char* in, int64_t outer, int64_t reduced, int64_t inner) {
  const size_t bytes = size_t(outer) * inner * sizeof(T);
  T* values = reinterpret_cast<T*>(out_values ? out_values : static_cast<char*>(allocate(bytes)));
  reduce<Extreme<kLargest>, T, T>(reinterpret_cast<char*>(values), in, outer, reduced, inner, nullptr);
  const T* x = reinterpret_cast<const T*>(in);
  if (inner == 1) {
    parallel_for(outer, (1 << 16) / (reduced + 16) + 1, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) indices[i] = position_along(x + i * reduced, reduced, values[i]);
    });
  } else {
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
  if (!out_values) deallocate(values, bytes);
}

}  // namespace

const ExtremeKernels kExtremeKernels = {
#define FLAMBEAU_EXTREMES(largest)                                                                            \
  {extreme<bool, largest>, extreme<uint8_t, largest>, extreme<int8_t, largest>, extreme<int16_t, largest>,    \
   extreme<int32_t, largest>, extreme<int64_t, largest>, nullptr, nullptr, extreme<float, largest>,           \
   extreme<double, largest>, nullptr, nullptr}
    FLAMBEAU_EXTREMES(true), FLAMBEAU_EXTREMES(false)
#undef FLAMBEAU_EXTREMES
};

}  // namespace flambeau::kernels::FLAMBEAU_ISA
