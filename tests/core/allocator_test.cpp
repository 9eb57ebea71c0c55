// The caching allocator: alignment, padding, reuse, statistics, threads, fork, refusals.
#include "test.h"

#include "base/allocator.h"
#include "base/error.h"

#include <atomic>
#include <cstdint>
#include <cstring>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

using namespace flambeau;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCaches = false;
#else
constexpr bool kCaches = true;
#endif

TEST(allocate_aligns_and_clears_the_padding) {
  for (size_t bytes : {0ul, 1ul, 4ul, 63ul, 64ul, 65ul, 100ul, 1000ul, 1024ul, 1025ul, 5000ul, 65536ul, 65537ul,
                       1000001ul, (2ul << 20) - 1, 2ul << 20, (2ul << 20) + 1, 9000001ul}) {
    for (int round = 0; round < 3; round++) {  // a used block must be clean again
      auto* block = static_cast<unsigned char*>(allocate(bytes));
      EXPECT(reinterpret_cast<uintptr_t>(block) % kAlignment == 0);
      size_t whole = bytes == 0 ? kAlignment : (bytes + kAlignment - 1) / kAlignment * kAlignment;
      for (size_t i = bytes; i < whole; i++) EXPECT_EQ(int(block[i]), 0);
      std::memset(block, 0xff, kCaches ? whole : bytes);  // the sanitizer's allocator refuses writes into the padding
      deallocate(block, bytes);
    }
  }
}

TEST(allocate_aligns_large_blocks_to_huge_pages) {
  if (!kCaches) return;
  void* block = allocate(5u << 20);
  EXPECT(reinterpret_cast<uintptr_t>(block) % (2u << 20) == 0);
  deallocate(block, 5u << 20);
}

TEST(allocate_reuses_freed_blocks) {
  if (!kCaches) return;
  for (size_t bytes : {64ul, 3000ul, 200000ul, 8ul << 20}) {
    void* first = allocate(bytes);
    deallocate(first, bytes);
    void* second = allocate(bytes);
    EXPECT(first == second);
    deallocate(second, bytes);
  }
}

TEST(allocate_counts_bytes) {
  MemoryStats before = memory_stats();
  void* small = allocate(1000);
  void* large = allocate(10 << 20);
  MemoryStats during = memory_stats();
  EXPECT(during.in_use >= before.in_use + 1000 + (10 << 20));
  EXPECT(during.peak >= during.in_use);
  deallocate(small, 1000);
  deallocate(large, 10 << 20);
  EXPECT_EQ(memory_stats().in_use, before.in_use);
  if (!kCaches) return;
  EXPECT(memory_stats().cached >= 10 << 20);
  release_cached();
  EXPECT(memory_stats().cached < 10 << 20);
}

TEST(allocate_refuses_what_cannot_be) {
  for (size_t bytes : {SIZE_MAX, SIZE_MAX - 63, size_t(1) << 63, size_t(1) << 47, size_t(1) << 46}) {
    EXPECT_THROW(allocate(bytes), Error, "you tried to allocate " + std::to_string(bytes) + " bytes");
    try {
      allocate(bytes);
    } catch (const Error& error) {
      EXPECT(error.kind == ErrorKind::OutOfMemory);
    }
  }
}

namespace {

struct Block {
  unsigned char* data;
  size_t bytes;
  unsigned char mark;
};

Block make(std::mt19937& random) {
  size_t bytes = size_t(1) << (random() % 19);
  bytes += random() % (bytes + 1);
  if (random() % 200 == 0) bytes += 3 << 20;
  Block b{static_cast<unsigned char*>(allocate(bytes)), bytes, static_cast<unsigned char>(random())};
  b.data[0] = b.data[bytes / 2] = b.data[bytes - 1] = b.mark;
  return b;
}

bool intact(const Block& b) {
  return b.data[0] == b.mark && b.data[b.bytes / 2] == b.mark && b.data[b.bytes - 1] == b.mark;
}

}  // namespace

TEST(allocate_stress_over_threads) {  // blocks are made in one thread and freed in another; threads come and go
  size_t before = memory_stats().in_use;
  std::atomic<int> damaged{0};
  std::vector<Block> handed;
  for (int round = 0; round < 6; round++) {
    std::vector<std::vector<Block>> made(4);
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; t++) {
      std::vector<Block> mine;
      for (size_t i = t; i < handed.size(); i += 4) mine.push_back(handed[i]);
      threads.emplace_back([&, t, round, mine = std::move(mine)] {
        std::mt19937 random(unsigned(round) * 4 + t);
        std::vector<Block> live;
        for (const Block& b : mine) {
          damaged += !intact(b);
          deallocate(b.data, b.bytes);
        }
        for (int i = 0; i < 3000; i++) {
          if (live.size() < 40 || random() % 2)
            live.push_back(make(random));
          else {
            std::swap(live[random() % live.size()], live.back());
            damaged += !intact(live.back());
            deallocate(live.back().data, live.back().bytes);
            live.pop_back();
          }
          if (live.size() > 80) {
            for (; live.size() > 40; live.pop_back()) deallocate(live.back().data, live.back().bytes);
          }
        }
        made[t] = live;
      });
    }
    for (auto& thread : threads) thread.join();
    handed.clear();
    for (auto& list : made) handed.insert(handed.end(), list.begin(), list.end());
  }
  for (const Block& b : handed) {
    damaged += !intact(b);
    deallocate(b.data, b.bytes);
  }
  EXPECT_EQ(damaged.load(), 0);
  EXPECT_EQ(memory_stats().in_use, before);
}

TEST(allocate_survives_fork) {
  std::atomic<bool> stop{false};
  std::thread other([&] {  // holds and releases the shared lock all the time
    while (!stop) {
      void* block = allocate(300000);
      deallocate(block, 300000);
      std::this_thread::yield();
    }
  });
  for (int round = 0; round < 10; round++) {
    pid_t child = fork();
    if (child == 0) {
      alarm(60);
      for (size_t bytes = 1; bytes < 4u << 20; bytes *= 2) {
        void* block = allocate(bytes);
        std::memset(block, 1, bytes);
        deallocate(block, bytes);
      }
      _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  stop = true;
  other.join();
}
