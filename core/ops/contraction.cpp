// Matrix products: shapes and errors, and the broadcasting of matmul over the gemm kernels.
#include "kernels/cpu/gemm.h"
#include "ops/entries.h"

namespace flambeau {

namespace {

// The matrices of a tensor's last two dimensions, as gemm wants them: one stride is 1, and the other, the leading
// dimension, at least the extent along the first. `batch` is the step to the next one, 0 where there is but one.
struct Matrix {
  const void* data;
  int64_t rows, cols, row, col, batch;
};
Matrix matrix_of(const Tensor& tensor, Tensor& room) {  // room: keeps the copy, if there has to be one
  const int d = tensor.dim();
  const Tensor* t = &tensor;
  Matrix m{t->data(), t->size(d - 2), t->size(d - 1), t->stride(d - 2), t->stride(d - 1), 0};
  // The stride of an extent of 1 says nothing, so it is chosen to fit.
  if (m.cols <= 1) m.col = 1;
  if (m.rows <= 1) m.row = m.col == 1 ? std::max<int64_t>(m.cols, 1) : 1;
  if (!(m.col == 1 && m.row >= m.cols) && !(m.row == 1 && m.col >= m.rows)) {
    room = contiguous(tensor);
    t = &room;
    m.data = room.data();
    m.row = m.cols;
    m.col = 1;
  }
  if (d == 3 && t->size(0) != 1) m.batch = t->stride(0);
  return m;
}
Matrix transposed(const Matrix& m) { return {m.data, m.cols, m.rows, m.col, m.row, m.batch}; }

void check_types(const char* name, const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype())
    fail(ErrorKind::Runtime, "expected m1 and m2 to have the same dtype, but got: ", cpp_name_of(a.dtype()),
         " != ", cpp_name_of(b.dtype()), "\n", name, ": expected operands of one type; got ", describe(a), " and ",
         describe(b), "\nhint: cast one with .to(dtype)");
  if (is_bool(a.dtype())) fail(ErrorKind::Runtime, "\"addmm_impl_cpu_\" not implemented for 'Bool'");
}

void check_product(const char* name, const Tensor& a, const Tensor& b) {
  check_types(name, a, b);
  if (a.dim() != 2 || b.dim() != 2)
    fail(ErrorKind::Runtime, a.dim() != 2 ? "self must be a matrix" : "mat2 must be a matrix", "\n", name,
         ": expected two matrices; got ", describe(a), " and ", describe(b));
  if (a.size(1) != b.size(0))
    fail(ErrorKind::Runtime, "mat1 and mat2 shapes cannot be multiplied (", a.size(0), "x", a.size(1), " and ",
         b.size(0), "x", b.size(1), ")\n", name, ": expected (n, k) and (k, m); got ", describe(a), " and ",
         describe(b));
}

void multiply(const Tensor& out, int64_t batch, const Matrix& a, const Matrix& b, const void* bias = nullptr,
              Complex128 alpha = {1, 0}, Complex128 beta = {0, 0}) {
  if (!out.numel()) return;
  kernels::Gemm g;
  g.batch = batch;
  g.m = a.rows, g.n = b.cols, g.k = a.cols;
  g.a = a.data, g.a_row = a.row, g.a_col = a.col, g.a_batch = a.batch;
  g.b = b.data, g.b_row = b.row, g.b_col = b.col, g.b_batch = b.batch;
  g.c = out.data(), g.c_row = g.n, g.c_batch = g.m * g.n;
  g.bias = bias;
  g.alpha = alpha.re, g.alpha_im = alpha.im;
  g.beta = beta.re, g.beta_im = beta.im;
  kernels::table<kernels::GemmKernels>().gemm(out.dtype(), g);
}
void multiply(const Tensor& out, const Tensor& a, const Tensor& b, Complex128 alpha = {1, 0},
              Complex128 beta = {0, 0}) {
  Tensor a_room, b_room;
  multiply(out, a.dim() == 3 ? a.size(0) : 1, matrix_of(a, a_room), matrix_of(b, b_room), nullptr, alpha, beta);
}

}  // namespace

