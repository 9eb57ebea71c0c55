// Folding one dimension of a contiguous [outer, reduced, inner] block, from the four formulas of a row (rows/row.py).
//
// Two shapes: inner = 1 runs along the memory with several vectors of states, inner > 1 runs down the columns, one column
// a lane. Both fold blocks of fixed length and merge their states as a balanced tree, so that the error of a sum grows
// with the logarithm of its length. Work is cut by sizes alone: the result has the same bits for any number of threads.
#pragma once
#include "base/allocator.h"
#include "base/parallel.h"
#include "kernels/cpu/complex.h"
#include "kernels/cpu/reduction.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

// What a formula gives, as the lane type of the state (real constants in complex states; bool sums).
template <class V, class X> FLAMBEAU_INLINE V lane(X x) {
  if constexpr (std::is_same_v<V, X>)
    return x;
  else if constexpr (is_complex_lane<V>)
    return V{x, 0};
  else
    return V(x);
}

// kLanes<V> elements of type T, converted to the type that states are made of.
template <class V, class T> FLAMBEAU_INLINE V load_as(const T* p) {
  if constexpr (std::is_same_v<Element<V>, T>)
    return load<V>(p);
  else if constexpr (!is_vector<V>)
    return V(*p);
  else {
    using Bytes = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;
    return __builtin_convertvector(load<Raw<Bytes, kLanes<V> * sizeof(T)>>(p), V);
  }
}
// The same where only `count` elements may be read; the other lanes are zero.
template <class V, class T> FLAMBEAU_INLINE V load_some(const T* p, int64_t count) {
  T buffer[kLanes<V>] = {};
  __builtin_memcpy(buffer, p, count * sizeof(T));
  return load_as<V>(buffer);
}

