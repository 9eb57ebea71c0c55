// One exception type for the whole core; its kind says which Python exception it becomes.
#pragma once
#include <stdexcept>
#include <string>
#include <string_view>

namespace flambeau {

enum class ErrorKind : unsigned char {
  Runtime,
  Type,
  Value,
  Index,
  NotImplemented,
  OutOfMemory,
  Linalg,
  ZeroDivision,
  Overflow,
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind(kind) {}
  ErrorKind kind;
};

// str("a", 1, 2.5): plain concatenation, for messages.
namespace detail {
inline void append(std::string& out, std::string_view text) { out += text; }
inline void append(std::string& out, const char* text) { out += text; }
inline void append(std::string& out, const std::string& text) { out += text; }
inline void append(std::string& out, char c) { out += c; }
template <class T> void append(std::string& out, const T& number) { out += std::to_string(number); }
}  // namespace detail

template <class... Parts> std::string str(const Parts&... parts) {
  std::string out;
  (detail::append(out, parts), ...);
  return out;
}

template <class... Parts> [[noreturn, gnu::cold, gnu::noinline]] void fail(ErrorKind kind, const Parts&... parts) {
  throw Error(kind, str(parts...));
}

// check(condition, "cat(): ...", n): a RuntimeError unless the condition holds. The message is built only on failure.
template <class... Parts> inline void check(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail(ErrorKind::Runtime, parts...);
}

}  // namespace flambeau
