// What the processor can do, and the instruction set that the kernels of this process use.
#pragma once
#include <string>

namespace flambeau {

enum class Isa : unsigned char { V2, V3, V4, Neon };  // x86-64 micro-architecture levels; AArch64 has one

struct CpuFeatures {
  bool avx2 = false, avx512 = false, avx512_bf16 = false, avx512_vnni = false, f16c = false;
  std::string name;
  size_t l1 = 32 << 10, l2 = 1 << 20, l3 = 8 << 20;  // bytes of data cache, per core (l3: shared)
};
const CpuFeatures& cpu_features();
Isa chosen_isa();  // the best that the processor has; FLAMBEAU_ISA=v2|v3|v4 in the environment lowers it
const char* name_of(Isa isa);

}  // namespace flambeau
