// Flash-style attention. Keys and values are packed once into panels; then, for a block of queries at a time, scores
// against a block of keys stay in the cache while their softmax runs on (forward), or are computed again from the saved
// logsumexp (backward).
#include "kernels/cpu/attention.h"
#include "base/allocator.h"
#include "kernels/cpu/lanes_math.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

using F = Vec<float>;
constexpr int kLane = kSpan<float>, kPanel = 2 * kLane;  // columns of a register tile
constexpr int kTile = kVectorBytes == 64 ? 14 : 6;       // rows of it: accumulators fill most registers
constexpr int kQueries = kVectorBytes == 64 ? 2 * kTile : 4 * kTile, kKeys = 256;  // block of scores
constexpr int kRow = kKeys + 16;  // its row length: off the powers of two that share cache sets

// c[i][0..kPanel) (+)= sum over k of a[i * row + k * column] * b[k][0..kPanel) for i in 0..M-1.
template <int M, int row, int column>
__attribute__((noinline)) void tile(const float* a, const float* b, float* c, int64_t depth, int64_t ldc, bool add) {
  F x[M], y[M];
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i) x[i] = y[i] = F{};
  for (int64_t k = 0; k < depth; ++k, a += column, b += kPanel) {
    F u = load(b), v = load(b + kLane);
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i) {
      x[i] += a[i * row] * u;
      y[i] += a[i * row] * v;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i) {
    float* to = c + i * ldc;
    store(to, add ? load(to) + x[i] : x[i]);
    store(to + kLane, add ? load(to + kLane) + y[i] : y[i]);
  }
}

// Rows in tiles; the last tile may compute rows of rubbish that nobody reads (buffers have room for them).
template <int row, int column>
void product(const float* a, int64_t a_tile, int64_t rows, const float* b, int64_t b_panel, float* c, int64_t ldc,
             int64_t columns, int64_t depth, bool add) {
  for (int64_t j = 0; j < columns; j += kPanel, b += b_panel)
    for (int64_t i = 0, t = 0; i < rows; i += kTile, ++t) {
      const float* at = a + t * a_tile;
      float* to = c + i * ldc + j;
      int64_t left = rows - i;
      if (left > kTile * 2 / 3)
        tile<kTile, row, column>(at, b, to, depth, ldc, add);
      else if (left > 4)
        tile<kTile * 2 / 3, row, column>(at, b, to, depth, ldc, add);
      else if (left > 1)
        tile<4, row, column>(at, b, to, depth, ldc, add);
      else
        tile<1, row, column>(at, b, to, depth, ldc, add);
    }
}
// The three layouts of A: packed tiles [depth][kTile]; rows of a score block; columns of a score block.
constexpr auto packed_product = product<1, kTile>;
constexpr auto row_product = product<kRow, 1>;
constexpr auto column_product = product<1, kRow>;

