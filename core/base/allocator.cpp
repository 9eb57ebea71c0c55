// Three tiers by size. Small blocks (up to 64 KB) are carved from 2 MB arenas and live in per-thread lists, with a
// shared reserve behind them; middle blocks come from malloc, large ones (2 MB up) from mmap with huge pages, and both
// are kept in one cache, the least recently freed leaving first. A block's class follows from the size asked for, so
// that blocks carry no header.
#include "base/allocator.h"

#include "base/error.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FLAMBEAU_PLAIN_MALLOC 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define FLAMBEAU_PLAIN_MALLOC 1
#endif

namespace flambeau {
namespace {

constexpr size_t kHugePage = size_t(2) << 20;
constexpr size_t kAbsurd = size_t(1) << 47;  // above any address space of today; rounding cannot overflow below it

constexpr size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

size_t physical_memory() {
  static const size_t bytes = [] {
    size_t machine = size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGE_SIZE)), group = 0;
    if (!(std::ifstream("/sys/fs/cgroup/memory.max") >> group))  // "max" does not parse
      std::ifstream("/sys/fs/cgroup/memory/memory.limit_in_bytes") >> group;
    return group > 0 && group < machine ? group : machine;
  }();
  return bytes;
}

// Garbage after the end could be denormal or NaN and slow whole-vector loads: the last 64 bytes are cleared.
inline void clear_tail(void* block, size_t bytes) {
  if (size_t over = bytes % kAlignment; over != 0 || bytes == 0)
    std::memset(static_cast<char*>(block) + (bytes - over), 0, kAlignment);
}

[[gnu::cold, gnu::noinline]] void out_of_memory(size_t bytes) {
  MemoryStats stats = memory_stats();
  fail(ErrorKind::OutOfMemory, "DefaultCPUAllocator: can't allocate memory: you tried to allocate ", bytes,
       " bytes.\nallocate: expected a size that the system can give; got ", bytes, " bytes with ", stats.in_use,
       " in use, ", stats.cached, " cached and ", physical_memory(), " in the machine");
}

#if !defined(FLAMBEAU_PLAIN_MALLOC)

// ---- size classes ------------------------------------------------------------------------------------------------
// Multiples of 64 up to 1 KB, then four to each doubling.
constexpr size_t kLinear = 1024, kSmall = size_t(64) << 10;
constexpr int kLinearClasses = int(kLinear / kAlignment);
constexpr int kLinearLog = 10;
constexpr int kSmallClasses = kLinearClasses + 6 * 4;  // 1 KB .. 64 KB is six doublings
constexpr int kClasses = kLinearClasses + (47 - kLinearLog) * 4;

inline int class_of(size_t bytes) {
  if (bytes <= kLinear) return bytes == 0 ? 0 : int((bytes - 1) / kAlignment);
  size_t n = bytes - 1;
  int log = 63 - __builtin_clzll(n);
  return kLinearClasses + (log - kLinearLog) * 4 + int((n >> (log - 2)) & 3);
}

constexpr size_t class_size(int c) {
  if (c < kLinearClasses) return size_t(c + 1) * kAlignment;
  int log = kLinearLog + (c - kLinearClasses) / 4;
  return size_t(5 + (c - kLinearClasses) % 4) << (log - 2);
}
static_assert(class_size(kSmallClasses - 1) == kSmall);

// A thread keeps up to 256 KB of each class, and at most 256 blocks.
constexpr uint32_t thread_limit(int c) {
  size_t n = (size_t(256) << 10) / class_size(c);
  return uint32_t(n > 256 ? 256 : n);
}
struct Limits {
  uint32_t of[kSmallClasses];
  constexpr Limits() : of() {
    for (int c = 0; c < kSmallClasses; c++) of[c] = thread_limit(c);
  }
};
constexpr Limits kLimits;

// ---- the shared part ---------------------------------------------------------------------------------------------
struct Free {  // a free small block
  Free* next;
};

struct Kept {  // a free middle or large block, in its class's stack and in the order of freeing
  Kept *next_in_class, *previous_in_class;
  Kept *newer, *older;
  int size_class;
};

struct ThreadCache {
  struct List {
    Free* head = nullptr;
    std::atomic<uint32_t> count{0};  // written by the owner only; statistics read it
  } lists[kSmallClasses];
  ThreadCache *next = nullptr, *previous = nullptr;
};

