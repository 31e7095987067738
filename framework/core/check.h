// Errors. One sentence: "[op] rule in words; got <name> <value> (file:line)", both sides of every
// mismatch.
#pragma once
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace noisette {

/// Misuse by the caller: bad shapes, bad files, bad configuration. Broken invariants of our own are
/// std::logic_error.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A message that concerns the user's command line or configuration; the program exits with code 2
/// instead of 1.
class UsageError : public Error {
 public:
  using Error::Error;
};

#ifdef __cpp_lib_source_location
using SourceLocation = std::source_location;
#else  // clang before 16, which builds the fuzz targets on Debian 12
struct SourceLocation {
  const char* file;
  unsigned at_line;

  static constexpr SourceLocation current(const char* file = __builtin_FILE(),
                                          unsigned line = __builtin_LINE()) {
    return {file, line};
  }
  constexpr const char* file_name() const { return file; }
  constexpr unsigned line() const { return at_line; }
};
#endif

/// A format string that is checked at compile time and remembers where it was written.
template <class... A>
struct Format {
  template <class S>
  consteval Format(const S& s, SourceLocation at = SourceLocation::current()) : text(s), at(at) {}
  fmt::format_string<A...> text;
  SourceLocation at;
};

/// Throws Error with the formatted sentence and its source position.
template <class... A>
[[noreturn]] void fail(Format<std::type_identity_t<A>...> f, A&&... a) {
  throw Error(fmt::format("{} ({}:{})", fmt::format(f.text, std::forward<A>(a)...),
                          f.at.file_name(), f.at.line()));
}

/// Throws Error unless `ok`. The message is formatted only when needed.
template <class... A>
void check(bool ok, Format<std::type_identity_t<A>...> f, A&&... a) {
  if (ok) [[likely]]
    return;
  throw Error(fmt::format("{} ({}:{})", fmt::format(f.text, std::forward<A>(a)...),
                          f.at.file_name(), f.at.line()));
}

/// Like check(), for messages whose position is in the user's own file and already part of the
/// text.
template <class... A>
void check_user(bool ok, fmt::format_string<std::type_identity_t<A>...> text, A&&... a) {
  if (ok) [[likely]]
    return;
  throw Error(fmt::format(text, std::forward<A>(a)...));
}

}  // namespace noisette
