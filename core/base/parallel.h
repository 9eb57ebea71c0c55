// The one thread pool. Work is cut into chunks by size alone, never by the number of threads, so that results are the
// same bits for any number of threads.
#pragma once
#include <cstdint>
#include <type_traits>

namespace flambeau {

int num_threads();  // 1 .. the number of cores that the process may use, unless set
void set_num_threads(int count);
int thread_index();  // 0 in the calling thread of a parallel region, 1.. in its workers
bool in_parallel();

// Calls body(context, chunk) once for each chunk in 0..chunks-1, on the pool and the calling thread, and returns when
// all are done. The first exception of a body is rethrown in the caller. Nested calls run serially. Survives fork().
void run_chunks(int64_t chunks, void (*body)(void* context, int64_t chunk), void* context);

// What the embedding language does around a parallel region of the calling thread (Python: release and retake the GIL).
struct RegionHooks {
  void* (*leave)() = nullptr;
  void (*enter)(void*) = nullptr;
};
void set_region_hooks(RegionHooks hooks);

// A lock that may be held across parallel regions: who waits for it has left the embedding language, so that its holder
// can come back there. The same thread may take it again. A child of fork() finds it free.
class OuterLock {
 public:
  OuterLock();
  ~OuterLock();
  OuterLock(const OuterLock&) = delete;
};

// f(begin, end) over pieces of [0, n), each of `grain` elements (the last may be shorter). One piece runs inline.
template <class F> void parallel_for(int64_t n, int64_t grain, F&& f) {
  if (n <= 0) return;
  if (grain < 1) grain = 1;
  if (n <= grain) return void(f(int64_t(0), n));
  struct Context {
    std::remove_reference_t<F>* f;
    int64_t n, grain;
  } context{&f, n, grain};
  run_chunks((n + grain - 1) / grain,
             [](void* p, int64_t chunk) {
               auto& c = *static_cast<Context*>(p);
               int64_t begin = chunk * c.grain, end = begin + c.grain < c.n ? begin + c.grain : c.n;
               (*c.f)(begin, end);
             },
             &context);
}

}  // namespace flambeau