struct Central {
  std::mutex mutex;
  Free* small[kSmallClasses] = {};
  uint32_t small_count[kSmallClasses] = {};
  char *arena = nullptr, *arena_end = nullptr;
  size_t handed = 0;  // bytes of small blocks in threads' lists or in use
  Kept* kept[kClasses] = {};
  Kept *newest = nullptr, *oldest = nullptr;
  size_t kept_bytes = 0, big_in_use = 0, peak = 0;
  ThreadCache* threads = nullptr;
  pthread_key_t at_thread_exit;

  void note_peak() { peak = std::max(peak, handed + big_in_use); }
};

Central* the_central;  // never destroyed: blocks are freed until the very end of the process
thread_local ThreadCache* cache __attribute__((tls_model("initial-exec"))) = nullptr;

void donate(Central& c, ThreadCache& t, int k, uint32_t count) {  // with the lock held
  auto& list = t.lists[k];
  Free *first = list.head, *last = first;
  for (uint32_t i = 1; i < count; i++) last = last->next;
  list.head = last->next;
  list.count.store(list.count.load(std::memory_order_relaxed) - count, std::memory_order_relaxed);
  last->next = c.small[k];
  c.small[k] = first;
  c.small_count[k] += count;
  c.handed -= count * class_size(k);
}

void donate_all(Central& c, ThreadCache& t) {
  for (int k = 0; k < kSmallClasses; k++)
    if (uint32_t n = t.lists[k].count.load(std::memory_order_relaxed)) donate(c, t, k, n);
}

void unlink(Central& c, ThreadCache* t) {
  (t->previous ? t->previous->next : c.threads) = t->next;
  if (t->next) t->next->previous = t->previous;
}

void leave_thread(void* p) {
  auto* t = static_cast<ThreadCache*>(p);
  cache = nullptr;  // a later destructor of this thread that allocates makes a new one, and is called again
  {
    std::lock_guard lock(the_central->mutex);
    donate_all(*the_central, *t);
    unlink(*the_central, t);
  }
  delete t;
}

Central& central() {
  static Central* made = [] {
    the_central = new Central;
    pthread_key_create(&the_central->at_thread_exit, leave_thread);
    // A child of fork() must find the lock free and the lists whole. What other threads had in their lists is lost to
    // the child.
    pthread_atfork([] { the_central->mutex.lock(); }, [] { the_central->mutex.unlock(); },
                   [] {
                     Central& c = *the_central;
                     for (ThreadCache *t = c.threads, *next; t; t = next) {
                       next = t->next;
                       if (t == cache) continue;
                       for (int k = 0; k < kSmallClasses; k++)
                         c.handed -= t->lists[k].count.load(std::memory_order_relaxed) * class_size(k);
                     }
                     c.threads = cache;
                     if (cache) cache->next = cache->previous = nullptr;
                     c.mutex.unlock();
                   });
    return the_central;
  }();
  return *made;
}