// Rows x of `width` to [panel][rows][kPanel], zero past the width.
void pack_panels(const float* x, int64_t stride, int64_t rows, int64_t width, float* to) {
  for (int64_t j = 0; j < width; j += kPanel)
    for (int64_t r = 0; r < rows; ++r, to += kPanel) {
      int64_t n = smaller(kPanel, width - j);
      __builtin_memcpy(to, x + r * stride + j, n * sizeof(float));
      if (n < kPanel) __builtin_memset(to + n, 0, (kPanel - n) * sizeof(float));
    }
}
// A square of vectors on its side: at each step, pairs of rows swap blocks of `step` lanes.
FLAMBEAU_INLINE void transpose(F (&rows)[kLane]) {
#pragma GCC unroll 4
  for (int step = 1; step < kLane; step *= 2) {
    VecMask<float> lane = lane_numbers<float>(), high = (lane & step) != 0;
    VecMask<float> first = high ? lane - step + kLane : lane, second = high ? lane + kLane : lane + step;
#pragma GCC unroll 16
    for (int i = 0; i < kLane; ++i) {
      if (i & step) continue;
      F a = rows[i], b = rows[i + step];
      rows[i] = shuffled(a, b, first);
      rows[i + step] = shuffled(a, b, second);
    }
  }
}
// kLane rows of x from column k on, the rows past `rows` and the columns past `width` as zeros, transposed.
FLAMBEAU_INLINE void load_transposed(const float* x, int64_t stride, int64_t rows, int64_t k, int64_t width,
                                     F (&to)[kLane]) {
  for (int i = 0; i < kLane; ++i) {
    if (i >= rows)
      to[i] = F{};
    else
      to[i] = k + kLane <= width ? load(x + i * stride + k) : load_part(x + i * stride + k, int(width - k));
  }
  transpose(to);
}
// The transpose of the same, to [panel of rows][width][kPanel].
void pack_transposed(const float* x, int64_t stride, int64_t rows, int64_t width, float* to) {
  F square[kLane];
  for (int64_t r = 0; r < rows; r += kPanel, to += width * kPanel)
    for (int64_t half = 0; half < kPanel; half += kLane)
      for (int64_t k = 0; k < width; k += kLane) {
        load_transposed(x + (r + half) * stride, stride, rows - r - half, k, width, square);
        for (int64_t i = 0, n = smaller(kLane, width - k); i < n; ++i) store(to + (k + i) * kPanel + half, square[i]);
      }
}
// Rows to tiles [tile][width][kTile], times a factor, zero past the rows. Writes up to a vector past the end.
void pack_tiles(const float* x, int64_t stride, int64_t rows, int64_t width, float factor, float* to) {
  for (int64_t r = 0; r < rows; r += kTile, to += width * kTile) {
    if constexpr (kLane >= kTile) {  // a store covers the start of the next column, which is written after it
      F square[kLane];
      for (int64_t k = 0; k < width; k += kLane) {
        load_transposed(x + r * stride, stride, smaller(kTile, rows - r), k, width, square);
        for (int64_t i = 0, n = smaller(kLane, width - k); i < n; ++i) store(to + (k + i) * kTile, square[i] * factor);
      }
    } else {
      for (int64_t i = 0; i < kTile; ++i)
        for (int64_t k = 0; k < width; ++k) to[k * kTile + i] = r + i < rows ? x[(r + i) * stride + k] * factor : 0;
    }
  }
}

// Memory that a piece of work owns, handed out in parts.
struct Arena {
  explicit Arena(int64_t floats)
      : bytes(floats * sizeof(float)), next(static_cast<float*>(allocate(bytes))), all(next) {}
  ~Arena() { deallocate(all, bytes); }
  Arena(const Arena&) = delete;
  float* take(int64_t floats) {
    float* part = next;
    next += round_up(floats, 16) + 16;
    return part;
  }
  size_t bytes;
  float *next, *all;
};

// Sizes and the head's place, worked out once.
struct Plan {
  explicit Plan(const AttentionShape& s)
      : s(s),
        width(round_up(s.width, kPanel)),
        value_width(round_up(s.value_width, kPanel)),
        keys(round_up(s.keys, kPanel)),
        share(s.heads / s.kv_heads) {}
  const AttentionShape& s;
  int64_t width, value_width, keys, share;
  static int64_t at(const Strided& t, int64_t b, int64_t h) { return b * t.batch + h * t.head; }
  // Keys that a block of queries can see, before `last` (exclusive).
  int64_t visible(int64_t last_query) const { return s.causal ? smaller(s.keys, last_query) : s.keys; }
};

// Adds the mask to a block of scores and hides what lies beyond the keys or, if causal, after the query.
void mask_scores(const Plan& plan, float* scores, int64_t b, int64_t h, int64_t q0, int64_t rows, int64_t k0,
                 int64_t columns) {
  const AttentionShape& s = plan.s;
  int64_t padded = round_up(columns, kPanel);
  for (int64_t i = 0; i < rows; ++i) {
    float* row = scores + i * kRow;
    if (s.mask) {
      const float* m = s.mask + Plan::at(s.mask_stride, b, h) + (q0 + i) * s.mask_stride.row + k0 * s.mask_column;
      if (s.mask_column == 1)
        each_vector<float>(0, columns, [&](int64_t j, auto span) FLAMBEAU_LAMBDA {
          span.store(row + j, span.load(row + j) + span.load(m + j));
        });
      else
        for (int64_t j = 0; j < columns; ++j) row[j] += m[j * s.mask_column];
    }
    int64_t seen = s.causal ? larger(0, smaller(columns, q0 + i + 1 - k0)) : columns;
    for (int64_t j = seen; j < padded; ++j) row[j] = -kInfinity<float>;
  }
}

