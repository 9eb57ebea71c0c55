// Products of floats of any size: cut into blocks for the caches and the threads, operands packed where reading them in
// place would be slower.
//
// Levels, outermost first: a slab of B's columns whose packed form is shared by all threads; a chunk of C (the unit of
// the pool); a block of k; a panel of B, one tile wide; the tiles below each other. The order of every sum is fixed by k.
#include "base/parallel.h"
#include "kernels/cpu/gemm_internal.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

constexpr double kSerialFlops = 1.8e6;  // below this a second thread costs more than it brings
constexpr int64_t kSlabBytes = 12 << 20;

template <class Kind> struct Blocks {
  using S = typename Kind::Src;
  using In = typename Kind::In;
  using Acc = typename Kind::Acc;
  static constexpr int kPer = Kind::kPer;
  static constexpr int64_t kWide = kTileColumns<In>, kLane = kSpan<In>;

  const Product<S, Acc>& g;
  const int64_t units = ceil_div(g.k, kPer);  // of k, as the tile counts it
  const int64_t kc = larger(1, block_k(units, 512));
  const TileTable<In, Acc>& tiles = tiles_of<Kind>();

  void pack_b(In* out, int64_t column, int64_t width, int64_t unit, int64_t depth) const {
    pack<In, S>(out, kWide, g.b + column * g.b_col + unit * kPer * g.b_row, g.b_col, g.b_row, width,
                smaller(depth * kPer, g.k - unit * kPer));
  }
  void pack_a(In* out, int64_t row, int64_t rows, int64_t unit, int64_t depth) const {
    pack<In, S>(out, rows, g.a + row * g.a_row + unit * kPer * g.a_col, g.a_row, g.a_col, rows,
                smaller(depth * kPer, g.k - unit * kPer));
  }
  bool a_plain() const { return g.a_col == 1 && (g.a_row != 1 || g.m == 1); }

  // C[m0:m1, n0:n1]. `shared` is the slab of packed B that starts at column `slab` and has `panels` panels, or null.
  void block(int64_t m0, int64_t m1, int64_t n0, int64_t n1, const In* shared, int64_t slab, int64_t panels,
             bool packing_a, bool packing_b) const {
    const int64_t rows = m1 - m0, columns = n1 - n0;
    const int64_t count = ceil_div(rows, kTileRows);
    // Sums whose result is rounded once at the end: of the block, or where k is not cut, of one panel at a time.
    const bool by_panel = units <= kc;
    const int64_t sums_row = by_panel && !g.turned ? kWide : round_up(columns, kSpan<Acc>);
    Scratch sums(Kind::kSame && !g.turned ? 0 : size_t(rows * sums_row) * sizeof(Acc));
    alignas(64) In near[2048];
    const bool whole_panels = columns % kWide == 0;
    const int64_t b_values = shared || (whole_panels && !packing_b) ? 0 : kc * kWide;
    Scratch b_far(b_values > 2048 ? size_t(b_values) * sizeof(In) : 0);
    In* const b_packed = b_values > 2048 ? b_far.as<In>() : near;
    Scratch a_far(packing_a ? size_t(rows * kc + kLane) * sizeof(In) : 0);
    In* const a_packed = a_far.as<In>();

    TileCall<In, Acc> t;
    t.b_table = nullptr;
    t.row_bias = nullptr;
    const In* row_pointers[kTileRows];
    t.a_rows = row_pointers;
    for (int64_t unit = 0; unit == 0 || unit < units; unit += kc) {
      const int64_t depth = smaller(kc, units - unit);
      t.k = depth;
      if (Kind::kSame && !g.turned) {
        t.alpha = g.alpha;
        t.beta = unit == 0 ? g.beta : Acc(1);
      } else {
        t.alpha = 1;
        t.beta = unit == 0 ? Acc(0) : Acc(1);
      }
      if (packing_a) {
        for (int64_t i = 0; i < count; i++) {
          const int64_t top = rows * i / count, bottom = rows * (i + 1) / count;
          pack_a(a_packed + top * depth, m0 + top, bottom - top, unit, depth);
        }
      }
      for (int64_t n = n0; n < n1; n += kWide) {
        const int64_t width = smaller(kWide, n1 - n);
        t.columns = width;
        if (shared) {
          t.b = shared + unit * panels * kWide + (n - slab) / kWide * depth * kWide;
          t.b_step = kWide;
        } else if (Kind::kSame && !packing_b && (width == kWide || width == kLane)) {
          t.b = reinterpret_cast<const In*>(g.b + unit * kPer * g.b_row + n * g.b_col);
          t.b_step = g.b_row;
        } else {
          pack_b(b_packed, n, width, unit, depth);
          t.b = b_packed;
          t.b_step = kWide;
        }
        if constexpr (Kind::kSame)
          t.column_bias = g.bias && unit == 0 && !g.turned ? g.bias + n : nullptr;
        else
          t.column_bias = nullptr;
        const int vectors = width > kLane ? 1 : 0;
        for (int64_t i = 0; i < count; i++) {
          const int64_t top = rows * i / count, height = rows * (i + 1) / count - top;
          TileForm form = kTileColumnsForm;
          if (packing_a) {
            t.a = a_packed + top * depth;
            t.a_step = height;
          } else {
            const In* from = reinterpret_cast<const In*>(g.a + (m0 + top) * g.a_row + unit * kPer * g.a_col);
            if (a_plain()) {
              form = kTileRowsForm;
              for (int64_t r = 0; r < height; r++) row_pointers[r] = from + r * g.a_row;
            } else {
              t.a = from;
              t.a_step = g.a_col;
            }
          }
          if constexpr (Kind::kSame) {
            t.c = g.turned ? sums.as<Acc>() + top * sums_row + (n - n0) : g.c + (m0 + top) * g.c_row + n;
            t.c_row = g.turned ? sums_row : g.c_row;
          } else {
            if (by_panel)
              for (int64_t r = top; r < top + height; r++) __builtin_prefetch(g.c + (m0 + r) * g.c_row + n, 1);
            t.c = sums.as<Acc>() + top * sums_row + (by_panel ? 0 : n - n0);
            t.c_row = sums_row;
          }
          tiles.of[form][vectors][height - 1](t);
        }
        if constexpr (!Kind::kSame)
          if (by_panel)
            finish_rows(sums.as<Acc>(), sums_row, g.c + m0 * g.c_row + n, g.c_row, g.bias ? g.bias + n : nullptr,
                        g.alpha, g.beta, rows, width);
      }
    }
    if constexpr (Kind::kSame)
      if (g.turned)
        finish_turned(sums.as<Acc>(), sums_row, g.c + n0 * g.c_row + m0, g.c_row, g.bias ? g.bias + m0 : nullptr,
                      g.alpha, g.beta, rows, columns);
    if constexpr (!Kind::kSame)
      if (!by_panel)
        finish_rows(sums.as<Acc>(), sums_row, g.c + m0 * g.c_row + n0, g.c_row, g.bias ? g.bias + n0 : nullptr, g.alpha,
                    g.beta, rows, columns);
  }

  // Whether rows of A lie so that a tile's rows fall on few sets of the L1 cache.
  static bool clashes(int64_t stride) { return stride * int64_t(sizeof(S)) % 2048 == 0; }

  bool wants_packed_a(int64_t rows, int64_t columns) const {
    if (!Kind::kSame) return true;
    if (columns <= kWide * 2) return false;
    if (g.turned) return false;  // few columns: not worth the copy
    const double work = 2.0 * rows * columns * g.k;
    if (a_plain()) return work > 8e6 || (clashes(g.a_row) && g.k >= 128);
    return work > 1e6 && g.k >= 64;
  }

  void run() const {
    const double flops = 2.0 * g.m * g.n * g.k;
    const bool b_plain = g.b_col == 1 && (g.b_row != 1 || g.n > 1 || g.k == 1);
    if (flops <= kSerialFlops) {
      block(0, g.m, 0, g.n, nullptr, 0, 0, wants_packed_a(g.m, g.n), !Kind::kSame || !b_plain);
      return;
    }
    const int64_t chunks_wanted = smaller(int64_t(flops / 1e6) + 1, 4 * num_threads());
    const bool direct_b = Kind::kSame && b_plain && flops < 2e7 && g.k <= kBlockK && (!clashes(g.b_row) || g.k <= 128);
    if (!direct_b && g.m >= 96) return run_shared(chunks_wanted);
    // Each chunk reads or packs B by itself, so B is cut over chunks as long as that leaves panels whole.
    const int64_t panels = ceil_div(g.n, kWide), groups = ceil_div(g.m, kTileRows);
    int64_t across = smaller(panels, chunks_wanted), down = 1;
    if (direct_b && g.m >= 2 * kTileRows) {
      down = smaller(groups, chunks_wanted);
      across = smaller(panels, ceil_div(chunks_wanted, down));
    } else if (across < chunks_wanted) {
      down = smaller(ceil_div(g.m, 2 * kTileRows), ceil_div(chunks_wanted, across));
    }
    grid(down, across, 0, g.n, nullptr, 0, !direct_b);
  }

  // Panels of B's columns [n0, n1), block of k by block of k: what `shared` is elsewhere.
  void pack_slab(In* packed, int64_t n0, int64_t n1) const {
    const int64_t panels = ceil_div(n1 - n0, kWide), deep = ceil_div(units, kc);
    parallel_for(panels * deep, larger(1, (1 << 16) / (kc * kWide)), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        const int64_t unit = i / panels * kc, panel = i % panels, n = n0 + panel * kWide;
        const int64_t depth = smaller(kc, units - unit);
        pack_b(packed + unit * panels * kWide + panel * depth * kWide, n, smaller(kWide, n1 - n), unit, depth);
      }
    });
  }

  // With all of B packed beforehand. Few chunks, so that a thread's share of B stays in its cache from one product to
  // the next.
  void run_packed(const In* packed) const {
    const double flops = 2.0 * g.m * g.n * g.k;
    const int64_t panels = ceil_div(g.n, kWide), groups = ceil_div(g.m, kTileRows);
    if (flops <= kSerialFlops) return block(0, g.m, 0, g.n, packed, 0, panels, wants_packed_a(g.m, g.n), false);
    const int64_t wanted = smaller(int64_t(flops / 1e6) + 1, larger(2 * num_threads(), ceil_div(groups, 8)));
    const int64_t across = smaller(panels, wanted), down = smaller(ceil_div(groups, 2), ceil_div(wanted, across));
    grid(down, across, 0, g.n, packed, panels, false);
  }

  void grid(int64_t down, int64_t across, int64_t n0, int64_t n1, const In* shared, int64_t panels,
            bool packing_b) const {
    const int64_t groups = ceil_div(g.m, kTileRows), here = ceil_div(n1 - n0, kWide);
    parallel_for(down * across, 1, [&](int64_t begin, int64_t end) {
      for (int64_t chunk = begin; chunk < end; chunk++) {
        const int64_t i = chunk % down, j = chunk / down;
        const int64_t m0 = groups * i / down * g.m / groups, m1 = groups * (i + 1) / down * g.m / groups;
        const int64_t from = n0 + here * j / across * kWide, to = smaller(n1, n0 + here * (j + 1) / across * kWide);
        if (m0 < m1 && from < to)
          block(m0, m1, from, to, shared, n0, panels, wants_packed_a(m1 - m0, to - from), packing_b);
      }
    });
  }

  void run_shared(int64_t chunks_wanted) const {
    const int64_t all = ceil_div(g.n, kWide);
    int64_t slab_panels = larger(8, kSlabBytes / int64_t(sizeof(In)) / (units * kWide));
    slab_panels = ceil_div(all, ceil_div(all, slab_panels));
    Scratch memory(size_t(slab_panels * units * kWide + kLane) * sizeof(In));
    In* packed = memory.as<In>();
    for (int64_t first = 0; first < all; first += slab_panels) {
      const int64_t panels = smaller(slab_panels, all - first), n0 = first * kWide;
      const int64_t n1 = smaller(g.n, n0 + panels * kWide);
      pack_slab(packed, n0, n1);
      // Rows of a chunk: packed A within half of the L2 cache.
      int64_t most = larger(2, int64_t(320 << 10) / (kc * kTileRows * int64_t(sizeof(In))));
      const int64_t groups = ceil_div(g.m, kTileRows);
      int64_t down = larger(ceil_div(groups, most), smaller(chunks_wanted, ceil_div(groups, 2)));
      int64_t across = down >= chunks_wanted ? 1 : smaller(ceil_div(panels, 4), ceil_div(chunks_wanted, down));
      grid(down, across, n0, n1, packed, panels, true);
    }
  }
};

