// Extents and strides: broadcasting, wrapping, text.
#include "tensor/dims.h"

namespace flambeau {

Dims contiguous_strides(Ints sizes) {
  Dims strides(int(sizes.size()));
  int64_t step = 1;
  for (int i = int(sizes.size()) - 1; i >= 0; i--) {
    strides[i] = step;
    // Beyond 64 bits only where there are no elements, or an error follows.
    step = int64_t(uint64_t(step) * uint64_t(std::max<int64_t>(sizes[i], 1)));
  }
  return strides;
}

void overflowed(const char* what, int64_t a, int64_t b) {
  fail(ErrorKind::Runtime, "integer out of range: the ", what, " of ", a, " and ", b, " does not fit 64 bits");
}

int64_t count_of(Ints sizes) {
  int64_t n = 1;
  bool fits = true, none = false;
  for (int64_t s : sizes) {
    fits = !__builtin_mul_overflow(n, s, &n) && fits;
    none = none || s == 0;
  }
  if (none) return 0;
  if (!fits)
    fail(ErrorKind::Runtime, "numel: integer multiplication overflow\nexpected fewer elements; got ",
         shape_text(sizes));
  return n;
}

static std::string joined(Ints list, char open, char close) {
  std::string text(1, open);
  for (size_t i = 0; i < list.size(); i++) text += (i ? ", " : "") + std::to_string(list[i]);
  if (open == '(' && list.size() == 1) text += ',';
  return text + close;
}
std::string text_of(Ints list) { return joined(list, '[', ']'); }
std::string shape_text(Ints list) { return joined(list, '(', ')'); }

int wrap_dim(int64_t dim, int rank) {
  int64_t n = std::max(rank, 1);
  if (dim < -n || dim >= n)
    fail(ErrorKind::Index, "Dimension out of range (expected to be in range of [", -n, ", ", n - 1, "], but got ", dim,
         ")");
  return int(dim < 0 ? dim + n : dim);
}

Dims broadcast(Ints a, Ints b) {
  Ints longer = a.size() >= b.size() ? a : b, shorter = a.size() >= b.size() ? b : a;
  Dims result(longer);
  int shift = int(longer.size() - shorter.size());
  for (int i = 0; i < int(shorter.size()); i++) {
    int64_t &x = result[i + shift], y = shorter[i];
    if (x == y || y == 1) continue;
    if (x != 1) {
      int64_t first = a.size() >= b.size() ? x : y, second = a.size() >= b.size() ? y : x;
      fail(ErrorKind::Runtime, "The size of tensor a (", first, ") must match the size of tensor b (", second,
           ") at non-singleton dimension ", i + shift,
           "\nbroadcast: expected sizes that are equal or 1 from the right; got ", shape_text(a), " and ",
           shape_text(b));
    }
    x = y;
  }
  return result;
}

}  // namespace flambeau
