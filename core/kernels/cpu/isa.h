// How a kernel family is built once per instruction set and chosen at start.
//
// A family is a header and a source file of the same name in this folder. The header declares one struct of function
// pointers, its table, and registers it:
//
//     struct SortKernels { void (*sort_rows)(...); ... };
//     FLAMBEAU_KERNEL_TABLE(SortKernels)
//
// The source file is compiled once per instruction set, with FLAMBEAU_ISA naming it, and defines its table:
//
//     namespace flambeau::kernels::FLAMBEAU_ISA {
//     namespace { void sort_rows(...) {...} }
//     const SortKernels kSortKernels = {sort_rows};
//     }
//
// Callers write `kernels::table<SortKernels>().sort_rows(...)`. Kernels see pointers, extents and strides, never
// tensors; everything but the table stands in an anonymous namespace, and no symbol may be weak: a template or inline
// function of linkage built with AVX-512 here could be the copy that the linker keeps for everybody (a test walks `nm`).
#pragma once
#include "base/cpu.h"

#ifndef FLAMBEAU_ISA
#define FLAMBEAU_ISA portable
#endif

// For the lambda handed to parallel_for, which calls it from two places: one copy of the loop instead of two.
#define FLAMBEAU_BODY __attribute__((noinline))

namespace flambeau::kernels {
template <class Table> const Table& table();

namespace FLAMBEAU_ISA {
#if defined(FLAMBEAU_ISA_v4)
constexpr int kVectorBytes = 64;
#elif defined(FLAMBEAU_ISA_v3)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif
}  // namespace FLAMBEAU_ISA
}  // namespace flambeau::kernels

#if defined(__x86_64__)
#define FLAMBEAU_KERNEL_TABLE(Table)                                       \
  namespace v2 {                                                           \
  extern const Table k##Table;                                             \
  }                                                                        \
  namespace v3 {                                                           \
  extern const Table k##Table;                                             \
  }                                                                        \
  namespace v4 {                                                           \
  extern const Table k##Table;                                             \
  }                                                                        \
  template <> inline const Table& table<Table>() {                         \
    static const Table& chosen = chosen_isa() == Isa::V4   ? v4::k##Table  \
                                 : chosen_isa() == Isa::V3 ? v3::k##Table  \
                                                           : v2::k##Table; \
    return chosen;                                                         \
  }
#else
#define FLAMBEAU_KERNEL_TABLE(Table) \
  namespace neon {                   \
  extern const Table k##Table;       \
  }                                  \
  template <> inline const Table& table<Table>() { return neon::k##Table; }
#endif
