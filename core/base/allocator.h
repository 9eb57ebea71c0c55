// Size-class caching allocator: 64-byte aligned blocks, padded so that a whole vector may be read or written at the end.
#pragma once
#include <cstddef>

namespace flambeau {

inline constexpr size_t kAlignment = 64;

// A block of at least `bytes` rounded up to kAlignment; the padding after `bytes` is zero (garbage there may be
// denormal and slow). allocate(0) gives a valid pointer. Throws Error(OutOfMemory) with the size asked for.
void* allocate(size_t bytes);
void* allocate_record(size_t bytes);                  // the same for what holds no elements: the padding is as it comes
void deallocate(void* block, size_t bytes) noexcept;  // `bytes` as given to allocate; from any thread

struct MemoryStats {
  size_t in_use, cached, peak;  // bytes
};
MemoryStats memory_stats();
void release_cached();  // gives cached blocks back to the system

}  // namespace flambeau