// ---- memory of the system ----------------------------------------------------------------------------------------
void* map_huge(size_t bytes) {
  size_t span = bytes + kHugePage;
  void* raw = mmap(nullptr, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  uintptr_t start = reinterpret_cast<uintptr_t>(raw), aligned = round_up(start, kHugePage), end = start + span;
  if (aligned != start) munmap(raw, aligned - start);
  if (aligned + bytes != end) munmap(reinterpret_cast<void*>(aligned + bytes), end - (aligned + bytes));
#if defined(MADV_HUGEPAGE)
  madvise(reinterpret_cast<void*>(aligned), bytes, MADV_HUGEPAGE);  // a kernel without them gives plain pages
#endif
  return reinterpret_cast<void*>(aligned);
}

void* system_allocate(size_t size) { return size >= kHugePage ? map_huge(size) : std::aligned_alloc(kAlignment, size); }

void system_free(void* block, size_t size) {
  if (size >= kHugePage)
    munmap(block, size);
  else
    std::free(block);
}

// ---- small blocks ------------------------------------------------------------------------------------------------
ThreadCache& thread_cache() {
  if (cache) return *cache;
  Central& c = central();
  auto* t = new ThreadCache;
  pthread_setspecific(c.at_thread_exit, t);
  std::lock_guard lock(c.mutex);
  t->next = c.threads;
  if (t->next) t->next->previous = t;
  c.threads = t;
  return *(cache = t);
}

[[gnu::noinline]] void* refill(int k, size_t bytes) {
  ThreadCache& t = thread_cache();
  Central& c = central();
  size_t size = class_size(k);
  uint32_t want = uint32_t(std::clamp<size_t>((size_t(16) << 10) / size, 1, 64)), got = 0;
  Free* head = nullptr;
  {
    std::lock_guard lock(c.mutex);
    for (; got < want && c.small[k]; got++) {
      Free* block = c.small[k];
      c.small[k] = block->next;
      block->next = head;
      head = block;
    }
    c.small_count[k] -= got;
    if (got == 0) {
      if (size_t(c.arena_end - c.arena) < size) {
        // What is left of the arena becomes blocks of the classes that fit.
        while (c.arena != c.arena_end) {
          size_t left = size_t(c.arena_end - c.arena);
          int fit = class_of(left);
          if (class_size(fit) > left) fit--;
          auto* block = reinterpret_cast<Free*>(c.arena);
          c.arena += class_size(fit);
          block->next = c.small[fit];
          c.small[fit] = block;
          c.small_count[fit]++;
        }
        char* fresh = static_cast<char*>(map_huge(kHugePage));
        c.arena = fresh, c.arena_end = fresh ? fresh + kHugePage : nullptr;
      }
      for (; got < want && size_t(c.arena_end - c.arena) >= size; got++) {
        auto* block = reinterpret_cast<Free*>(c.arena);
        c.arena += size;
        block->next = head;
        head = block;
      }
    }
    c.handed += got * size;
    c.note_peak();
  }
  if (!head) out_of_memory(bytes);
  auto& list = t.lists[k];
  list.head = head->next;
  list.count.store(got - 1, std::memory_order_relaxed);
  return head;
}

[[gnu::noinline]] void give_back(void* block, int k) {  // the thread has no lists yet, or this one is full
  ThreadCache& t = thread_cache();
  auto& list = t.lists[k];
  uint32_t count = list.count.load(std::memory_order_relaxed);
  if (count >= kLimits.of[k]) {
    std::lock_guard lock(central().mutex);
    donate(central(), t, k, (count + 1) / 2);
    count = list.count.load(std::memory_order_relaxed);
  }
  auto* free = static_cast<Free*>(block);
  free->next = list.head;
  list.head = free;
  list.count.store(count + 1, std::memory_order_relaxed);
}

// ---- middle and large blocks -------------------------------------------------------------------------------------
size_t big_size(size_t bytes) {  // what a block of this class really has
  size_t size = class_size(class_of(bytes));
  return size >= kHugePage ? round_up(size, kHugePage) : size;
}

void take_out(Central& c, Kept* k) {
  (k->previous_in_class ? k->previous_in_class->next_in_class : c.kept[k->size_class]) = k->next_in_class;
  if (k->next_in_class) k->next_in_class->previous_in_class = k->previous_in_class;
  (k->newer ? k->newer->older : c.newest) = k->older;
  (k->older ? k->older->newer : c.oldest) = k->newer;
  c.kept_bytes -= big_size(class_size(k->size_class));
}

// Takes the longest-kept blocks out of the cache until at most `limit` bytes stay; returned as a chain through `newer`,
// to be unmapped without the lock.
Kept* evict(Central& c, size_t limit) {
  Kept* chain = nullptr;
  while (c.kept_bytes > limit) {
    Kept* k = c.oldest;
    take_out(c, k);
    k->newer = chain;
    chain = k;
  }
  return chain;
}

void free_chain(Kept* chain) {
  while (chain) {
    Kept* k = chain;
    chain = k->newer;
    system_free(k, big_size(class_size(k->size_class)));
  }
}

// Free blocks may hold a quarter of the memory, less what the program itself uses above half of it.
size_t cache_limit(const Central& c) {
  size_t all = physical_memory(), quarter = all / 4, used = c.big_in_use + c.handed;
  return used < all / 2 ? quarter : used < all ? std::min(quarter, (all - used) / 2) : 0;
}

[[gnu::noinline]] void* allocate_big(size_t bytes) {
  if (bytes >= kAbsurd) out_of_memory(bytes);
  Central& c = central();
  int k = class_of(bytes);
  size_t size = big_size(bytes);
  {
    std::lock_guard lock(c.mutex);
    Kept* block = c.kept[k];
    if (block) take_out(c, block);
    if (block) {
      c.big_in_use += size;
      c.note_peak();
      return block;
    }
  }
  // An overcommitting kernel would promise more than there is, and kill the process when it is touched.
  if (size > physical_memory() + physical_memory() / 2) out_of_memory(bytes);
  void* block = system_allocate(size);
  if (!block) {
    release_cached();
    block = system_allocate(size);
    if (!block) out_of_memory(bytes);
  }
  std::lock_guard lock(c.mutex);
  c.big_in_use += size;
  c.note_peak();
  return block;
}

[[gnu::noinline]] void deallocate_big(void* block, size_t bytes) {
  Central& c = central();
  size_t size = big_size(bytes);
  auto* k = static_cast<Kept*>(block);
  Kept* evicted;
  {
    std::lock_guard lock(c.mutex);
    c.big_in_use -= size;
    k->size_class = class_of(bytes);
    k->previous_in_class = nullptr;
    k->next_in_class = c.kept[k->size_class];
    if (k->next_in_class) k->next_in_class->previous_in_class = k;
    c.kept[k->size_class] = k;
    k->newer = nullptr;
    k->older = c.newest;
    (k->older ? k->older->newer : c.oldest) = k;
    c.newest = k;
    c.kept_bytes += size;
    evicted = evict(c, cache_limit(c));
  }
  free_chain(evicted);
}

#endif  // FLAMBEAU_PLAIN_MALLOC

}  // namespace