namespace entries {

void mm(Call& c) {
  const Tensor &a = c.tensor(0), &b = c.tensor(1);
  check_product("mm", a, b);
  Dims sizes{a.size(0), b.size(1)};
  multiply(result(c, 0, sizes, a.dtype()), a, b);
}

void bmm(Call& c) {
  const Tensor &a = c.tensor(0), &b = c.tensor(1);
  check_types("bmm", a, b);
  if (a.dim() != 3 || b.dim() != 3)
    fail(ErrorKind::Runtime, a.dim() != 3 ? "batch1" : "batch2", " must be a 3D tensor");
  if (a.size(0) != b.size(0) || a.size(2) != b.size(1))
    fail(ErrorKind::Runtime, "Expected size for first two dimensions of batch2 tensor to be: [", a.size(0), ", ",
         a.size(2), "] but got: [", b.size(0), ", ", b.size(1), "].\nbmm: expected (b, n, k) and (b, k, m); got ",
         describe(a), " and ", describe(b));
  Dims sizes{a.size(0), a.size(1), b.size(2)};
  multiply(result(c, 0, sizes, a.dtype()), a, b);
}

void addmm(Call& c) {
  const Tensor &input = c.tensor(0), &a = c.tensor(1), &b = c.tensor(2);
  check_product("addmm", a, b);
  check_types("addmm", input, a);
  Dims sizes{a.size(0), b.size(1)};
  Tensor start = expanded(input, sizes);
  Complex128 beta = c.args[3].as_complex(), alpha = c.args[4].as_complex();
  Tensor& out = result(c, 0, sizes, a.dtype());
  if (beta.re != 0 || beta.im != 0) copy_into(out, start);
  multiply(out, a, b, alpha, beta);
}

void linear(Call& c) {
  const Tensor &x = c.tensor(0), &w = c.tensor(1);
  bool with_bias = c.args[2].is_tensor();
  if (w.dim() > 2 || w.dim() < 1) fail(ErrorKind::Runtime, "linear(): weight must be 1D or 2D, got ", w.dim(), "D");
  if (x.dim() == 0) fail(ErrorKind::Runtime, "linear(): input needs at least one dimension");
  if (w.dim() == 1) {
    Tensor product = ops::matmul(x, w);
    c.results[0] = with_bias ? ops::add(product, c.args[2]) : product;
    return;
  }
  int64_t k = x.size(x.dim() - 1), n = w.size(0), m = k ? x.numel() / k : product(x.sizes().first(size_t(x.dim() - 1)));
  if (k != w.size(1))
    fail(ErrorKind::Runtime, "mat1 and mat2 shapes cannot be multiplied (", m, "x", k, " and ", w.size(1), "x", n,
         ")\nlinear: expected an input whose last dimension is ", w.size(1), "; got ", describe(x), " for weight ",
         describe(w));
  check_types("linear", x, w);
  if (with_bias) check_types("linear", x, c.tensor(2));
  Dims sizes(x.sizes());
  sizes[x.dim() - 1] = n;
  Tensor& out = result(c, 0, sizes, x.dtype());
  Tensor x_room, w_room, bias_room;
  Matrix rows = x.dim() == 2 ? matrix_of(x, x_room) : Matrix{(x_room = contiguous(x)).data(), m, k, k, 1, 0};
  const void* bias = nullptr;
  if (with_bias) {
    const Tensor& b = c.tensor(2);
    const bool plain = b.contiguous() && b.numel() == n;
    bias = (plain ? b : bias_room = contiguous(expanded(b, Dims{n}))).data();
  }
  multiply(out, 1, rows, transposed(matrix_of(w, w_room)), bias);
}

// NumPy's rules: vectors get a dimension that the result lacks; leading dimensions are batches.
void matmul(Call& c) {
  const Tensor &a = c.tensor(0), &b = c.tensor(1);
  int da = a.dim(), db = b.dim();
  if (da == 0 || db == 0)
    fail(ErrorKind::Runtime, "both arguments to matmul need to be at least 1D, but they are ", da, "D and ", db, "D");
  if (da == 2 && db == 2) {
    c.results[0] = ops::mm(a, b);
  } else if (da == 1 && db == 1) {
    if (a.size(0) != b.size(0))
      fail(ErrorKind::Runtime, "inconsistent tensor size, expected tensor [", a.size(0), "] and src [", b.size(0),
           "] to have the same number of elements, but got ", a.size(0), " and ", b.size(0), " elements respectively");
    c.results[0] = ops::reshape(ops::mm(ops::unsqueeze(a, 0), ops::unsqueeze(b, 1)), Ints());
  } else if (da == 2 && db == 1) {
    if (a.size(1) != b.size(0))
      fail(ErrorKind::Runtime, "size mismatch, got input (", a.size(0), "), mat (", a.size(0), "x", a.size(1),
           "), vec (", b.size(0), ")");
    c.results[0] = ops::squeeze(ops::mm(a, ops::unsqueeze(b, 1)), 1);
  } else if (da == 1 && db == 2) {
    c.results[0] = ops::squeeze(ops::mm(ops::unsqueeze(a, 0), b), 0);
  } else if (db <= 2 && da >= 3) {
    // The batch of the left side is one tall matrix.
    Dims sizes(a.sizes());
    Tensor right = db == 1 ? ops::unsqueeze(b, 1) : b;
    int64_t k = sizes.back();
    if (k != right.size(0))
      fail(ErrorKind::Runtime, "mat1 and mat2 shapes cannot be multiplied (", k ? a.numel() / k : 0, "x", k, " and ",
           right.size(0), "x", right.size(1), ")\nmatmul: expected (..., n, k) and (k, m); got ", describe(a), " and ",
           describe(b));
    int64_t rows = 1;
    for (int i = 0; i < da - 1; i++) rows *= sizes[i];
    Tensor tall = ops::mm(ops::reshape(a, Dims{rows, k}), right);
    sizes[da - 1] = right.size(1);
    if (db == 1) sizes.erase(da - 1);
    c.results[0] = ops::reshape(tall, sizes);
  } else {
    Tensor x = da == 1 ? ops::unsqueeze(a, 0) : a, y = db == 1 ? ops::unsqueeze(b, 1) : b;
    Ints xs = x.sizes(), ys = y.sizes();
    Dims batch = broadcast(xs.first(xs.size() - 2), ys.first(ys.size() - 2));
    int64_t n = x.size(x.dim() - 2), k = x.size(x.dim() - 1), m = y.size(y.dim() - 1);
    Dims x_sizes(batch), y_sizes(batch), out_sizes(batch);
    x_sizes.push_back(n);
    x_sizes.push_back(k);
    y_sizes.push_back(y.size(y.dim() - 2));
    y_sizes.push_back(m);
    int64_t count = product(batch);
    Tensor left = ops::reshape(ops::expand(x, x_sizes), Dims{count, n, k});
    Tensor right = ops::reshape(ops::expand(y, y_sizes), Dims{count, y.size(y.dim() - 2), m});
    if (da != 1) out_sizes.push_back(n);
    if (db != 1) out_sizes.push_back(m);
    c.results[0] = ops::reshape(ops::bmm(left, right), out_sizes);
  }
}

}  // namespace entries

namespace vjps {

void linear(Backward& b) {
  const Tensor& g = b.grads[0];
  if (!g) return;
  Value x = saved(b, b.args[0]), w = saved(b, b.args[1]);
  Ints w_shape = b.shapes[1];
  if (b.needed(0)) b.out[0] = ops::matmul(g, w);
  if (b.needed(2)) b.out[2] = ops::sum_to_size(g, b.shapes[2]);
  if (!b.needed(1)) return;
  int64_t n = w_shape[0], k = w_shape[1], rows = n ? g.numel() / n : 0;
  Tensor g_rows = g.dim() == 2 ? g : ops::reshape(g, Dims{rows, n});
  Tensor x_rows = b.shapes[0].size() == 2 ? x.as_tensor() : ops::reshape(x, Dims{rows, k});
  b.out[1] = ops::mm(ops::t(g_rows), x_rows);
}

}  // namespace vjps

}  // namespace flambeau
