// OpenBLAS (the scipy-openblas32 wheel's library), opened at run time on first use: LAPACK, and complex products.
// Everything here is optional: without the library the callers' own kernels compute the same, slower.
#pragma once
#include <cstdint>
#include <string>
#include "base/dtype.h"

namespace flambeau {

void set_blas_path(std::string path);  // the shared library's file; before the first use
bool has_blas();                       // opens it
std::string blas_core();               // "SkylakeX": the kernel set it chose for this processor; "" without the library

// The address of a Fortran symbol by its plain name, without trailing underscore: "dgesv", "zheevd". Null if absent.
void* blas_symbol(const char* name);
template <class Function> Function lapack(const char* name) { return reinterpret_cast<Function>(blas_symbol(name)); }

// Row-major C (m x n) = alpha * op(A) @ op(B) + beta * C with leading dimensions, in Float32, Float64, Complex64 or
// Complex128; alpha and beta point at one element of the dtype. False if the library is absent or an extent too big.
bool blas_gemm(DType dtype, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const void* alpha,
               const void* a, int64_t lda, const void* b, int64_t ldb, const void* beta, void* c, int64_t ldc);

}  // namespace flambeau