#if defined(FLAMBEAU_PLAIN_MALLOC)

// Under the address sanitizer every block is a malloc of its own, so that misuse is seen.
namespace {
std::atomic<size_t> bytes_in_use{0}, bytes_peak{0};
}

void* allocate_record(size_t bytes) { return allocate(bytes); }

void* allocate(size_t bytes) {
  if (bytes >= kAbsurd || bytes > physical_memory() * 3 / 2) out_of_memory(bytes);
  size_t size = std::max(round_up(bytes, kAlignment), kAlignment);
  void* block = std::aligned_alloc(kAlignment, size);
  if (!block) out_of_memory(bytes);
  clear_tail(block, bytes);
  size_t now = bytes_in_use.fetch_add(size) + size, peak = bytes_peak.load();
  while (now > peak && !bytes_peak.compare_exchange_weak(peak, now)) {
  }
  return block;
}

void deallocate(void* block, size_t bytes) noexcept {
  if (!block) return;
  size_t size = std::max(round_up(bytes, kAlignment), kAlignment);
  // What stands behind the end may be read with a whole vector, never written.
  for (size_t i = bytes; i < size; i++)
    if (static_cast<const char*>(block)[i]) {
      std::fprintf(stderr, "flambeau: something was written %zu bytes behind a block of %zu\n", i - bytes, bytes);
      std::abort();
    }
  bytes_in_use.fetch_sub(size);
  std::free(block);
}

MemoryStats memory_stats() { return {bytes_in_use.load(), 0, bytes_peak.load()}; }
void release_cached() {}

#else

static inline void* take_block(size_t bytes) {
  if (bytes > kSmall) [[unlikely]]
    return allocate_big(bytes);
  int k = class_of(bytes);
  ThreadCache* t = cache;
  if (!t || !t->lists[k].head) [[unlikely]]
    return refill(k, bytes);
  auto& list = t->lists[k];
  Free* head = list.head;
  list.head = head->next;
  list.count.store(list.count.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  return head;
}

void* allocate(size_t bytes) {
  void* block = take_block(bytes);
  clear_tail(block, bytes);
  return block;
}

void* allocate_record(size_t bytes) { return take_block(bytes); }

void deallocate(void* block, size_t bytes) noexcept {
  if (!block) return;
  if (bytes > kSmall) return deallocate_big(block, bytes);
  int k = class_of(bytes);
  ThreadCache* t = cache;
  if (t) [[likely]] {
    auto& list = t->lists[k];
    uint32_t count = list.count.load(std::memory_order_relaxed);
    if (count < kLimits.of[k]) [[likely]] {
      auto* free = static_cast<Free*>(block);
      free->next = list.head;
      list.head = free;
      list.count.store(count + 1, std::memory_order_relaxed);
      return;
    }
  }
  give_back(block, k);
}

MemoryStats memory_stats() {
  Central& c = central();
  std::lock_guard lock(c.mutex);
  size_t in_lists = 0, shared = 0;
  for (ThreadCache* t = c.threads; t; t = t->next)
    for (int k = 0; k < kSmallClasses; k++)
      in_lists += t->lists[k].count.load(std::memory_order_relaxed) * class_size(k);
  for (int k = 0; k < kSmallClasses; k++) shared += c.small_count[k] * class_size(k);
  return {c.handed - in_lists + c.big_in_use, in_lists + shared + c.kept_bytes, c.peak};
}

void release_cached() {
  Central& c = central();
  Kept* chain;
  {
    std::lock_guard lock(c.mutex);
    if (cache) donate_all(c, *cache);
    chain = evict(c, 0);
  }
  free_chain(chain);
}

#endif

}  // namespace flambeau