void forward_block(const Plan& plan, const float* q, const float* keys, const float* values, float* out, float* lse,
                   int64_t b, int64_t h, int64_t q0, int64_t rows, Arena& arena) {
  const AttentionShape& s = plan.s;
  float* queries = arena.take(kQueries * s.width);
  float* scores = arena.take(kQueries * kRow);
  float* sums = arena.take(kQueries * plan.value_width);
  float max[kQueries], total[kQueries];
  pack_tiles(q, s.q.row, rows, s.width, s.scale, queries);
  for (int64_t i = 0; i < rows; ++i) max[i] = -kInfinity<float>, total[i] = 0;
  int64_t visible = plan.visible(q0 + rows);
  for (int64_t k0 = 0; k0 < visible; k0 += kKeys) {
    int64_t columns = smaller(kKeys, visible - k0), padded = round_up(columns, kPanel);
    packed_product(queries, s.width * kTile, rows, keys + k0 * s.width, s.width * kPanel, scores, kRow, columns,
                   s.width, false);
    mask_scores(plan, scores, b, h, q0, rows, k0, columns);
    for (int64_t i = 0; i < rows; ++i) {
      float* row = scores + i * kRow;
      F high = splat(max[i]), sum = {}, other = {};
      for (int64_t j = 0; j < padded; j += kLane) high = greater_of(load(row + j), high);
      float now = max_lanes<float>(high), shift = now == -kInfinity<float> ? 0 : now;
      F by = splat(shift);
      for (int64_t j = 0; j < padded; j += kPanel) {
        F e = exp_nonpositive<float>(load(row + j) - by), f = exp_nonpositive<float>(load(row + j + kLane) - by);
        store(row + j, e);
        store(row + j + kLane, f);
        sum += e;
        other += f;
      }
      float fade = k0 == 0 ? 0 : __builtin_expf(max[i] - shift);
      total[i] = total[i] * fade + sum_lanes<float>(sum + other);
      if (k0 != 0 && fade != 1)
        for (int64_t j = 0; j < plan.value_width; j += kLane)
          store(sums + i * plan.value_width + j, load(sums + i * plan.value_width + j) * fade);
      max[i] = now;
    }
    row_product(scores, kTile * kRow, rows, values + k0 * kPanel, plan.keys * kPanel, sums, plan.value_width,
                s.value_width, columns, k0 != 0);
  }
  for (int64_t i = 0; i < rows; ++i) {
    float factor = total[i] > 0 || total[i] != total[i] ? 1 / total[i] : 0;
    float* to = out + i * s.out.row;
    each_vector<float>(0, s.value_width, [&](int64_t j, auto span) FLAMBEAU_LAMBDA {
      span.store(to + j, factor == 0 ? F{} : load(sums + i * plan.value_width + j) * factor);
    });
    if (lse) lse[i] = max[i] + __builtin_logf(total[i]);
  }
}

