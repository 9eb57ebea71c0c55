// Composites that are called too often for a Python frame.
#include "ops/entries.h"

namespace flambeau::entries {

void reshape(Call& c) {
  const Tensor& t = c.tensor(0);
  Dims size = inferred_size(c.args[1].as_ints(), t.numel()), strides;
  c.results[0] =
      ops::view(view_strides(t, size, strides) ? t : ops::clone(t, std::string_view("contiguous_format")), size);
}

void contiguous(Call& c) {
  const Tensor& t = c.tensor(0);
  if (c.args[1].kind == Kind::Text && c.args[1].as_text() != "contiguous_format" &&
      c.args[1].as_text() != "preserve_format") {
    c.results[0] = ops::clone(t, c.args[1]);
    return;
  }
  c.results[0] = t.contiguous() ? t : ops::clone(t, std::string_view("contiguous_format"));
}

void flatten(Call& c) {
  const Tensor& t = c.tensor(0);
  int start = wrap_dim(c.args[1].as_int(), t.dim()), end = wrap_dim(c.args[2].as_int(), t.dim());
  if (start > end) fail(ErrorKind::Runtime, "flatten() has invalid args: start_dim cannot come after end_dim");
  if (t.dim() == 0) {
    c.results[0] = ops::reshape(t, Dims{1});
    return;
  }
  if (start == end) {
    c.results[0] = t;
    return;
  }
  Dims size;
  int64_t merged = 1;
  for (int i = 0; i < t.dim(); i++) {
    if (i < start || i > end)
      size.push_back(t.size(i));
    else
      merged *= t.size(i);
    if (i == end) size.push_back(merged);
  }
  c.results[0] = ops::reshape(t, size);
}

void resolve_conj(Call& c) { c.results[0] = c.tensor(0); }
void resolve_neg(Call& c) { c.results[0] = c.tensor(0); }

}  // namespace flambeau::entries
