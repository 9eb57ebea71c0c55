// The random engine: a Mersenne Twister whose streams, transforms and saved state are those of PyTorch's CPU generator,
// and a counter-based engine for work where every element must know its own numbers.
#pragma once
#include <cstddef>
#include <cstdint>

namespace flambeau {

// mt19937 (Matsumoto and Nishimura, 1998). The words are open so that kernels can draw them in bulk.
struct Mt19937 {
  static constexpr int kWords = 624;
  uint32_t state[kWords];
  int used = kWords;  // words of `state` given out; at kWords the recurrence must run
  bool fresh = true;  // seeded and never drawn from: the saved form tells this apart from used == kWords

  void seed(uint32_t seed);
  void refill();    // the next kWords words of the recurrence
  uint32_t next();  // one tempered word
};

// Not safe by itself: whoever draws holds the OuterLock for the whole of one operation, so that its numbers are
// consecutive. It is that lock because numbers are made in parallel regions: who waits must not keep Python from their end.
class Generator {
 public:
  static constexpr uint64_t kDefaultSeed = 67280421310721;
  static constexpr size_t kStateBytes = 5056;

  explicit Generator(uint64_t seed = kDefaultSeed) { this->seed(seed); }
  void seed(uint64_t seed);  // forgets the kept normal number too
  uint64_t initial_seed() const { return initial_seed_; }
  uint64_t seed_from_system();  // a seed nobody can guess; returns it

  uint32_t random32() { return engine.next(); }
  uint64_t random64();      // two words, the first one high
  float uniform_float();    // [0, 1): 24 bits of one word
  double uniform_double();  // [0, 1): 53 bits of two words
  double normal_double();   // Box-Muller's method yields two; the second is kept for the next call

  void get_state(unsigned char* bytes) const;  // kStateBytes, little endian, as torch.get_rng_state() has them
  void set_state(const unsigned char* bytes, size_t size);  // Error(Runtime) unless they are such a state

  Mt19937 engine;

 private:
  uint64_t initial_seed_ = 0;
  double kept_normal_ = 0;
  bool has_kept_normal_ = false;
};

Generator& default_generator();

// Philox4x32-10 (Salmon et al., 2011): four words that depend on (key, counter) alone.
struct Philox4x32 {
  uint32_t words[4];
};
Philox4x32 philox(uint64_t key, uint64_t counter_low, uint64_t counter_high);

}  // namespace flambeau