void forward(const AttentionShape& s, const float* q, const float* k, const float* v, float* out, float* logsumexp) {
  Plan plan(s);
  int64_t kv = s.batch * s.kv_heads, key_size = plan.keys * s.width, value_size = plan.keys * plan.value_width;
  Arena packed(kv * (key_size + value_size) + 128);
  float *keys = packed.take(kv * key_size), *values = packed.take(kv * value_size);
  parallel_for(kv, grain_for(s.keys * (s.width + s.value_width) / 2), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      int64_t b = t / s.kv_heads, h = t % s.kv_heads;
      pack_transposed(k + Plan::at(s.k, b, h), s.k.row, s.keys, s.width, keys + t * key_size);
      // panels of values are plan.keys rows apart so that a block of keys may end in padding
      for (int64_t j = 0; j < s.value_width; j += kPanel)
        pack_panels(v + Plan::at(s.v, b, h) + j, s.v.row, s.keys, smaller(kPanel, s.value_width - j),
                    values + t * value_size + j * plan.keys);
    }
  });
  int64_t blocks = ceil_div(s.queries, kQueries);
  parallel_for(s.batch * s.heads * blocks, grain_for(kQueries * s.keys * (s.width + s.value_width) / 48, 60000),
               [&](int64_t begin, int64_t end) {
                 Arena arena(kQueries * (s.width + kRow + plan.value_width) + 128);
                 for (int64_t t = begin; t < end; ++t) {
                   int64_t head = t / blocks, b = head / s.heads, h = head % s.heads, q0 = t % blocks * kQueries;
                   int64_t from = b * s.kv_heads + h / plan.share;
                   arena.next = arena.all;
                   forward_block(plan, q + Plan::at(s.q, b, h) + q0 * s.q.row, keys + from * key_size,
                                 values + from * value_size, out + Plan::at(s.out, b, h) + q0 * s.out.row,
                                 logsumexp ? logsumexp + head * s.queries + q0 : nullptr, b, h, q0,
                                 smaller(kQueries, s.queries - q0), arena);
                 }
               });
}

// Everything for one key/value head: its gradients gather the query heads that share it.
struct HeadBuffers {
  float *keys, *keys_t, *values_t, *dk, *dv, *dq, *queries, *query_panels, *grads, *grad_panels, *probabilities,
      *slopes;
};

void backward_block(const Plan& plan, const HeadBuffers& m, const float* q, const float* grad, const float* out,
                    const float* lse, int64_t b, int64_t h, int64_t q0, int64_t rows, float* dq) {
  const AttentionShape& s = plan.s;
  float delta[kQueries], shift[kQueries];
  pack_tiles(q, s.q.row, rows, s.width, s.scale, m.queries);
  pack_panels(q, s.q.row, rows, s.width, m.query_panels);
  pack_tiles(grad, s.out.row, rows, s.value_width, 1, m.grads);
  pack_panels(grad, s.out.row, rows, s.value_width, m.grad_panels);
  for (int64_t i = 0; i < rows; ++i) {
    F sum = {};
    each_vector<float>(0, s.value_width, [&](int64_t j, auto span) FLAMBEAU_LAMBDA {
      sum += span.load(grad + i * s.out.row + j) * span.load(out + i * s.out.row + j);
    });
    delta[i] = sum_lanes<float>(sum);
    shift[i] = lse[i] == -kInfinity<float> ? kInfinity<float> : lse[i];
  }
  int64_t visible = plan.visible(q0 + rows);
  for (int64_t k0 = 0; k0 < visible; k0 += kKeys) {
    int64_t columns = smaller(kKeys, visible - k0), padded = round_up(columns, kPanel);
    packed_product(m.queries, s.width * kTile, rows, m.keys_t + k0 * s.width, s.width * kPanel, m.probabilities, kRow,
                   columns, s.width, false);
    packed_product(m.grads, s.value_width * kTile, rows, m.values_t + k0 * s.value_width, s.value_width * kPanel,
                   m.slopes, kRow, columns, s.value_width, false);
    mask_scores(plan, m.probabilities, b, h, q0, rows, k0, columns);
    for (int64_t i = 0; i < rows; ++i) {
      float *p = m.probabilities + i * kRow, *d = m.slopes + i * kRow;
      F by = splat(shift[i]), less = splat(delta[i]), factor = splat(s.scale);
      for (int64_t j = 0; j < padded; j += kLane) {
        F x = load(p + j) - by, e = exp_nonpositive<float>(x > F{} ? F{} : x);
        store(p + j, e);
        store(d + j, e * (load(d + j) - less) * factor);
      }
      for (int64_t j = padded; j < padded + 16; j += kLane) {  // the last tile of columns may add these
        store(p + j, F{});
        store(d + j, F{});
      }
    }
    row_product(m.slopes, kTile * kRow, rows, m.keys + k0 * kPanel, plan.keys * kPanel, dq, plan.width, s.width,
                columns, k0 != 0);
    column_product(m.probabilities, kTile, columns, m.grad_panels, rows * kPanel, m.dv + k0 * plan.value_width,
                   plan.value_width, s.value_width, rows, true);
    column_product(m.slopes, kTile, columns, m.query_panels, rows * kPanel, m.dk + k0 * plan.width, plan.width, s.width,
                   rows, true);
  }
}