constexpr double kSplitFlops = 4e6;

// Few results from long sums: k is cut into parts, as many as the shape says, whose results are added in order.
template <class Kind> bool split_k(const Product<typename Kind::Src, typename Kind::Acc>& g) {
  if constexpr (!Kind::kSame) {
    return false;
  } else {
    using T = typename Kind::Acc;
    const int64_t tiles = ceil_div(g.m, 2 * kTileRows) * ceil_div(g.n, 2 * kTileColumns<T>);
    if (tiles >= 8 || g.k < 4 * kBlockK || 2.0 * g.m * g.n * g.k < kSplitFlops) return false;
    const int64_t parts = smaller(16, ceil_div(g.k, 2 * kBlockK)), each = round_up(ceil_div(g.k, parts), 8);
    const int64_t used = ceil_div(g.k, each), size = g.m * g.n;
    Scratch memory(size_t(used * size) * sizeof(T));
    T* partial = memory.as<T>();
    parallel_for(used, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        Product<T, T> part = g;
        part.a += i * each * g.a_col;
        part.b += i * each * g.b_row;
        part.k = smaller(each, g.k - i * each);
        part.c = partial + i * size;
        part.c_row = g.n;
        part.bias = nullptr;
        part.alpha = 1;
        part.beta = 0;
        const bool b_plain = g.b_col == 1 && (g.b_row != 1 || g.n > 1);
        Blocks<Kind> blocks{part};
        blocks.block(0, g.m, 0, g.n, nullptr, 0, 0, blocks.wants_packed_a(g.m, g.n),
                     !b_plain || blocks.clashes(g.b_row));
      }
    });
    for (int64_t i = 1; i < used; i++)
      for (int64_t j = 0; j < size; j++) partial[j] += partial[i * size + j];
    finish_rows(partial, g.n, g.c, g.c_row, g.bias, g.alpha, g.beta, g.m, g.n);
    return true;
  }
}

