// Walking strided operands through one whole-vector loop: contiguous pieces go straight to the loop, everything else
// (strides, conversions, tails that may not be written past) through tiles that stay in the L1 cache.
#include <cstring>
#include "base/parallel.h"
#include "kernels/cpu/copy.h"
#include "ops/elementwise.h"

namespace flambeau::ops {

namespace {

constexpr int kMaxOperands = 16;
constexpr int64_t kTile = 512;  // elements
constexpr int64_t kTileBytes = kTile * 16;
constexpr int64_t kGrain = 32768;  // elements of one parallel piece

struct Plan {
  Loop loop;
  int results, operands, dims;
  int64_t sizes[kMaxDims];  // outermost first
  int64_t strides[kMaxOperands][kMaxDims];
  char* data[kMaxOperands];
  DType dtype[kMaxOperands], loop_dtype[kMaxOperands];
  int64_t lanes;  // elements in 64 bytes of the compute type
};

// Dimensions in the order of the first result's memory (or the first operand's), neighbours that fit merged.
void coalesce(Plan& p, Ints sizes, const Operand* list) {
  int order[kMaxDims], n = 0;
  for (int d = 0; d < int(sizes.size()); d++)
    if (sizes[d] != 1) order[n++] = d;
  auto closer = [&](int a, int b) {  // whether a varies slower than b
    for (int i = 0; i < p.operands; i++) {
      int64_t x = list[i].strides[a], y = list[i].strides[b];
      if (x == y || x == 0 || y == 0) continue;
      return x > y;
    }
    return false;
  };
  for (int i = 1; i < n; i++)  // insertion sort: stable, and the comparison is not a strict order
    for (int j = i; j > 0 && closer(order[j], order[j - 1]); j--) std::swap(order[j], order[j - 1]);
  p.dims = 0;
  for (int k = 0; k < n; k++) {
    int d = order[k];
    bool merges = p.dims > 0;
    for (int i = 0; merges && i < p.operands; i++) merges = p.strides[i][p.dims - 1] == list[i].strides[d] * sizes[d];
    int at = merges ? p.dims - 1 : p.dims++;
    p.sizes[at] = (merges ? p.sizes[at] : 1) * sizes[d];
    for (int i = 0; i < p.operands; i++) p.strides[i][at] = list[i].strides[d];
  }
  if (p.dims == 0) {
    p.dims = 1;
    p.sizes[0] = 1;
    for (int i = 0; i < p.operands; i++) p.strides[i][0] = int64_t(item_size(list[i].dtype));
  }
}

struct Position {  // a place in the outer dimensions
  int64_t index[kMaxDims];
  char* data[kMaxOperands];
};

Position locate(const Plan& p, int64_t row) {
  Position at;
  for (int i = 0; i < p.operands; i++) at.data[i] = p.data[i];
  for (int d = p.dims - 2; d >= 0; d--) {
    at.index[d] = row % p.sizes[d];
    row /= p.sizes[d];
    for (int i = 0; i < p.operands; i++) at.data[i] += at.index[d] * p.strides[i][d];
  }
  return at;
}

void next_row(const Plan& p, Position& at) {
  for (int d = p.dims - 2; d >= 0; d--) {
    for (int i = 0; i < p.operands; i++) at.data[i] += p.strides[i][d];
    if (++at.index[d] < p.sizes[d]) return;
    for (int i = 0; i < p.operands; i++) at.data[i] -= p.sizes[d] * p.strides[i][d];
    at.index[d] = 0;
  }
}

struct Tiles {
  alignas(64) char bytes[kMaxOperands][kTileBytes];
  alignas(64) char splats[kMaxOperands][64];
};

void splat(char* to, DType to_dtype, const char* from, DType from_dtype) {
  const auto& kernels = kernels::table<kernels::CopyKernels>();
  kernels.load_tile(to, to_dtype, 64 / int64_t(item_size(to_dtype)), from, 0, from_dtype);
}

class Walker {
 public:
  Walker(const Plan& plan, Tiles& tiles) : p(plan), tiles(tiles), kernels(kernels::table<kernels::CopyKernels>()) {
    int inner = p.dims - 1;
    for (int i = 0; i < p.operands; i++) {
      int64_t stride = p.strides[i][inner];
      direct_[i] = p.dtype[i] == p.loop_dtype[i] && stride == int64_t(item_size(p.dtype[i]));
      constant_[i] = i >= p.results && stride == 0;
    }
  }

