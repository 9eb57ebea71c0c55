// A minimal test framework: TEST(name) { EXPECT(...); } registers a function; main.cpp runs them all.
#pragma once
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace flambeau::test {

struct Case {
  const char* name;
  void (*run)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

inline int& failures() {
  static int count = 0;
  return count;
}

struct Register {
  Register(const char* name, void (*run)()) { cases().push_back({name, run}); }
};

inline void report(const char* file, int line, const std::string& what) {
  std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  failures()++;
}

template <class T> std::string show(const T& value) {
  if constexpr (requires { std::to_string(value); })
    return std::to_string(value);
  else if constexpr (requires { std::string(value); })
    return std::string(value);
  else
    return "(a value)";
}

}  // namespace flambeau::test

#define TEST(name)                                                       \
  static void test_##name();                                             \
  static ::flambeau::test::Register register_##name(#name, test_##name); \
  static void test_##name()

#define EXPECT(condition) ((condition) ? void() : ::flambeau::test::report(__FILE__, __LINE__, "expected " #condition))

#define EXPECT_EQ(a, b)                                                                                      \
  do {                                                                                                       \
    auto&& left_ = (a);                                                                                      \
    auto&& right_ = (b);                                                                                     \
    if (!(left_ == right_))                                                                                  \
      ::flambeau::test::report(__FILE__, __LINE__,                                                           \
                               "expected " #a " == " #b "; got " + ::flambeau::test::show(left_) + " and " + \
                                   ::flambeau::test::show(right_));                                          \
  } while (0)

// |a - b| <= tolerance * max(1, |b|)
#define EXPECT_NEAR(a, b, tolerance)                                                                       \
  do {                                                                                                     \
    double left_ = (a), right_ = (b);                                                                      \
    if (!(std::fabs(left_ - right_) <= (tolerance)*std::fmax(1, std::fabs(right_))))                       \
      ::flambeau::test::report(                                                                            \
          __FILE__, __LINE__,                                                                              \
          "expected " #a " near " #b "; got " + std::to_string(left_) + " and " + std::to_string(right_)); \
  } while (0)

// The statement throws an Exception whose text contains `part`.
#define EXPECT_THROW(statement, Exception, part)                                                          \
  do {                                                                                                    \
    try {                                                                                                 \
      statement;                                                                                          \
      ::flambeau::test::report(__FILE__, __LINE__, #statement " threw nothing");                          \
    } catch (const Exception& error_) {                                                                   \
      if (std::string(error_.what()).find(part) == std::string::npos)                                     \
        ::flambeau::test::report(__FILE__, __LINE__, std::string(#statement " threw: ") + error_.what()); \
    }                                                                                                     \
  } while (0)
