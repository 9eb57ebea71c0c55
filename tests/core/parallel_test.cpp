// The thread pool: every chunk once, exceptions, nesting, several callers, fork.
#include "test.h"

#include "base/error.h"
#include "base/parallel.h"

#include <atomic>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

using namespace flambeau;

namespace {

struct Threads {  // sets the number of threads for one test
  int before = num_threads();
  explicit Threads(int count) { set_num_threads(count); }
  ~Threads() { set_num_threads(before); }
};

bool covers_once(int64_t n, int64_t grain) {
  std::unique_ptr<std::atomic<int>[]> seen(new std::atomic<int>[size_t(n) + 1]());
  parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) seen[size_t(i)].fetch_add(1, std::memory_order_relaxed);
  });
  for (int64_t i = 0; i < n; i++)
    if (seen[size_t(i)].load() != 1) return false;
  return true;
}

}  // namespace

TEST(parallel_for_covers_every_element_once) {
  for (int threads : {1, 2, 3, 8}) {
    Threads scope(threads);
    for (int64_t n : {0, 1, 2, 7, 64, 1000, 4097})
      for (int64_t grain : {0, 1, 3, 64, 5000}) EXPECT(covers_once(n, grain));
  }
}

TEST(parallel_many_short_regions) {
  Threads scope(4);
  std::atomic<int64_t> sum{0};
  for (int i = 0; i < 3000; i++)
    parallel_for(8, 1, [&](int64_t begin, int64_t) { sum.fetch_add(begin, std::memory_order_relaxed); });
  EXPECT_EQ(sum.load(), int64_t(3000) * 28);
}

TEST(parallel_rethrows_the_bodys_exception_and_goes_on) {
  Threads scope(4);
  for (int i = 0; i < 50; i++) {
    EXPECT_THROW(parallel_for(100, 1, [&](int64_t b, int64_t) { check(b != 37, "chunk 37"); }), Error, "chunk 37");
    EXPECT_THROW(parallel_for(100, 1, [](int64_t, int64_t) { throw std::logic_error("all"); }), std::logic_error,
                 "all");
    EXPECT(covers_once(100, 1));
  }
  EXPECT(!in_parallel());
}

TEST(parallel_nested_regions_run_serially) {
  Threads scope(4);
  std::atomic<int> inner{0}, elsewhere{0};
  parallel_for(16, 1, [&](int64_t, int64_t) {
    auto self = std::this_thread::get_id();
    int index = thread_index();
    if (index < 0 || index >= 4 || !in_parallel()) elsewhere++;
    parallel_for(10, 1, [&](int64_t, int64_t) {
      inner++;
      if (std::this_thread::get_id() != self || thread_index() != index) elsewhere++;
    });
  });
  EXPECT_EQ(inner.load(), 160);
  EXPECT_EQ(elsewhere.load(), 0);
  EXPECT_EQ(thread_index(), 0);
}

TEST(parallel_indices_are_unique_among_running_chunks) {
  Threads scope(4);
  std::atomic<int> busy[4] = {}, clashes{0};
  for (int i = 0; i < 300; i++)
    parallel_for(64, 1, [&](int64_t, int64_t) {
      int index = thread_index();
      if (busy[index].fetch_add(1) != 0) clashes++;
      busy[index].fetch_sub(1);
    });
  EXPECT_EQ(clashes.load(), 0);
}

TEST(parallel_callers_from_several_threads) {
  Threads scope(3);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 6; t++)
    callers.emplace_back([&] {
      for (int i = 0; i < 200; i++)
        if (!covers_once(50 + i, 7)) wrong++;
    });
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(wrong.load(), 0);
}

TEST(parallel_hooks_surround_parallel_regions_only) {
  static std::atomic<int> left, entered;
  left = entered = 0;
  set_region_hooks({[]() -> void* {
                      left++;
                      return &left;
                    },
                    [](void* token) { entered += token == &left; }});
  {
    Threads scope(1);
    parallel_for(10, 1, [](int64_t, int64_t) {});
    EXPECT_EQ(left.load(), 0);
  }
  Threads scope(2);
  parallel_for(10, 10, [](int64_t, int64_t) {});
  EXPECT_EQ(left.load(), 0);
  parallel_for(10, 1, [](int64_t, int64_t) {});
  EXPECT_EQ(left.load(), 1);
  EXPECT_THROW(parallel_for(10, 1, [](int64_t, int64_t) { fail(ErrorKind::Value, "stop"); }), Error, "stop");
  EXPECT_EQ(left.load(), 2);
  EXPECT_EQ(entered.load(), 2);
  set_region_hooks({});
}

TEST(parallel_sets_the_number_of_threads) {
  Threads scope(5);
  EXPECT_EQ(num_threads(), 5);
  set_num_threads(0);
  EXPECT_EQ(num_threads(), 1);
  set_num_threads(1 << 20);
  EXPECT(num_threads() >= 64);
}

TEST(parallel_survives_fork) {
  Threads scope(3);
  EXPECT(covers_once(500, 3));
  for (int round = 0; round < 5; round++) {
    std::atomic<bool> stop{false};
    std::thread other([&] {  // the fork happens while regions are running
      while (!stop) covers_once(200, 1);
    });
    pid_t child = fork();
    if (child == 0) {
      alarm(60);
      bool good = true;
      for (int i = 0; i < 50; i++) good = good && covers_once(500, 3);
      _exit(good ? 0 : 1);
    }
    EXPECT(covers_once(500, 3));
    stop = true;
    other.join();
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  EXPECT(covers_once(500, 3));
}
