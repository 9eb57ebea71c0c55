// The thread pool: workers take chunk numbers from one atomic word, the caller works too, and the join waits for chunks
// rather than for workers, so that a worker which the system has put aside costs nothing unless it holds a chunk.
#include "base/parallel.h"

#include <atomic>
#include <cctype>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <mutex>
#include <new>
#include <string>
#include <thread>

#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#endif

namespace flambeau {
namespace {

constexpr int kMaxThreads = 256;
constexpr auto kSpin = std::chrono::microseconds(50);
constexpr uint32_t kClosed = 0xffffffff;  // `next` of a word that has no region open
constexpr int64_t kMaxChunks = 1 << 30;   // of one region; more are run in several

// What this thread is, in one word: initial-exec TLS comes out of a small reserve of the process.
struct Role {
  uint16_t index = 0;
  uint16_t depth = 0;  // > 0 inside a chunk
};
thread_local Role role __attribute__((tls_model("initial-exec")));

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

void wait_on(std::atomic<uint32_t>& word, uint32_t seen) {
#if defined(__linux__)
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
#else
  word.wait(seen);
#endif
}

void wake(std::atomic<uint32_t>& word, int count) {
#if defined(__linux__)
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
#else
  count == 1 ? word.notify_one() : word.notify_all();
#endif
}

// True as soon as `ready()` is, false when the spinning time is over.
template <class Ready> bool spin_until(Ready&& ready) {
  for (int i = 0; i < 64; i++) {
    if (ready()) return true;
    pause_cpu();
  }
  auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; i++) {
      if (ready()) return true;
      pause_cpu();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

class Pool {
 public:
  bool try_enter() { return !busy_.exchange(true, std::memory_order_acquire); }
  void exit() { busy_.store(false, std::memory_order_release); }

  // One region; the caller has entered the pool.
  void run(int threads, int64_t chunks, void (*body)(void*, int64_t), void* context) {
    add_workers(threads - 1);
    failed_.store(false, std::memory_order_relaxed);
    body_.store(body, std::memory_order_release);
    context_.store(context, std::memory_order_release);
    threads_.store(threads, std::memory_order_release);
    chunks_.store(uint32_t(chunks), std::memory_order_release);
    done_.store(0, std::memory_order_relaxed);
    uint32_t generation = uint32_t(word_.load(std::memory_order_relaxed) >> 32) + 1;
    word_.store(uint64_t(generation) << 32, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0) {
      signal_.fetch_add(1, std::memory_order_seq_cst);
      // A wake is handed to an arbitrary sleeper, and those beyond `threads` would waste it: wake all unless all count.
      wake(signal_, threads - 1 < workers_ || chunks > workers_ ? INT_MAX : int(chunks - 1));
    }
    uint32_t all = uint32_t(chunks);
    uint32_t done = work(0);
    done = done_.fetch_add(done, std::memory_order_acq_rel) + done;
    if (done != all && !spin_until([&] { return done_.load(std::memory_order_acquire) == all; })) {
      joining_.store(true, std::memory_order_seq_cst);
      while ((done = done_.load(std::memory_order_seq_cst)) != all) wait_on(done_, done);
      joining_.store(false, std::memory_order_relaxed);
    }
    // Close before the next region's fields are written: a worker whose word is stale then fails its exchange.
    word_.store(uint64_t(generation + 1) << 32 | kClosed, std::memory_order_seq_cst);
    if (failed_.load(std::memory_order_acquire)) {
      std::exception_ptr error;
      std::swap(error, error_);
      std::rethrow_exception(error);
    }
  }

 private:
  bool open_for(int index) const {
    uint64_t word = word_.load(std::memory_order_acquire);
    uint32_t next = uint32_t(word);
    return next != kClosed && next < chunks_.load(std::memory_order_acquire) &&
           index < threads_.load(std::memory_order_acquire);
  }

  // Takes chunks until none is left; the number taken.
  uint32_t work(int index) {
    uint32_t taken = 0;
    for (;;) {
      uint64_t word = word_.load(std::memory_order_seq_cst);
      uint32_t next = uint32_t(word);
      if (next == kClosed) break;
      // These may belong to a later region than `word`; the exchange below fails then, because the word was closed
      // before any of them was written (acquire here pairs with release there).
      auto body = body_.load(std::memory_order_acquire);
      void* context = context_.load(std::memory_order_acquire);
      if (next >= chunks_.load(std::memory_order_acquire) || index >= threads_.load(std::memory_order_acquire)) break;
      if (!word_.compare_exchange_weak(word, word + 1, std::memory_order_acq_rel)) continue;
      taken++;
      if (failed_.load(std::memory_order_relaxed)) continue;  // the region has failed: count its chunks, run no more
      role.depth++;
      try {
        body(context, next);
      } catch (...) {
        std::lock_guard lock(error_mutex_);
        if (!failed_.load(std::memory_order_relaxed)) {
          error_ = std::current_exception();
          failed_.store(true, std::memory_order_release);
        }
      }
      role.depth--;
    }
    return taken;
  }

  void worker(int index) {
    role.index = uint16_t(index);
    for (;;) {
      if (uint32_t taken = work(index)) {
        done_.fetch_add(taken, std::memory_order_seq_cst);
        if (joining_.load(std::memory_order_seq_cst)) wake(done_, 1);
      }
      if (spin_until([&] { return open_for(index); })) continue;
      uint32_t seen = signal_.load(std::memory_order_seq_cst);
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      if (!open_for(index)) wait_on(signal_, seen);
      sleepers_.fetch_sub(1, std::memory_order_relaxed);
    }
  }

  void add_workers(int count) {
    while (workers_ < count) {
      struct Start {
        Pool* pool;
        int index;
      };
      auto* start = new Start{this, workers_ + 1};
      pthread_attr_t attributes;
      pthread_attr_init(&attributes);
      pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
      sigset_t all, old;  // signals belong to the threads of the program
      sigfillset(&all);
      pthread_sigmask(SIG_SETMASK, &all, &old);
      pthread_t thread;
      int status = pthread_create(
          &thread, &attributes,
          [](void* p) -> void* {
            Start s = *static_cast<Start*>(p);
            delete static_cast<Start*>(p);
            s.pool->worker(s.index);
            return nullptr;
          },
          start);
      pthread_sigmask(SIG_SETMASK, &old, nullptr);
      pthread_attr_destroy(&attributes);
      if (status != 0) {  // a limit on threads: the caller does what is left
        delete start;
        return;
      }
      workers_++;
    }
  }

  alignas(64) std::atomic<uint64_t> word_{kClosed};  // (generation, next chunk)
  alignas(64) std::atomic<void (*)(void*, int64_t)> body_{nullptr};
  std::atomic<void*> context_{nullptr};
  std::atomic<uint32_t> chunks_{0};
  std::atomic<int> threads_{1};
  std::atomic<bool> failed_{false};
  alignas(64) std::atomic<uint32_t> done_{0};
  std::atomic<bool> joining_{false};
  alignas(64) std::atomic<uint32_t> signal_{0};
  std::atomic<int> sleepers_{0};
  alignas(64) std::atomic<bool> busy_{false};
  int workers_ = 0;  // changed by whoever has entered
  std::mutex error_mutex_;
  std::exception_ptr error_;
};

std::atomic<Pool*> the_pool{nullptr};  // never destroyed: workers sleep in it when the process ends
std::atomic<int> chosen_threads{0};
RegionHooks region_hooks;

Pool& pool() {
  Pool* p = the_pool.load(std::memory_order_acquire);
  if (p) return *p;
  static std::once_flag once;
  std::call_once(once, [] {
    // A child of fork() has none of the workers, and locks may be held by threads that are gone: it starts a new pool.
    pthread_atfork(nullptr, nullptr, [] {
      the_pool.store(new Pool, std::memory_order_release);
      role.index = 0;
    });
    the_pool.store(new Pool, std::memory_order_release);
  });
  return *the_pool.load(std::memory_order_acquire);
}

int cgroup_cores() {  // the processor time that the control group may use, in whole cores, or INT_MAX
  double quota = 0, period = 0;
  std::string first;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> first >> period) {
    if (first != "max") quota = std::strtod(first.c_str(), nullptr);
  } else {
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
  }
  if (quota <= 0 || period <= 0) return INT_MAX;
  int cores = int((quota + period - 1) / period);
  return cores < 1 ? 1 : cores;
}

int default_threads() {
  for (const char* name : {"FLAMBEAU_NUM_THREADS", "OMP_NUM_THREADS"}) {
    const char* text = std::getenv(name);
    if (!text || !std::isdigit(static_cast<unsigned char>(*text))) continue;
    long n = std::strtol(text, nullptr, 10);  // of OpenMP's list "4,2" the first level counts
    if (n >= 1) return int(n < kMaxThreads ? n : kMaxThreads);
  }
  int cores = int(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
#endif
  int group = cgroup_cores();
  if (group < cores) cores = group;
  return cores < 1 ? 1 : cores < kMaxThreads ? cores : kMaxThreads;
}

// Chunks of a region that stays on this thread. Inside a chunk of another region, `depth` is above zero already.
void run_serially(int64_t chunks, void (*body)(void*, int64_t), void* context) {
  for (int64_t i = 0; i < chunks; i++) body(context, i);
}

}  // namespace

int num_threads() {
  int n = chosen_threads.load(std::memory_order_relaxed);
  if (n > 0) return n;
  int found = default_threads(), none = 0;
  return chosen_threads.compare_exchange_strong(none, found) ? found : none;
}

void set_num_threads(int count) {
  chosen_threads.store(count < 1 ? 1 : count < kMaxThreads ? count : kMaxThreads, std::memory_order_relaxed);
}

int thread_index() { return role.index; }
bool in_parallel() { return role.depth > 0; }
void set_region_hooks(RegionHooks hooks) { region_hooks = hooks; }

namespace {
// One for the whole process: what it guards is short, or runs on the one pool anyway.
alignas(std::recursive_mutex) char outer_lock_room[sizeof(std::recursive_mutex)];
std::recursive_mutex& outer_lock() {
  static std::recursive_mutex* made = [] {
    auto* m = new (outer_lock_room) std::recursive_mutex;
    pthread_atfork(nullptr, nullptr, [] { new (outer_lock_room) std::recursive_mutex; });
    return m;
  }();
  return *made;
}
}  // namespace

OuterLock::OuterLock() {
  std::recursive_mutex& m = outer_lock();
  if (m.try_lock()) return;
  RegionHooks hooks = region_hooks;
  void* token = hooks.leave ? hooks.leave() : nullptr;
  m.lock();
  if (hooks.enter) hooks.enter(token);
}
OuterLock::~OuterLock() { outer_lock().unlock(); }

void run_chunks(int64_t chunks, void (*body)(void* context, int64_t chunk), void* context) {
  int threads = num_threads();
  if (chunks < 2 || threads < 2 || in_parallel()) return run_serially(chunks, body, context);
  if (threads > chunks) threads = int(chunks);
  Pool& p = pool();
  if (!p.try_enter()) return run_serially(chunks, body, context);  // another thread has the workers
  struct Region {  // leaves and enters the embedding language, also when a chunk has thrown
    Pool& pool;
    RegionHooks hooks = region_hooks;
    void* token = nullptr;
    explicit Region(Pool& pool) : pool(pool) {
      if (hooks.leave) token = hooks.leave();
    }
    ~Region() {
      pool.exit();
      if (hooks.enter) hooks.enter(token);
    }
  } region(p);
  for (int64_t first = 0; first < chunks; first += kMaxChunks) {
    int64_t count = chunks - first < kMaxChunks ? chunks - first : kMaxChunks;
    if (first == 0) {
      p.run(threads, count, body, context);
      continue;
    }
    struct Shifted {
      void (*body)(void*, int64_t);
      void* context;
      int64_t first;
    } shifted{body, context, first};
    p.run(
        threads, count,
        [](void* c, int64_t i) {
          auto& s = *static_cast<Shifted*>(c);
          s.body(s.context, s.first + i);
        },
        &shifted);
  }
}

}  // namespace flambeau
