// Resampling planes to another size, and padding them by reflection or replication. Linear maps and their transposes.
#include "kernels/cpu/interpolate.h"
#include "kernels/cpu/movement.h"
#include "ops/entries.h"

namespace flambeau {

namespace {

using kernels::Interpolation;
using kernels::PadMode;

// ---- resampling ----

kernels::ResampleShape resample_shape(Ints in, Ints out, const Value* options) {
  kernels::ResampleShape s;
  int n = int(out.size());
  s.planes = product(in.first(in.size() - out.size()));
  for (int k = 0; k < 3; k++) s.in[k] = s.out[k] = 1;
  std::span<const double> scales =
      options[0].kind == Kind::Doubles ? options[0].as_doubles() : std::span<const double>();
  for (int i = 0; i < n; i++) {
    int k = 3 - n + i;
    s.in[k] = in[in.size() - size_t(n - i)];
    s.out[k] = out[size_t(i)];
    if (!scales.empty()) s.scale[k] = scales[size_t(i)];
  }
  s.mode = Interpolation(options[1].as_int());
  s.align_corners = options[2].as_bool();
  s.antialias = options[3].as_bool();
  return s;
}

const char* axes(int n) { return &"DHW"[3 - n]; }
std::string extents_text(Ints spatial) {
  std::string text;
  for (size_t i = 0; i < spatial.size(); i++)
    text += str(i ? ", " : "", axes(int(spatial.size()))[i], ": ", spatial[i]);
  return text;
}

void upsample(Call& c, int n, Interpolation mode, bool antialias = false) {
  const char* name = c.primitive.name;
  bool corners = mode == Interpolation::Linear || mode == Interpolation::Cubic;
  const Tensor& t = c.tensor(0);
  const Value &size = c.args[1], &scales = c.args[corners ? 3 : 2];
  if (size.none() == scales.none())
    fail(ErrorKind::Runtime, "Must specify exactly one of output_size and scale_factors\n", name, ": got ",
         size.none() ? "neither" : "both");
  if (t.dim() != n + 2)
    fail(ErrorKind::Runtime, "Expected a ", n + 2, "D input, but got a tensor with sizes ", text_of(t.sizes()), "\n",
         name, ": expected (n, c, ",
         n == 1   ? "w"
         : n == 2 ? "h, w"
                  : "d, h, w",
         "); got ", describe(t));
  if (int(size.none() ? scales.count : size.as_ints().size()) != n)
    fail(ErrorKind::Runtime, "It is expected output_size equals to ", n, ", but got size ",
         size.none() ? int(scales.count) : int(size.as_ints().size()), "\n", name,
         ": expected one number for each spatial dimension");
  Dims out(n);
  for (int i = 0; i < n; i++)
    out[i] = size.none() ? int64_t(double(t.size(i + 2)) * scales.doubles[i]) : size.as_ints()[size_t(i)];
  for (int i = 0; i < n; i++)
    if (t.size(i + 2) <= 0 || out[i] <= 0)
      fail(ErrorKind::Runtime, "Input and output sizes should be greater than 0, but got input (",
           extents_text(t.sizes().last(size_t(n))), ") and output (", extents_text(out), ")\n", name, ": got ",
           describe(t));
  if (t.size(1) == 0)
    fail(ErrorKind::Runtime, "Non-empty ", n + 2, "D data tensor expected but got a tensor with sizes ",
         text_of(t.sizes()), "\n", name, ": got ", describe(t));
  bool bytes = t.dtype() == DType::UInt8 && (!corners || n == 2);
  if (!is_floating(t.dtype()) && !bytes)
    fail(ErrorKind::NotImplemented, "\"", name, "\" not implemented for '", python_name_of(t.dtype()), "'\n", name,
         ": got ", describe(t));
  c.results[0] = ops::resample(t, out, scales, int(mode), corners && c.args[2].as_bool(), antialias);
}

// Rounded to the nearest byte, ties to even, as far as the range goes.
void store_bytes(const Tensor& y, const Tensor& from) {
  const float* x = from.data_as<float>();
  auto* to = y.data_as<uint8_t>();
  for (int64_t i = 0; i < y.numel(); i++) to[i] = uint8_t(std::clamp(std::nearbyintf(x[i]), 0.f, 255.f));
}

// ---- padding ----

struct Padding {
  Dims size, before, after, out;  // of the padded dimensions, in their order; out: all dimensions
};
Padding padding_of(Ints sizes, Ints padding) {
  Padding p;
  int n = int(padding.size()) / 2;
  p.out = Dims(sizes);
  for (int i = 0; i < n; i++) {
    int dim = int(sizes.size()) - n + i, pair = n - 1 - i;
    p.size.push_back(sizes[size_t(dim)]);
    p.before.push_back(padding[size_t(2 * pair)]);
    p.after.push_back(padding[size_t(2 * pair + 1)]);
    p.out[dim] = plus(plus(p.out[dim], p.before[i]), p.after[i]);
  }
  return p;
}

void check_padding(const char* name, const Tensor& t, Ints padding, PadMode mode) {
  Padding p = padding_of(t.sizes(), padding);
  int n = p.size.size();
  for (int i = 0; i < n; i++) {
    int dim = t.dim() - n + i;
    int64_t limit = p.size[i] - (mode == PadMode::Reflect);
    if (mode != PadMode::Replicate && (p.before[i] > limit || p.after[i] > limit))
      fail(ErrorKind::Runtime, "Argument #", 4 + 2 * (n - 1 - i),
           ": Padding size should be less than the corresponding input dimension, but got: padding (", p.before[i],
           ", ", p.after[i], ") at dimension ", dim, " of input ", text_of(t.sizes()), "\n", name,
           ": expected at most ", limit);
  }
  for (int i = 0; i < n; i++)
    if (p.out[t.dim() - n + i] < 1)
      fail(ErrorKind::Runtime, "input (", extents_text(p.size), ") is too small. Calculated output (",
           extents_text(Ints(p.out).last(size_t(n))), ")\n", name, ": expected padding ", shape_text(padding),
           " to leave something; got ", describe(t));
}

void pad(Call& c, int n, PadMode mode) {
  const char* name = c.primitive.name;
  const Tensor& t = c.tensor(0);
  Ints padding = c.args[1].as_ints();
  if (int(padding.size()) != 2 * n)
    fail(ErrorKind::Runtime, "padding size is expected to be ", 2 * n, ", but got: ", padding.size(), "\n", name,
         ": expected (left, right", n > 1 ? ", ..." : "", "); got ", shape_text(padding));
  bool good = t.dim() == n + 1 || t.dim() == n + 2;
  for (int i = t.dim() == n + 2; good && i < t.dim(); i++) good = t.size(i) > 0;
  if (!good)
    fail(ErrorKind::Runtime, "Expected ", n + 1, "D or ", n + 2,
         "D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, but got: ",
         text_of(t.sizes()), "\n", name, ": got ", describe(t));
  if (is_bool(t.dtype()))
    fail(ErrorKind::NotImplemented, "\"", name, "\" not implemented for 'Bool'\n", name, ": got ", describe(t));
  c.results[0] = ops::pad_borders(t, padding, int(mode));
}

int64_t batch_of(const Tensor& t, const Padding& p) {
  return product(t.sizes().first(size_t(t.dim() - p.size.size())));
}

}  // namespace

namespace entries {

static void check_options(const Value* options, size_t n) {
  int64_t mode = options[1].as_int();
  if (mode < 0 || mode > int64_t(Interpolation::Cubic) || n > 3 ||
      (options[0].kind == Kind::Doubles && options[0].count != n))
    fail(ErrorKind::Runtime, "resample: expected at most three sizes, a scale for each, a known mode; got mode ", mode);
}

void resample(Call& c) {
  const Tensor& t = c.tensor(0);
  Ints size = c.args[1].as_ints();
  check_options(c.args + 2, size.size());
  for (int i = std::max(0, t.dim() - int(size.size())); i < t.dim(); i++)
    if (t.size(i) == 0) fail(ErrorKind::Runtime, "resample: expected planes that are not empty; got ", describe(t));
  if (t.dim() <= int(size.size()))
    fail(ErrorKind::Runtime, "resample: expected an input with more dimensions than size ", shape_text(size), "; got ",
         describe(t));
  for (int64_t s : size)
    if (s <= 0)
      fail(ErrorKind::Runtime,
           "Input and output sizes should be greater than 0\nresample: expected a positive size; got ",
           shape_text(size));
  Dims sizes(t.sizes());
  for (size_t i = 0; i < size.size(); i++) sizes[t.dim() - int(size.size()) + int(i)] = size[i];
  Tensor& y = result(c, 0, sizes, t.dtype());
  if (!y.numel()) return;
  bool bytes = t.dtype() == DType::UInt8;
  Tensor x = computable(bytes ? converted(t, DType::Float32) : t, "upsample");
  Tensor out = x.dtype() == t.dtype() ? y : empty(sizes, x.dtype());
  kernels::table<kernels::InterpolateKernels>().forward[wide(x)](x.data(), out.data(),
                                                                 resample_shape(t.sizes(), size, c.args + 2));
  if (bytes)
    store_bytes(y, out);
  else if (out.get() != y.get())
    copy_into(y, out);
}

void resample_backward(Call& c) {
  const Tensor& g = c.tensor(0);
  Ints sizes = c.args[1].as_ints(), size = c.args[2].as_ints();
  Dims expected(sizes);
  bool good = sizes.size() > size.size() && !size.empty() && size.size() <= 3;
  for (size_t i = 0; good && i < size.size(); i++) expected[int(sizes.size() - size.size() + i)] = size[i];
  for (size_t i = 0; good && i < sizes.size(); i++)
    good = sizes[i] >= 0 && (i < sizes.size() - size.size() || sizes[i] > 0);
  if (!good || !equal(expected, g.sizes()))
    fail(ErrorKind::Runtime, "resample_backward: expected a cotangent of the result's shape; got ", describe(g),
         " for ", shape_text(sizes), " resampled to ", shape_text(size));
  check_options(c.args + 3, size.size());
  Tensor x = computable(g, "upsample");
  Tensor& y = result(c, 0, sizes, g.dtype());
  if (!y.numel()) return;
  Tensor out = x.dtype() == g.dtype() ? y : empty(sizes, x.dtype());
  kernels::table<kernels::InterpolateKernels>().backward[wide(x)](x.data(), out.data(),
                                                                  resample_shape(sizes, size, c.args + 3));
  if (out.get() != y.get()) copy_into(y, out);
}

void upsample_nearest1d(Call& c) { upsample(c, 1, Interpolation::Nearest); }
void upsample_nearest2d(Call& c) { upsample(c, 2, Interpolation::Nearest); }
void upsample_nearest3d(Call& c) { upsample(c, 3, Interpolation::Nearest); }
void _upsample_nearest_exact1d(Call& c) { upsample(c, 1, Interpolation::NearestExact); }
void _upsample_nearest_exact2d(Call& c) { upsample(c, 2, Interpolation::NearestExact); }
void _upsample_nearest_exact3d(Call& c) { upsample(c, 3, Interpolation::NearestExact); }
void upsample_linear1d(Call& c) { upsample(c, 1, Interpolation::Linear); }
void upsample_bilinear2d(Call& c) { upsample(c, 2, Interpolation::Linear); }
void upsample_trilinear3d(Call& c) { upsample(c, 3, Interpolation::Linear); }
void upsample_bicubic2d(Call& c) { upsample(c, 2, Interpolation::Cubic); }
void _upsample_bilinear2d_aa(Call& c) { upsample(c, 2, Interpolation::Linear, true); }
void _upsample_bicubic2d_aa(Call& c) { upsample(c, 2, Interpolation::Cubic, true); }

void pad_borders(Call& c) {
  const Tensor& t = c.tensor(0);
  Ints padding = c.args[1].as_ints();
  PadMode mode = PadMode(c.args[2].as_int());
  if (c.args[2].as_int() < 0 || c.args[2].as_int() > int64_t(PadMode::Circular))
    fail(ErrorKind::Runtime, "pad: expected a known mode; got ", c.args[2].as_int());
  if (padding.size() % 2 || int(padding.size()) / 2 > t.dim() || padding.size() > 6)
    fail(ErrorKind::Runtime, "pad: expected (left, right) for at most three of the last dimensions; got ",
         shape_text(padding), " for ", describe(t));
  check_padding("pad", t, padding, mode);
  Padding p = padding_of(t.sizes(), padding);
  Tensor x = contiguous(t);
  Tensor& y = result(c, 0, p.out, t.dtype());
  if (!y.numel()) return;
  if (!x.numel())
    fail(ErrorKind::Runtime,
         "Expected a tensor with possibly 0 batch size and other non-zero dimensions for input, but got: ",
         text_of(t.sizes()), "\npad: expected borders that there is something to fill from; got ", describe(t), " and ",
         shape_text(padding));
  kernels::table<kernels::MovementKernels>().pad(y.data(), x.data(), batch_of(t, p), p.size.size(), p.size.data(),
                                                 p.before.data(), p.after.data(), mode, int(item_size(t.dtype())));
}

void pad_borders_backward(Call& c) {
  const Tensor& g = c.tensor(0);
  Ints sizes = c.args[1].as_ints();
  PadMode mode = PadMode(c.args[3].as_int());
  Ints padding = c.args[2].as_ints();
  if (padding.size() % 2 || padding.size() / 2 > sizes.size() || padding.size() > 6 || c.args[3].as_int() < 0 ||
      c.args[3].as_int() > int64_t(PadMode::Circular))
    fail(ErrorKind::Runtime, "pad_borders_backward: expected (left, right) for at most three dimensions; got ",
         shape_text(padding), " for ", shape_text(sizes));
  Padding p = padding_of(sizes, padding);
  if (!equal(p.out, g.sizes()))
    fail(ErrorKind::Runtime, "pad_borders_backward: expected a cotangent of shape ", shape_text(p.out), "; got ",
         describe(g));
  Tensor& y = result(c, 0, sizes, g.dtype());
  if (!y.numel()) return;
  auto transposed = [&](const Tensor& from) {
    Tensor x = computable(from, "pad"), out = empty(sizes, x.dtype());
    kernels::table<kernels::MovementKernels>().pad_backward(x.dtype(), out.data(), x.data(), batch_of(y, p),
                                                            p.size.size(), p.size.data(), p.before.data(),
                                                            p.after.data(), mode);
    return out;
  };
  if (!is_complex(g.dtype())) return copy_into(y, transposed(g));
  Tensor from = ops::view_as_real(g), to = ops::view_as_real(y);
  for (int part : {0, 1}) copy_into(ops::select(to, -1, part), transposed(ops::select(from, -1, part)));
}

void reflection_pad1d(Call& c) { pad(c, 1, PadMode::Reflect); }
void reflection_pad2d(Call& c) { pad(c, 2, PadMode::Reflect); }
void reflection_pad3d(Call& c) { pad(c, 3, PadMode::Reflect); }
void replication_pad1d(Call& c) { pad(c, 1, PadMode::Replicate); }
void replication_pad2d(Call& c) { pad(c, 2, PadMode::Replicate); }
void replication_pad3d(Call& c) { pad(c, 3, PadMode::Replicate); }

}  // namespace entries

}  // namespace flambeau
