// The random engine and fills against numbers that PyTorch drew, and what must hold for any stream.
#include "test.h"

#include "base/error.h"
#include "base/parallel.h"
#include "ops/random_fill.h"

#include <cstring>
#include <vector>

using namespace flambeau;

namespace {

enum Fill {
  kUniform,
  kNormal,
  kLogNormal,
  kExponential,
  kCauchy,
  kBernoulliEach,
  kDropout,
  kReplace,
  kRace,
  kBernoulli,
  kRandom,
  kGeometric,
  kRange,
  kPermutation,
  kWideRange,
};

struct Reference {
  Fill fill;
  DType dtype;
  int64_t n;
  uint64_t seed;
  double last[6];
  float next;
};

#include "random_reference.h"

double element(DType t, const void* data, int64_t i) {
  return visit_dtype(t, [&]<class T>() -> double {
    const T& x = static_cast<const T*>(data)[i];
    if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
      return double(to_float(x));
    else if constexpr (std::is_arithmetic_v<T>)
      return double(x);
    else
      return double(x.re);
  });
}

void put_element(DType t, void* data, int64_t i, float x) {
  if (t == DType::Float16) static_cast<Half*>(data)[i] = to_half(x);
  if (t == DType::BFloat16) static_cast<BFloat16*>(data)[i] = to_bfloat16(x);
  if (t == DType::Float32) static_cast<float*>(data)[i] = x;
  if (t == DType::Float64) static_cast<double*>(data)[i] = double(x);
}

DType draw(Generator& g, const Reference& r, void* out) {  // the dtype of what was drawn
  alignas(8) unsigned char input[50 * 8];
  bool mask[50];
  switch (r.fill) {
    case kUniform: random::uniform(g, r.dtype, out, r.n, -0.3, 1.1); break;
    case kNormal: random::normal(g, r.dtype, out, r.n, 0.1, 1.7); break;
    case kLogNormal: random::log_normal(g, r.dtype, out, r.n, 0.1, 0.7); break;
    case kExponential: random::exponential(g, r.dtype, out, r.n, 2.5); break;
    case kCauchy: random::cauchy(g, r.dtype, out, r.n, 0.5, 1.7); break;
    case kBernoulli: random::bernoulli(g, r.dtype, out, r.n, 0.3); break;
    case kRandom: random::integers(g, r.dtype, out, r.n); break;
    case kGeometric: random::geometric(g, r.dtype, out, r.n, 0.3); break;
    case kRange: random::integers(g, r.dtype, out, r.n, 3, 100); break;
    case kPermutation: random::permutation(g, r.dtype, out, r.n); break;
    case kWideRange: random::integers(g, r.dtype, out, r.n, -(int64_t(1) << 40), int64_t(1) << 41); break;
    case kBernoulliEach:
      for (int i = 0; i < 50; i++) put_element(r.dtype, input, i, float(i) / 49);
      random::bernoulli(g, r.dtype, out, r.dtype, input, r.n);
      break;
    case kDropout:
      for (int i = 0; i < 50; i++) put_element(r.dtype, input, i, float(i));
      random::dropout(g, r.dtype, input, out, mask, r.n, 0.3);
      for (int i = 1; i < 50; i++) EXPECT_EQ(mask[i], element(r.dtype, out, i) != 0);
      break;
    case kReplace:
    case kRace:
      for (int i = 0; i < 20; i++) put_element(r.dtype, input, i, float(i + 1));
      random::multinomial(g, r.dtype, input, 1, 20, r.n, r.fill == kReplace, static_cast<int64_t*>(out));
      return DType::Int64;
  }
  return r.dtype;
}

double tolerance(DType t) {  // an ulp or so: processors without fused multiply-add round once more
  return t == DType::Float64    ? 1e-14
         : t == DType::Float32  ? 1e-6
         : t == DType::Float16  ? 1e-3
         : t == DType::BFloat16 ? 8e-3
                                : 0;
}

}  // namespace

TEST(random_fills_draw_pytorchs_numbers) {
  std::vector<double> memory(1007);
  for (const Reference& r : kReferences) {
    Generator g(r.seed);
    DType drawn = draw(g, r, memory.data());
    for (int64_t k = 0; k < 6; k++)
      if (r.n + k >= 6) EXPECT_NEAR(element(drawn, memory.data(), r.n - 6 + k), r.last[k], tolerance(drawn));
    EXPECT_EQ(g.uniform_float(), r.next);
  }
}

TEST(random_fills_do_not_depend_on_threads) {
  int before = num_threads();
  int64_t n = 700001;
  std::vector<double> one(static_cast<size_t>(n)), many(static_cast<size_t>(n));
  auto compare = [&](auto fill) {
    Generator a(7), b(7);
    set_num_threads(1);
    fill(a, one.data());
    for (int threads : {2, 4}) {
      set_num_threads(threads);
      b.seed(7);
      fill(b, many.data());
      EXPECT(std::memcmp(one.data(), many.data(), size_t(n) * 4) == 0);
      EXPECT_EQ(Generator(a.random64()).initial_seed(), b.random64());
      a.seed(7), fill(a, one.data());
    }
  };
  compare([&](Generator& g, void* out) { random::uniform(g, DType::Float32, out, n, 0, 1); });
  compare([&](Generator& g, void* out) { random::normal(g, DType::Float32, out, n, 0, 1); });
  compare([&](Generator& g, void* out) { random::normal(g, DType::Float64, out, n, 0, 1); });
  compare([&](Generator& g, void* out) { random::exponential(g, DType::Float32, out, n, 1); });
  compare([&](Generator& g, void* out) { random::bernoulli(g, DType::Float32, out, n, 0.4); });
  compare([&](Generator& g, void* out) { random::integers(g, DType::Int64, out, n, 0, 1000); });
  set_num_threads(before);
}