void backward(const AttentionShape& s, const float* q, const float* k, const float* v, const float* out,
              const float* logsumexp, const float* grad, float* dq, float* dk, float* dv) {
  Plan plan(s);
  const int64_t spare = 2 * kTile;  // rows of rubbish at the end of dk and dv
  const int64_t key_size = plan.keys * plan.width, value_size = plan.keys * plan.value_width;
  const int64_t floats = 2 * key_size + value_size + (plan.keys + spare) * (plan.width + plan.value_width) +
                         kQueries * (3 * plan.width + 2 * plan.value_width) + 2 * kQueries * kRow + 1024;
  parallel_for(s.batch * s.kv_heads, 1, [&](int64_t begin, int64_t end) {
    Arena arena(floats);
    HeadBuffers m;
    m.keys = arena.take(key_size);
    m.keys_t = arena.take(key_size);
    m.values_t = arena.take(value_size);
    m.dk = arena.take((plan.keys + spare) * plan.width);
    m.dv = arena.take((plan.keys + spare) * plan.value_width);
    m.dq = arena.take(kQueries * plan.width);
    m.queries = arena.take(kQueries * plan.width);
    m.query_panels = arena.take(kQueries * plan.width);
    m.grads = arena.take(kQueries * plan.value_width);
    m.grad_panels = arena.take(kQueries * plan.value_width);
    m.probabilities = arena.take(kQueries * kRow);
    m.slopes = arena.take(kQueries * kRow);
    for (int64_t t = begin; t < end; ++t) {
      int64_t b = t / s.kv_heads, kv = t % s.kv_heads;
      const float *kh = k + Plan::at(s.k, b, kv), *vh = v + Plan::at(s.v, b, kv);
      for (int64_t j = 0; j < s.width; j += kPanel)
        pack_panels(kh + j, s.k.row, s.keys, smaller(kPanel, s.width - j), m.keys + j * plan.keys);
      pack_transposed(kh, s.k.row, s.keys, s.width, m.keys_t);
      pack_transposed(vh, s.v.row, s.keys, s.value_width, m.values_t);
      __builtin_memset(m.dk, 0, plan.keys * plan.width * sizeof(float));
      __builtin_memset(m.dv, 0, plan.keys * plan.value_width * sizeof(float));
      for (int64_t h = kv * plan.share; h < (kv + 1) * plan.share; ++h)
        for (int64_t q0 = 0; q0 < s.queries; q0 += kQueries) {
          int64_t rows = smaller(kQueries, s.queries - q0), o = Plan::at(s.out, b, h) + q0 * s.out.row;
          if (plan.visible(q0 + rows) <= 0) __builtin_memset(m.dq, 0, kQueries * plan.width * sizeof(float));
          backward_block(plan, m, q + Plan::at(s.q, b, h) + q0 * s.q.row, grad + o, out + o,
                         logsumexp + (b * s.heads + h) * s.queries + q0, b, h, q0, rows, m.dq);
          for (int64_t i = 0; i < rows; ++i)
            __builtin_memcpy(dq + Plan::at(s.q, b, h) + (q0 + i) * s.q.row, m.dq + i * plan.width,
                             s.width * sizeof(float));
        }
      for (int64_t i = 0; i < s.keys; ++i) {
        __builtin_memcpy(dk + Plan::at(s.k, b, kv) + i * s.k.row, m.dk + i * plan.width, s.width * sizeof(float));
        __builtin_memcpy(dv + Plan::at(s.v, b, kv) + i * s.v.row, m.dv + i * plan.value_width,
                         s.value_width * sizeof(float));
      }
    }
  });
}

}  // namespace

const AttentionKernels kAttentionKernels = {forward, backward};

}  // namespace flambeau::kernels::FLAMBEAU_ISA
