// Opens OpenBLAS once, on first use.
#include "base/blas.h"

#include <dlfcn.h>
#include <climits>
#include <mutex>

namespace flambeau {
namespace {

constexpr const char* kPrefix = "scipy_";  // every symbol of the wheel's build begins with it

struct Library {
  void* handle = nullptr;
  void* product[4] = {};  // cblas: Float32, Float64, Complex64, Complex128
  std::string core;
};

std::string& chosen_path() {
  static std::string path;
  return path;
}

void* find(void* handle, const std::string& name) { return handle ? dlsym(handle, (kPrefix + name).c_str()) : nullptr; }

Library open_library() {
  Library library;
  if (chosen_path().empty()) return library;
  library.handle = dlopen(chosen_path().c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library.handle) return library;
  const char* const names[] = {"cblas_sgemm", "cblas_dgemm", "cblas_cgemm", "cblas_zgemm"};
  for (int i = 0; i < 4; i++) library.product[i] = find(library.handle, names[i]);
  if (auto name = reinterpret_cast<char* (*)()>(find(library.handle, "openblas_get_corename"))) library.core = name();
  // It runs on the calling thread alone. Its threads callback is no use to us: the jobs of one call wait for each other
  // (they exchange packed panels), so a pool that puts one off until another has ended would hang; and threads of its
  // own would fight with ours. Batches of LAPACK calls run in parallel through our pool instead.
  if (auto set = reinterpret_cast<void (*)(int)>(find(library.handle, "openblas_set_num_threads"))) set(1);
  return library;
}

const Library& library() {
  static const Library opened = open_library();
  return opened;
}

}  // namespace

void set_blas_path(std::string path) { chosen_path() = std::move(path); }
bool has_blas() { return library().handle != nullptr; }
std::string blas_core() { return library().core; }
void* blas_symbol(const char* name) { return find(library().handle, std::string(name) + "_"); }

bool blas_gemm(DType dtype, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const void* alpha,
               const void* a, int64_t lda, const void* b, int64_t ldb, const void* beta, void* c, int64_t ldc) {
  const int slot = dtype == DType::Float32      ? 0
                   : dtype == DType::Float64    ? 1
                   : dtype == DType::Complex64  ? 2
                   : dtype == DType::Complex128 ? 3
                                                : -1;
  if (slot < 0 || !library().product[slot]) return false;
  for (int64_t extent : {m, n, k, lda, ldb, ldc})
    if (extent > INT_MAX) return false;
  const int row_major = 101, plain = 111, transposed = 112;
  const int ta = transpose_a ? transposed : plain, tb = transpose_b ? transposed : plain;
  auto call = [&](auto scalar_alpha, auto scalar_beta) {
    using S = decltype(scalar_alpha);
    using F = void (*)(int, int, int, int, int, int, S, const void*, int, const void*, int, S, void*, int);
    reinterpret_cast<F>(library().product[slot])(row_major, ta, tb, int(m), int(n), int(k), scalar_alpha, a, int(lda),
                                                 b, int(ldb), scalar_beta, c, int(ldc));
  };
  if (slot == 0)
    call(*static_cast<const float*>(alpha), *static_cast<const float*>(beta));
  else if (slot == 1)
    call(*static_cast<const double*>(alpha), *static_cast<const double*>(beta));
  else
    call(alpha, beta);
  return true;
}

}  // namespace flambeau