TEST(random_large_fill_is_the_same_stream) {  // the bulk path against one draw after the other
  std::vector<float> bulk(600000);
  Generator a(5), b(5);
  a.random32(), b.random32();
  random::uniform(a, DType::Float32, bulk.data(), int64_t(bulk.size()), 0, 1);
  bool same = true;
  for (float x : bulk) same = same && x == b.uniform_float();
  EXPECT(same);
  EXPECT_EQ(a.random64(), b.random64());
}

TEST(random_state_resumes_the_stream) {
  unsigned char state[Generator::kStateBytes];
  for (int drawn : {0, 1, 3, 623, 624, 625, 2000}) {
    Generator a(99);
    for (int i = 0; i < drawn; i++) a.random32();
    if (drawn == 3) a.normal_double();  // one more is kept
    a.get_state(state);
    Generator b(1);
    b.set_state(state, sizeof state);
    EXPECT_EQ(b.initial_seed(), uint64_t(99));
    EXPECT_EQ(a.normal_double(), b.normal_double());
    for (int i = 0; i < 1500; i++) EXPECT_EQ(a.random32(), b.random32());
  }
  Generator g(1);
  g.get_state(state);
  EXPECT_THROW(g.set_state(state, sizeof state - 1), Error, "RNG state is wrong size");
  std::memset(state + 8, 0xff, 4);
  EXPECT_THROW(g.set_state(state, sizeof state), Error, "Invalid mt19937 state");
}

TEST(random_state_is_pytorchs) {  // torch.manual_seed(5); torch.rand(3); torch.get_rng_state()
  Generator g(5);
  unsigned char state[Generator::kStateBytes];
  g.get_state(state);
  const unsigned char fresh[32] = {5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5};
  EXPECT(std::memcmp(state, fresh, 32) == 0);
  for (int i = 0; i < 3; i++) g.random32();
  g.get_state(state);
  const unsigned char drawn[32] = {5, 0, 0, 0, 0, 0, 0, 0, 0x6e, 2, 0,    0,    1,    0,
                                   0, 0, 3, 0, 0, 0, 0, 0, 0,    0, 0x4b, 0xee, 0x48, 0xf3};
  EXPECT(std::memcmp(state, drawn, 32) == 0);
}

TEST(random_parameters_are_checked) {
  Generator g;
  float out[4];
  EXPECT_THROW(random::normal(g, DType::Float32, out, 4, 0, -1), Error, "normal expects std >= 0.0, but found std -1");
  EXPECT_THROW(random::uniform(g, DType::Float32, out, 4, 2, 1), Error,
               "uniform_ expects to return a [from, to) range, but found from=2 > to=1");
  EXPECT_THROW(random::uniform(g, DType::Float32, out, 4, 0, NAN), Error, "uniform_ expects");
  EXPECT_THROW(random::exponential(g, DType::Float32, out, 4, 0), Error,
               "exponential_ expects lambda > 0.0, but found lambda=0");
  EXPECT_THROW(random::bernoulli(g, DType::Float32, out, 4, 1.5), Error,
               "bernoulli_ expects p to be in [0, 1], but got p=1.5");
  EXPECT_THROW(random::integers(g, DType::UInt8, out, 4, 0, 300), Error, "to - 1 is out of bounds for unsigned char");
  EXPECT_THROW(random::integers(g, DType::Int32, out, 4, 5, 5), Error,
               "random_ expects 'from' to be less than 'to', but got from=5 >= to=5");
  EXPECT_THROW(random::normal(g, DType::Int32, out, 4, 0, 1), Error, "\"normal_kernel_cpu\" not implemented for 'Int'");
  float wrong[4] = {0.5f, 0.2f, NAN, 0.1f};
  EXPECT_THROW(random::bernoulli(g, DType::Float32, out, DType::Float32, wrong, 4), Error, "p_in >= 0 && p_in <= 1");
  int64_t picked[4];
  EXPECT_THROW(random::multinomial(g, DType::Float32, wrong, 1, 4, 2, false, picked), Error, "either `inf`, `nan`");
  float zero[4] = {};
  EXPECT_THROW(random::multinomial(g, DType::Float32, zero, 1, 4, 2, true, picked), Error, "sum of probabilities <= 0");
  EXPECT_THROW(random::multinomial(g, DType::Float32, zero, 1, 4, 5, false, picked), Error,
               "cannot sample n_sample > prob_dist.size(-1) samples without replacement");
}

TEST(random_dropout_extremes) {
  Generator g(3);
  float x[3] = {1, INFINITY, -2}, out[3];
  bool mask[3];
  random::dropout(g, DType::Float32, x, out, mask, 3, 0);
  EXPECT(mask[0] && out[1] == INFINITY && out[2] == -2);
  random::dropout(g, DType::Float32, x, out, mask, 3, 1);
  EXPECT(!mask[0] && out[0] == 0 && std::isnan(out[1]));
  EXPECT_EQ(g.random32(), Generator(3).random32());
}

TEST(philox_known_answers) {  // the vectors published with the paper's library
  uint64_t all = ~uint64_t(0);
  const uint32_t zero[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
  const uint32_t ones[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
  for (int i = 0; i < 4; i++) {
    EXPECT_EQ(philox(0, 0, 0).words[i], zero[i]);
    EXPECT_EQ(philox(all, all, all).words[i], ones[i]);
  }
}
