// Reads the processor's features and cache sizes once, and picks the instruction set of this process's kernels.
#include "base/cpu.h"

#include "base/error.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace flambeau {
namespace {

#if defined(__x86_64__)
struct X86 {
  CpuFeatures features;
  bool v3 = false, v4 = false;
};

// The operating system must save the wide registers too: bits of XCR0, read without needing -mxsave.
uint64_t enabled_state() {
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

X86 detect_x86() {
  X86 x;
  uint32_t a = 0, b = 0, c = 0, d = 0;
  auto bit = [](uint32_t word, int n) { return ((word >> n) & 1) != 0; };
  __get_cpuid(1, &a, &b, &c, &d);
  bool fma = bit(c, 12), movbe = bit(c, 22), osxsave = bit(c, 27), avx = bit(c, 28), f16c = bit(c, 29);
  uint64_t state = osxsave ? enabled_state() : 0;
  bool ymm = (state & 0x6) == 0x6, zmm = (state & 0xe6) == 0xe6;
  bool avx2 = false, bmi = false, bmi2 = false, avx512 = false, vnni = false, bf16 = false, lzcnt = false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    bmi = bit(b, 3), avx2 = bit(b, 5), bmi2 = bit(b, 8);
    avx512 = bit(b, 16) && bit(b, 17) && bit(b, 28) && bit(b, 30) && bit(b, 31);  // F, DQ, CD, BW, VL
    vnni = bit(c, 11);
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) bf16 = bit(a, 5);
  }
  if (__get_cpuid(0x80000001, &a, &b, &c, &d)) lzcnt = bit(c, 5);
  x.v3 = ymm && avx && avx2 && bmi && bmi2 && f16c && fma && lzcnt && movbe;
  x.v4 = x.v3 && zmm && avx512;
  x.features.avx2 = ymm && avx2;
  x.features.f16c = ymm && f16c;
  x.features.avx512 = x.v4;
  x.features.avx512_vnni = x.v4 && vnni;
  x.features.avx512_bf16 = x.v4 && bf16;
  uint32_t brand[13] = {};
  if (__get_cpuid(0x80000000, &a, &b, &c, &d) && a >= 0x80000004) {
    for (uint32_t i = 0; i < 3; i++)
      __get_cpuid(0x80000002 + i, brand + 4 * i, brand + 4 * i + 1, brand + 4 * i + 2, brand + 4 * i + 3);
    char text[52] = {};
    std::memcpy(text, brand, 48);
    x.features.name = text;
  }
  return x;
}

const X86& x86() {
  static const X86 found = detect_x86();
  return found;
}
#endif

// "32K" or "1M", as sysfs writes cache sizes.
size_t parse_size(const std::string& text) {
  char* end;
  size_t n = std::strtoull(text.c_str(), &end, 10);
  return *end == 'K' ? n << 10 : *end == 'M' ? n << 20 : n;
}

void read_caches(CpuFeatures& f) {
  bool any = false;
  for (int i = 0; i < 8; i++) {
    std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i) + "/", type, size;
    int level = 0;
    std::ifstream(folder + "type") >> type;
    std::ifstream(folder + "level") >> level;
    std::ifstream(folder + "size") >> size;
    size_t bytes = parse_size(size);
    if (type.empty() || type == "Instruction" || bytes == 0) continue;
    if (level == 1) f.l1 = bytes, any = true;
    if (level == 2) f.l2 = bytes;
    if (level == 3) f.l3 = bytes;
  }
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  if (!any) {  // no sysfs (some containers): what the C library knows
    long l1 = sysconf(_SC_LEVEL1_DCACHE_SIZE), l2 = sysconf(_SC_LEVEL2_CACHE_SIZE), l3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (l1 > 0) f.l1 = size_t(l1);
    if (l2 > 0) f.l2 = size_t(l2);
    if (l3 > 0) f.l3 = size_t(l3);
  }
#endif
}

CpuFeatures detect() {
  CpuFeatures f;
#if defined(__x86_64__)
  f = x86().features;
#endif
  if (f.name.empty()) {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
      if (line.rfind("model name", 0) != 0 && line.rfind("CPU part", 0) != 0) continue;
      size_t colon = line.find(':');
      if (colon != std::string::npos && colon + 2 <= line.size()) f.name = line.substr(colon + 2);
      break;
    }
  }
  while (!f.name.empty() && f.name.back() == ' ') f.name.pop_back();
  if (f.name.empty()) f.name = "unknown";
  read_caches(f);
  return f;
}

Isa choose() {
#if defined(__x86_64__)
  Isa best = x86().v4 ? Isa::V4 : x86().v3 ? Isa::V3 : Isa::V2;
  const char* wish = std::getenv("FLAMBEAU_ISA");
  if (!wish || !*wish) return best;
  for (Isa isa : {Isa::V2, Isa::V3, Isa::V4})
    if (std::strcmp(wish, name_of(isa)) == 0) return isa < best ? isa : best;
  fail(ErrorKind::Value, "FLAMBEAU_ISA: unknown instruction set\nFLAMBEAU_ISA: expected v2, v3 or v4; got ", wish);
#else
  return Isa::Neon;
#endif
}

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures found = detect();
  return found;
}

Isa chosen_isa() {
  static const Isa isa = choose();
  return isa;
}

const char* name_of(Isa isa) {
  static constexpr const char* kNames[] = {"v2", "v3", "v4", "neon"};
  return kNames[int(isa)];
}

}  // namespace flambeau
