// The random engines and the saved form of the generator.
#include "base/random.h"

#include "base/error.h"
#include "base/parallel.h"

#include <cmath>
#include <cstring>
#include <random>

namespace flambeau {
namespace {

constexpr int kShift = 397;
constexpr uint32_t kUpper = 0x80000000, kLower = 0x7fffffff, kMatrix = 0x9908b0df;

uint32_t twist(uint32_t high, uint32_t low) {
  uint32_t y = (high & kUpper) | (low & kLower);
  return (y >> 1) ^ (-(y & 1) & kMatrix);
}

// Offsets in the saved state: the seed; how many words are left before the recurrence runs, counting one more; whether
// seeded; the next word's index; the words, each in eight bytes; the kept normal number and whether there is one.
constexpr size_t kSeedAt = 0, kLeftAt = 8, kSeededAt = 12, kNextAt = 16, kWordsAt = 24;
constexpr size_t kNormalAt = kWordsAt + 8 * Mt19937::kWords + 8, kHasNormalAt = kNormalAt + 16;

template <class T> void put(unsigned char* bytes, size_t at, T value) { std::memcpy(bytes + at, &value, sizeof value); }

template <class T> T get(const unsigned char* bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes + at, sizeof value);
  return value;
}

}  // namespace

void Mt19937::seed(uint32_t seed) {
  state[0] = seed;
  for (uint32_t i = 1; i < uint32_t(kWords); i++) state[i] = 1812433253u * (state[i - 1] ^ (state[i - 1] >> 30)) + i;
  used = kWords;
  fresh = true;
}

void Mt19937::refill() {
  for (int i = 0; i < kWords - kShift; i++) state[i] = state[i + kShift] ^ twist(state[i], state[i + 1]);
  for (int i = kWords - kShift; i < kWords - 1; i++)
    state[i] = state[i + kShift - kWords] ^ twist(state[i], state[i + 1]);
  state[kWords - 1] = state[kShift - 1] ^ twist(state[kWords - 1], state[0]);
  used = 0;
  fresh = false;
}

uint32_t Mt19937::next() {
  if (used == kWords) refill();
  uint32_t y = state[used++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680;
  y ^= (y << 15) & 0xefc60000;
  return y ^ (y >> 18);
}

void Generator::seed(uint64_t seed) {
  OuterLock lock;
  initial_seed_ = seed;
  engine.seed(uint32_t(seed));
  has_kept_normal_ = false;
  kept_normal_ = 0;
}

uint64_t Generator::seed_from_system() {
  std::random_device device;
  uint64_t high = device(), low = device();
  seed((high << 32 | low) & 0x1fffffffffffff);  // 53 bits: the seed survives a double
  return initial_seed_;
}

uint64_t Generator::random64() {
  uint64_t high = engine.next();
  return high << 32 | engine.next();
}

float Generator::uniform_float() { return float(random32() & 0xffffff) * 0x1p-24f; }
double Generator::uniform_double() { return double(random64() & 0x1fffffffffffff) * 0x1p-53; }

double Generator::normal_double() {
  if (has_kept_normal_) {
    has_kept_normal_ = false;
    double kept = kept_normal_;
    kept_normal_ = 0;
    return kept;
  }
  double angle = 2 * M_PI * uniform_double();
  double radius = std::sqrt(-2 * std::log1p(-uniform_double()));
  kept_normal_ = radius * std::sin(angle);
  has_kept_normal_ = true;
  return radius * std::cos(angle);
}

void Generator::get_state(unsigned char* bytes) const {
  OuterLock lock;
  std::memset(bytes, 0, kStateBytes);
  put<uint64_t>(bytes, kSeedAt, initial_seed_);
  put<int32_t>(bytes, kLeftAt, engine.fresh ? 1 : Mt19937::kWords + 1 - engine.used);
  put<int32_t>(bytes, kSeededAt, 1);
  put<uint64_t>(bytes, kNextAt, engine.fresh ? 0 : uint64_t(engine.used));
  for (int i = 0; i < Mt19937::kWords; i++) put<uint64_t>(bytes, kWordsAt + 8 * size_t(i), engine.state[i]);
  put<double>(bytes, kNormalAt, kept_normal_);
  put<int32_t>(bytes, kHasNormalAt, has_kept_normal_);
}

void Generator::set_state(const unsigned char* bytes, size_t size) {
  if (size != kStateBytes)
    fail(ErrorKind::Runtime, "RNG state is wrong size\nset_state: expected ", kStateBytes, " bytes of uint8; got ",
         size);
  auto left = get<int32_t>(bytes, kLeftAt);
  auto next = get<uint64_t>(bytes, kNextAt);
  bool valid = get<int32_t>(bytes, kSeededAt) == 1 && left >= 1 && left <= Mt19937::kWords && next <= Mt19937::kWords;
  bool fresh = next == 0 && left == 1;
  if (!valid || !(fresh || uint64_t(left) + next == Mt19937::kWords + 1))
    fail(ErrorKind::Runtime, "Invalid mt19937 state\nset_state: expected the bytes of get_state(); got left = ", left,
         ", next = ", next);
  OuterLock lock;
  initial_seed_ = get<uint64_t>(bytes, kSeedAt);
  engine.fresh = fresh;
  engine.used = fresh ? Mt19937::kWords : int(next);
  for (int i = 0; i < Mt19937::kWords; i++) engine.state[i] = uint32_t(get<uint64_t>(bytes, kWordsAt + 8 * size_t(i)));
  kept_normal_ = get<double>(bytes, kNormalAt);
  has_kept_normal_ = get<int32_t>(bytes, kHasNormalAt) != 0;
}

Generator& default_generator() {
  static Generator* const generator = new Generator;  // lives as long as the process
  return *generator;
}

Philox4x32 philox(uint64_t key, uint64_t counter_low, uint64_t counter_high) {
  uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
  uint32_t c0 = uint32_t(counter_low), c1 = uint32_t(counter_low >> 32);
  uint32_t c2 = uint32_t(counter_high), c3 = uint32_t(counter_high >> 32);
  for (int round = 0; round < 10; round++) {
    uint64_t a = uint64_t(0xd2511f53) * c0, b = uint64_t(0xcd9e8d57) * c2;
    c0 = uint32_t(b >> 32) ^ c1 ^ k0;
    c2 = uint32_t(a >> 32) ^ c3 ^ k1;
    c1 = uint32_t(b);
    c3 = uint32_t(a);
    k0 += 0x9e3779b9;
    k1 += 0xbb67ae85;
  }
  return {{c0, c1, c2, c3}};
}

}  // namespace flambeau