template <class Op, class T, class A> struct Reducer {
  using V = LaneOrElement<A>;
  using Vectors = typename Op::template State<V>;
  using Scalar = typename Op::template State<A>;
  static constexpr int kL = kLanes<V>, kUnroll = 4, kSteps = 64;  // vectors side by side, and the length of a block
  static constexpr int64_t kPiece = 1 << 16;                      // elements of a long row that one task folds
  static constexpr int64_t kFew = 8;                              // elements that are not worth a vector

  // States of consecutive blocks, merged in pairs of equal age like the carries of a counter.
  template <class S, class W> struct Tree {
    S level[48];
    uint64_t count = 0;
    FLAMBEAU_INLINE void push(S s) {
      int i = 0;
      for (; count >> i & 1; ++i) s = Op::template merge<W>(level[i], s);
      level[i] = s;
      ++count;
    }
    S total() const {
      if (count == 0) return Op::template init<W>();
      int i = __builtin_ctzll(count);
      S s = level[i];
      for (++i; count >> i; ++i)
        if (count >> i & 1) s = Op::template merge<W>(level[i], s);
      return s;
    }
  };

  template <int kBy, int... kI> static FLAMBEAU_INLINE V rotated(V x, std::integer_sequence<int, kI...>) {
    if constexpr (std::is_same_v<V, BoolLanes>)
      return {__builtin_shufflevector(x.bytes, x.bytes, ((kI + kBy) % kL)...)};
    else
      return __builtin_shufflevector(x, x, ((kI + kBy) % kL)...);
  }
  // Lane 0 takes in the others: half of them, a quarter of them, ...
  template <int kBy> static FLAMBEAU_INLINE Vectors folded(Vectors s) {
    if constexpr (kBy == 0) {
      return s;
    } else {
      V parts[Op::kStates];
      __builtin_memcpy(parts, &s, sizeof s);
      for (V& part : parts) part = rotated<kBy>(part, std::make_integer_sequence<int, kL>());
      Vectors t;
      __builtin_memcpy(&t, parts, sizeof t);
      return folded<kBy / 2>(Op::template merge<V>(s, t));
    }
  }
  static FLAMBEAU_INLINE Scalar across_lanes(Vectors state) {
    state = folded<kL / 2>(state);
    Scalar result;
    for (int k = 0; k < Op::kStates; ++k)
      __builtin_memcpy(reinterpret_cast<char*>(&result) + k * sizeof(A),
                       reinterpret_cast<char*>(&state) + k * sizeof(V), sizeof(A));
    return result;
  }
  // One more step in the first `count` lanes.
  static FLAMBEAU_INLINE Vectors step_some(const Vectors& s, const T* x, int64_t count, const T* end,
                                           const double* params) {
    const Vectors next = Op::template step<V>(s, end - x >= kL ? load_as<V>(x) : load_some<V>(x, count), params);
    if constexpr (kL == 1) {
      return next;
    } else {
      Element<Mask<V>> flags[kL];
      for (int i = 0; i < kL; ++i) flags[i] = Element<Mask<V>>(i < count ? -1 : 0);
      V before[Op::kStates], after[Op::kStates];
      __builtin_memcpy(before, &s, sizeof s);
      __builtin_memcpy(after, &next, sizeof next);
      for (int k = 0; k < Op::kStates; ++k) after[k] = select(load<Mask<V>>(flags), after[k], before[k]);
      Vectors result;
      __builtin_memcpy(&result, after, sizeof result);
      return result;
    }
  }

  // n elements in a row; reading stops at `end`.
  static Scalar along(const T* x, int64_t n, const T* end, const double* params) {
    Vectors rest = Op::template init<V>();
    if (n < 2 * kUnroll * kL) {
      for (; n >= kL; n -= kL, x += kL) rest = Op::template step<V>(rest, load_as<V>(x), params);
      if (n > 0) rest = step_some(rest, x, n, end, params);
      return across_lanes(rest);
    }
    Tree<Vectors, V> tree;
    while (n >= kUnroll * kL) {
      const int64_t steps = n / (kUnroll * kL) < kSteps ? n / (kUnroll * kL) : kSteps;
      Vectors s0 = rest, s1 = rest, s2 = rest, s3 = rest;  // rest is still the state of nothing
      for (int64_t i = 0; i < steps; ++i, x += kUnroll * kL) {
        s0 = Op::template step<V>(s0, load_as<V>(x), params);
        s1 = Op::template step<V>(s1, load_as<V>(x + kL), params);
        s2 = Op::template step<V>(s2, load_as<V>(x + 2 * kL), params);
        s3 = Op::template step<V>(s3, load_as<V>(x + 3 * kL), params);
      }
      tree.push(Op::template merge<V>(Op::template merge<V>(s0, s1), Op::template merge<V>(s2, s3)));
      n -= steps * kUnroll * kL;
    }
    for (; n >= kL; n -= kL, x += kL) rest = Op::template step<V>(rest, load_as<V>(x), params);
    if (n > 0) rest = step_some(rest, x, n, end, params);
    tree.push(rest);
    return across_lanes(tree.total());
  }

  // Few elements: one after another, while the processor overlaps this row with the next ones.
  static FLAMBEAU_INLINE Scalar along_few(const T* x, int64_t n, const double* params) {
    Scalar state = Op::template init<A>();
    for (int64_t i = 0; i < n; ++i) state = Op::template step<A>(state, load_as<A>(x + i), params);
    return state;
  }

  static void rows(A* out, const T* in, int64_t outer, int64_t reduced, const double* params) {
    if (reduced <= kFew) {
      return parallel_for(outer, kPiece / (reduced + 16) + 1, [=](int64_t begin, int64_t last) {
        for (int64_t i = begin; i < last; ++i)
          out[i] = Op::template finish<A>(along_few(in + i * reduced, reduced, params), reduced, params);
      });
    }
    const int64_t pieces = (reduced + kPiece - 1) / kPiece;
    const T* end = in + outer * reduced;
    if (pieces <= 1) {
      return parallel_for(outer, kPiece / (reduced + 16) + 1, [=](int64_t begin, int64_t last) {
        for (int64_t i = begin; i < last; ++i)
          out[i] = Op::template finish<A>(along(in + i * reduced, reduced, end, params), reduced, params);
      });
    }
    const size_t bytes = size_t(outer) * pieces * sizeof(Scalar);
    Scalar* partial = static_cast<Scalar*>(allocate(bytes));
    parallel_for(outer * pieces, 1, [=](int64_t begin, int64_t last) {
      for (int64_t task = begin; task < last; ++task) {
        const int64_t row = task / pieces, from = task % pieces * kPiece;
        const int64_t n = reduced - from < kPiece ? reduced - from : kPiece;
        partial[task] = along(in + row * reduced + from, n, end, params);
      }
    });
    for (int64_t i = 0; i < outer; ++i) {
      Tree<Scalar, A> tree;
      for (int64_t p = 0; p < pieces; ++p) tree.push(partial[i * pieces + p]);
      out[i] = Op::template finish<A>(tree.total(), reduced, params);
    }
    deallocate(partial, bytes);
  }

  // kWide vectors of columns over `rows` rows, of which the last vector has `columns` lanes; `end` is where reading stops.
  template <int kWide, bool kWhole>
  static void down(Vectors* result, const T* x, int64_t rows, int64_t inner, const T* end, const double* params) {
    struct Block {
      Vectors v[kWide];
    };
    struct Wide {
      Tree<Vectors, V> tree[kWide];
    } trees;
    while (rows > 0) {
      const int64_t steps = rows < kSteps ? rows : kSteps;
      Block s;
      for (auto& each : s.v) each = Op::template init<V>();
      for (int64_t i = 0; i < steps; ++i, x += inner)
#pragma GCC unroll 4
        for (int u = 0; u < kWide; ++u) {
          const T* p = x + u * kL;
          V value;
          if constexpr (kWhole)
            value = load_as<V>(p);
          else
            value = end - p >= kL ? load_as<V>(p) : load_some<V>(p, end - p);
          s.v[u] = Op::template step<V>(s.v[u], value, params);
        }
      for (int u = 0; u < kWide; ++u) trees.tree[u].push(s.v[u]);
      rows -= steps;
    }
    for (int u = 0; u < kWide; ++u) result[u] = trees.tree[u].total();
  }

  static void columns(A* out, const T* in, int64_t outer, int64_t reduced, int64_t inner, const double* params) {
    constexpr int64_t kTile = kUnroll * kL;
    const int64_t tiles = (inner + kTile - 1) / kTile;
    // Long columns are cut only where there are too few tiles to share out.
    int64_t height = reduced;
    if (outer * tiles < 16) {
      height = kPiece / (inner < kTile ? inner : kTile) + 1;
      if (height > reduced) height = reduced;
    }
    if (height < 1) height = 1;
    const int64_t pieces = reduced == 0 ? 1 : (reduced + height - 1) / height;
    const T* end = in + outer * reduced * inner;
    const int64_t tasks = outer * tiles * pieces;
    const size_t bytes = pieces == 1 ? 0 : size_t(tasks) * kUnroll * sizeof(Vectors);
    Vectors* partial = bytes ? static_cast<Vectors*>(allocate(bytes)) : nullptr;
    const auto put = [=](const Vectors* s, int64_t row, int64_t column) {
      for (int u = 0; u < kUnroll && column + u * kL < inner; ++u) {
        const V value = Op::template finish<V>(s[u], reduced, params);
        const int64_t left = inner - column - u * kL;
        __builtin_memcpy(out + row * inner + column + u * kL, &value, (left < kL ? left : kL) * sizeof(A));
      }
    };
    parallel_for(tasks, kPiece / (height * kTile + 64) + 1, [=](int64_t begin, int64_t last) {
      for (int64_t task = begin; task < last; ++task) {
        const int64_t piece = task % pieces, tile = task / pieces % tiles, row = task / pieces / tiles;
        const int64_t first = piece * height, column = tile * kTile;
        const int64_t rows = reduced - first < height ? reduced - first : height;
        const T* x = in + (row * reduced + first) * inner + column;
        Vectors s[kUnroll];
        if (inner - column >= kTile) {
          down<kUnroll, true>(s, x, rows, inner, end, params);
        } else {
          for (int u = 0; u < kUnroll; ++u) {
            const int64_t left = inner - column - u * kL;
            if (left > 0)
              down<1, false>(s + u, x + u * kL, rows, inner, end, params);
            else
              s[u] = Op::template init<V>();
          }
        }
        if (partial)
          __builtin_memcpy(static_cast<void*>(partial + task * kUnroll), s, sizeof s);
        else
          put(s, row, column);
      }
    });
    if (!partial) return;
    for (int64_t group = 0; group < outer * tiles; ++group) {
      Vectors s[kUnroll];
      for (int u = 0; u < kUnroll; ++u) {
        Tree<Vectors, V> tree;
        for (int64_t p = 0; p < pieces; ++p) tree.push(partial[(group * pieces + p) * kUnroll + u]);
        s[u] = tree.total();
      }
      put(s, group / tiles, group % tiles * kTile);
    }
    deallocate(partial, bytes);
  }
};

template <class Op, class T, class A>
void reduce(char* out, const char* in, int64_t outer, int64_t reduced, int64_t inner, const double* params) {
  A* result = reinterpret_cast<A*>(out);
  const T* x = reinterpret_cast<const T*>(in);
  if (inner == 1)
    Reducer<Op, T, A>::rows(result, x, outer, reduced, params);
  else
    Reducer<Op, T, A>::columns(result, x, outer, reduced, inner, params);
}
// Complex numbers in a linear reduction: twice as many real columns.
template <class Op, class T>
void reduce_parts(char* out, const char* in, int64_t outer, int64_t reduced, int64_t inner, const double* params) {
  reduce<Op, T, T>(out, in, outer, reduced, 2 * inner, params);
}

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