  // One inner row, cut into whole blocks where everything is direct and tiles otherwise.
  void row(char* const* data, int64_t count) {
    int64_t done = 0;
    bool all_direct = true;
    for (int i = 0; i < p.operands; i++) all_direct = all_direct && (direct_[i] || constant_[i]);
    for (int i = p.results; i < p.operands; i++)
      if (constant_[i]) splat(tiles.splats[i], p.loop_dtype[i], data[i], p.dtype[i]);
    if (all_direct && count >= p.lanes) {
      char* at[kMaxOperands];
      int64_t steps[kMaxOperands];
      for (int i = 0; i < p.operands; i++) {
        at[i] = constant_[i] ? tiles.splats[i] : data[i];
        steps[i] = !constant_[i];
      }
      done = count / p.lanes * p.lanes;
      p.loop(at, steps, done);
    }
    for (; done < count; done += kTile) {
      int64_t n = std::min(kTile, count - done);
      char* at[kMaxOperands];
      int64_t steps[kMaxOperands];
      for (int i = 0; i < p.operands; i++) {
        char* from = data[i] + done * p.strides[i][p.dims - 1];
        at[i] = constant_[i] ? tiles.splats[i] : tiles.bytes[i];
        steps[i] = !constant_[i];
        if (constant_[i] || i < p.results) continue;
        if (direct_[i] && n % p.lanes == 0)
          at[i] = from;
        else
          load(i, tiles.bytes[i], from, n);
      }
      bool whole = n % p.lanes == 0;
      for (int i = 0; i < p.results; i++)
        if (direct_[i] && whole) at[i] = data[i] + done * p.strides[i][p.dims - 1];
      p.loop(at, steps, n);
      for (int i = 0; i < p.results; i++)
        if (at[i] == tiles.bytes[i]) store(i, data[i] + done * p.strides[i][p.dims - 1], tiles.bytes[i], n);
    }
  }

  // Several short rows gathered into one tile.
  void rows(Position& at, int64_t count) {
    int64_t inner = p.sizes[p.dims - 1], per_tile = std::max<int64_t>(1, kTile / inner);
    while (count > 0) {
      int64_t n = std::min(count, per_tile);
      char* starts[kMaxOperands];
      int64_t steps[kMaxOperands];
      Position begin = at;
      for (int64_t r = 0; r < n; r++) {
        for (int i = p.results; i < p.operands; i++)
          load(i, tiles.bytes[i] + r * inner * int64_t(item_size(p.loop_dtype[i])), at.data[i], inner);
        next_row(p, at);
      }
      for (int i = 0; i < p.operands; i++) {
        starts[i] = tiles.bytes[i];
        steps[i] = 1;
      }
      p.loop(starts, steps, n * inner);
      for (int64_t r = 0; r < n; r++) {
        for (int i = 0; i < p.results; i++)
          store(i, begin.data[i], tiles.bytes[i] + r * inner * int64_t(item_size(p.loop_dtype[i])), inner);
        next_row(p, begin);
      }
      count -= n;
    }
  }

 private:
  void load(int i, char* tile, const char* from, int64_t n) {
    kernels.load_tile(tile, p.loop_dtype[i], n, from, p.strides[i][p.dims - 1], p.dtype[i]);
  }
  void store(int i, char* to, const char* tile, int64_t n) {
    kernels.store_tile(to, p.strides[i][p.dims - 1], p.dtype[i], n, tile, p.loop_dtype[i]);
  }

  const Plan& p;
  Tiles& tiles;
  const kernels::CopyKernels& kernels;
  bool direct_[kMaxOperands], constant_[kMaxOperands];
};

}  // namespace

void iterate(Loop loop, int results, int operands, Operand* list, Ints sizes, DType compute) {
  Plan p;
  p.loop = loop;
  p.results = results;
  p.operands = operands;
  p.lanes = 64 / int64_t(item_size(compute));
  for (int i = 0; i < operands; i++) {
    p.data[i] = list[i].data;
    p.dtype[i] = list[i].dtype;
    p.loop_dtype[i] = list[i].loop_dtype;
  }
  coalesce(p, sizes, list);
  int64_t inner = p.sizes[p.dims - 1], rows = 1;
  for (int d = 0; d + 1 < p.dims; d++) rows *= p.sizes[d];
  if (rows == 1) {  // one long row: pieces of it
    int64_t grain = kGrain;
    parallel_for(inner, grain, [&](int64_t begin, int64_t end) {
      Tiles tiles;
      char* data[kMaxOperands];
      for (int i = 0; i < p.operands; i++) data[i] = p.data[i] + begin * p.strides[i][0];
      Walker(p, tiles).row(data, end - begin);
    });
    return;
  }
  parallel_for(rows, std::max<int64_t>(1, kGrain / inner), [&](int64_t begin, int64_t end) {
    Tiles tiles;
    Walker walker(p, tiles);
    Position at = locate(p, begin);
    if (inner < 64) return walker.rows(at, end - begin);
    for (int64_t r = begin; r < end; r++) {
      walker.row(at.data, inner);
      next_row(p, at);
    }
  });
}

}  // namespace flambeau::ops
