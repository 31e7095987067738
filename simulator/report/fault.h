// A fault of the program under test: what a check found, where, and how the program ends.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace sim {

/// Exit code of a program that a check stopped.
inline constexpr int kFaultExit = 86;

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t(x) * y * z; }
};
/// "(1,0,0)"
std::string text_of(const Dim3& d);

/// Thrown where a check fails; whoever runs the kernel adds where it happened, and the executor
/// prints it and ends the program.
struct Fault {
  std::string kind =
      {};  // "out of bounds", "race in shared memory", ... the words of the README's table
  std::string details =
      {};  // one or two sentences: what was done, to which address, what is nearest

  // Filled in by the engine; kernel stays empty for a fault of the host (double free, leak).
  std::string kernel = {};
  Dim3 block{0, 0, 0}, thread{0, 0, 0};
  uint32_t ptx_line = 0;
  std::string ptx_text = {};     // the instruction
  std::string source_file = {};  // of the .cu, where -lineinfo was given
  uint32_t source_line = 0;
  std::vector<std::string> calls = {};  // that led there, inlined ones too, the innermost first
};

/// The report that a person reads: several lines, the first says what and the second where.
std::string text_of(const Fault& fault);

/// "saxpy(int, float const*)" of a mangled name; any other name as it is.
std::string readable_name(const std::string& mangled);

/// Prints "sim: note: " and the text to stderr.
void note(const std::string& text);

/// Calls `write` once when the program ends: in the exit, or before a fault stops it.
void at_end(void (*write)(const Fault* fault));
/// Does what at_end() was told, if that was not done yet.
void run_at_end(const Fault* fault);

/// Prints the report to stderr and ends the process with kFaultExit, at once: no destructors run.
[[noreturn]] void stop_program(const Fault& fault);

}  // namespace sim