constexpr int64_t kTurnedRows = 256;

// Few rows times a transposed B, as of a linear layer: packing B would cost more than it brings. Turned over, B's columns
// are rows that the tile reads in place, and what is packed is the few rows of A. Every sum keeps its order. Not where
// those rows clash in the cache, or A's rows would leave lanes empty; between 32 and 96 rows neither way is ahead.
template <class Kind> bool turn(const Product<typename Kind::Src, typename Kind::Acc>& g) {
  if constexpr (!Kind::kSame) {
    return false;
  } else {
    const bool transposed = g.b_row == 1 && g.b_col != 1 && g.n > 1;
    if (!transposed || g.m > kTurnedRows || 2 * g.m > g.n || g.k < 2 * g.m) return false;
    if (2.0 * g.m * g.n * g.k <= kSerialFlops || Blocks<Kind>::clashes(g.b_col)) return false;
    constexpr int64_t lanes = kSpan<typename Kind::In>;
    if (20 * round_up(g.m, lanes) > 21 * g.m || (g.m > 2 * lanes && g.m < 96)) return false;
    auto t = g;
    t.m = g.n, t.n = g.m;
    t.a = g.b, t.a_row = g.b_col, t.a_col = g.b_row;
    t.b = g.a, t.b_row = g.a_col, t.b_col = g.a_row;
    t.turned = true;
    Blocks<Kind>{t}.run();
    return true;
  }
}

