// Matrix products: the entry for every dtype, batches, integers and complex numbers.
#include "kernels/cpu/gemm.h"
#include "base/blas.h"
#include "base/parallel.h"
#include "kernels/cpu/gemm_internal.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

// Calls one(i) for every matrix of the batch: small ones in parallel, each serial inside; large ones one after another.
template <class One> void each_of_batch(const Gemm& g, One&& one) {
  const double flops = 2.0 * double(g.m) * double(g.n) * double(g.k);
  if (g.batch == 1) return one(0);
  if (flops > 5e7 && g.batch < 16) {
    for (int64_t i = 0; i < g.batch; i++) one(i);
    return;
  }
  const int64_t grain = larger(1, int64_t(1e6 / (flops + 1e3)));
  parallel_for(g.batch, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) one(i);
  });
}

template <class S, class Acc> void floats(const Gemm& g) {
  each_of_batch(g, [&](int64_t i) {
    product(Product<S, Acc>{g.m, g.n, g.k, static_cast<const S*>(g.a) + i * g.a_batch, g.a_row, g.a_col,
                            static_cast<const S*>(g.b) + i * g.b_batch, g.b_row, g.b_col,
                            static_cast<S*>(g.c) + i * g.c_batch, g.c_row, static_cast<const S*>(g.bias), Acc(g.alpha),
                            Acc(g.beta), static_cast<const S*>(g.b_packed)});
  });
}

// Unsigned arithmetic of the same width wraps around as two's complement does.
template <class T> void integers(const Gemm& g) {
  constexpr int64_t wide = 256;
  const T alpha = T(int64_t(g.alpha)), beta = T(int64_t(g.beta));
  each_of_batch(g, [&](int64_t batch) {
    const T* a = static_cast<const T*>(g.a) + batch * g.a_batch;
    const T* b = static_cast<const T*>(g.b) + batch * g.b_batch;
    T* c = static_cast<T*>(g.c) + batch * g.c_batch;
    const T* bias = static_cast<const T*>(g.bias);
    const int64_t grain = larger(1, 100000 / (g.n * g.k + 1));
    parallel_for(g.m, grain, [&](int64_t begin, int64_t end) {
      T sums[wide];
      for (int64_t i = begin; i < end; i++) {
        for (int64_t j0 = 0; j0 < g.n; j0 += wide) {
          const int64_t columns = smaller(wide, g.n - j0);
          std::memset(sums, 0, sizeof(sums));
          if (g.b_col == 1) {
            for (int64_t p = 0; p < g.k; p++) {
              const T x = a[i * g.a_row + p * g.a_col];
              const T* row = b + p * g.b_row + j0;
              for (int64_t j = 0; j < columns; j++) sums[j] = T(sums[j] + x * row[j]);
            }
          } else {
            for (int64_t j = 0; j < columns; j++) {
              const T *x = a + i * g.a_row, *y = b + (j0 + j) * g.b_col;
              T sum = 0;
              for (int64_t p = 0; p < g.k; p++) sum = T(sum + x[p * g.a_col] * y[p * g.b_row]);
              sums[j] = sum;
            }
          }
          T* out = c + i * g.c_row + j0;
          for (int64_t j = 0; j < columns; j++) {
            T x = T(alpha * sums[j]);
            if (bias) x = T(x + bias[j0 + j]);
            if (beta != 0) x = T(x + beta * out[j]);
            out[j] = x;
          }
        }
      }
    });
  });
}