template <class Kind> void product_of(const Product<typename Kind::Src, typename Kind::Acc>& g) {
  if (g.m <= 4 && few_rows(g)) return;
  if constexpr (Kind::kSame)
    if (g.b_packed) return Blocks<Kind>{g}.run_packed(g.b_packed);
  if (split_k<Kind>(g) || turn<Kind>(g)) return;
  Blocks<Kind>{g}.run();
}

// A single column is a single row of the transposed product; its results go to memory of their own first.
template <class S, class Acc> bool one_column(const Product<S, Acc>& g) {
  if (g.n != 1 || g.m == 1 || g.k < 2) return false;
  Scratch memory(size_t(g.m) * sizeof(Acc));
  if constexpr (std::is_same_v<S, Acc>) {
    Product<S, Acc> t = {1, g.m, g.k, g.b, g.b_col, g.b_row, g.a, g.a_col, g.a_row, memory.as<S>(), g.m, nullptr, 1, 0};
    if (!few_rows(t)) Blocks<GemmKind<S, S, S>>{t}.run();
    for (int64_t i = 0; i < g.m; i++)
      finish_rows(memory.as<S>() + i, 1, g.c + i * g.c_row, 1, g.bias, g.alpha, g.beta, 1, 1);
    return true;
  }
  return false;
}

}  // namespace

void pack_panels(const Product<float, float>& g, float* packed) { Blocks<KindF32>{g}.pack_slab(packed, 0, g.n); }
void pack_panels(const Product<double, double>& g, double* packed) { Blocks<KindF64>{g}.pack_slab(packed, 0, g.n); }

void product(const Product<float, float>& g) {
  if (!one_column(g) && !one_vector_wide(g)) product_of<KindF32>(g);
}
void product(const Product<double, double>& g) {
  if (!one_column(g) && !one_vector_wide(g)) product_of<KindF64>(g);
}
void product(const Product<Half, float>& g) { product_of<KindF16>(g); }
void product(const Product<BFloat16, float>& g) {
#ifdef FLAMBEAU_ISA_v4
  if (cpu_features().avx512_bf16) return product_of<KindBF16Dot>(g);
#endif
  product_of<KindBF16>(g);
}

}  // namespace flambeau::kernels::FLAMBEAU_ISA