template <class T> FLAMBEAU_INLINE Complex<T> times(Complex<T> a, Complex<T> b) {
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

// Through OpenBLAS where it is, otherwise as four real products of the parts.
template <class T> void complex_numbers(DType dtype, const Gemm& g) {
  using C = Complex<T>;
  const C alpha = {T(g.alpha), T(g.alpha_im)}, beta = {T(g.beta), T(g.beta_im)}, zero = {0, 0};
  const bool keeps = beta.re != 0 || beta.im != 0;
  const C* bias = static_cast<const C*>(g.bias);
  const bool a_plain = g.a_col == 1 && (g.a_row != 1 || g.m == 1), b_plain = g.b_col == 1 && (g.b_row != 1 || g.k == 1);
  each_of_batch(g, [&](int64_t batch) {
    const C* a = static_cast<const C*>(g.a) + batch * g.a_batch;
    const C* b = static_cast<const C*>(g.b) + batch * g.b_batch;
    C* c = static_cast<C*>(g.c) + batch * g.c_batch;
    const int64_t lda = a_plain ? larger(g.a_row, g.k) : larger(g.a_col, g.m);
    const int64_t ldb = b_plain ? larger(g.b_row, g.n) : larger(g.b_col, g.k);
    if (blas_gemm(dtype, !a_plain, !b_plain, g.m, g.n, g.k, &alpha, a, lda, b, ldb, keeps ? &beta : &zero, c,
                  g.c_row)) {
      if (bias)
        for (int64_t i = 0; i < g.m; i++)
          for (int64_t j = 0; j < g.n; j++)
            c[i * g.c_row + j] = {c[i * g.c_row + j].re + bias[j].re, c[i * g.c_row + j].im + bias[j].im};
      return;
    }
    const int64_t mk = g.m * g.k, kn = g.k * g.n, mn = g.m * g.n;
    Scratch memory(size_t(2 * (mk + kn + mn) + 1) * sizeof(T));
    T *ar = memory.as<T>(), *ai = ar + mk, *br = ai + mk, *bi = br + kn, *cr = bi + kn, *ci = cr + mn;
    for (int64_t i = 0; i < g.m; i++)
      for (int64_t p = 0; p < g.k; p++) {
        C x = a[i * g.a_row + p * g.a_col];
        ar[i * g.k + p] = x.re, ai[i * g.k + p] = x.im;
      }
    for (int64_t p = 0; p < g.k; p++)
      for (int64_t j = 0; j < g.n; j++) {
        C x = b[p * g.b_row + j * g.b_col];
        br[p * g.n + j] = x.re, bi[p * g.n + j] = x.im;
      }
    auto real = [&](const T* x, const T* y, T* z, T sign, T add) {
      product(Product<T, T>{g.m, g.n, g.k, x, g.k, 1, y, g.n, 1, z, g.n, nullptr, sign, add});
    };
    real(ar, br, cr, 1, 0);
    real(ai, bi, cr, -1, 1);
    real(ar, bi, ci, 1, 0);
    real(ai, br, ci, 1, 1);
    for (int64_t i = 0; i < g.m; i++)
      for (int64_t j = 0; j < g.n; j++) {
        C& out = c[i * g.c_row + j];
        C x = times(alpha, C{cr[i * g.n + j], ci[i * g.n + j]});
        if (bias) x = {x.re + bias[j].re, x.im + bias[j].im};
        if (keeps) {
          C old = times(beta, out);
          x = {x.re + old.re, x.im + old.im};
        }
        out = x;
      }
  });
}

bool gemm(DType dtype, const Gemm& g) {
  if (dtype == DType::Bool) return false;
  if (g.batch <= 0 || g.m <= 0 || g.n <= 0) return true;
  switch (dtype) {
    case DType::Float32: floats<float, float>(g); break;
    case DType::Float64: floats<double, double>(g); break;
    case DType::Float16: floats<Half, float>(g); break;
    case DType::BFloat16: floats<BFloat16, float>(g); break;
    case DType::UInt8:
    case DType::Int8: integers<uint8_t>(g); break;
    case DType::Int16: integers<uint16_t>(g); break;
    case DType::Int32: integers<uint32_t>(g); break;
    case DType::Int64: integers<uint64_t>(g); break;
    case DType::Complex64: complex_numbers<float>(dtype, g); break;
    case DType::Complex128: complex_numbers<double>(dtype, g); break;
    case DType::Bool: break;
  }
  return true;
}

template <class T> int64_t packed_bytes_of(int64_t k, int64_t n) {
  return int64_t(sizeof(T)) * (k * round_up(n, kTileColumns<T>) + kSpan<T>);
}
int64_t packed_bytes(DType dtype, int64_t k, int64_t n) {
  return dtype == DType::Float32   ? packed_bytes_of<float>(k, n)
         : dtype == DType::Float64 ? packed_bytes_of<double>(k, n)
                                   : 0;
}
template <class T> void pack_b_of(const Gemm& g, void* packed) {
  pack_panels(Product<T, T>{1, g.n, g.k, nullptr, 0, 1, static_cast<const T*>(g.b), g.b_row, g.b_col, nullptr, 0,
                            nullptr, 1, 0},
              static_cast<T*>(packed));
}
void pack_b(DType dtype, const Gemm& g, void* packed) {
  dtype == DType::Float32 ? pack_b_of<float>(g, packed) : pack_b_of<double>(g, packed);
}

}  // namespace

const GemmKernels kGemmKernels = {gemm, packed_bytes, pack_b};

}  // namespace flambeau::kernels::FLAMBEAU_ISA
