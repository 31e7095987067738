#include "simulator/report/fault.h"

#include <cxxabi.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace sim {
namespace {

std::atomic<void (*)(const Fault*)> end_writer{nullptr};

}  // namespace

std::string text_of(const Dim3& d) {
  return "(" + std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z) + ")";
}

std::string readable_name(const std::string& mangled) {
  if (!mangled.starts_with("_Z")) return mangled;  // the name f would be read as float
  int status = 0;
  char* text = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
  std::string name = status == 0 ? text : mangled;
  std::free(text);
  return name;
}

void at_end(void (*write)(const Fault*)) { end_writer = write; }

void run_at_end(const Fault* fault) {
  if (auto* const write = end_writer.exchange(nullptr)) write(fault);
}

namespace {

/// Of more calls than a reader wants the innermost and the outermost.
std::string text_of_calls(const std::vector<std::string>& calls) {
  constexpr size_t kMost = 8, kEach = kMost / 2;
  const size_t left_out = calls.size() > kMost ? calls.size() - kMost : 0;
  std::string text;
  for (size_t k = 0; k < calls.size(); ++k) {
    if (left_out && k == kEach) {
      text += "  (" + std::to_string(left_out) + (left_out == 1 ? " call" : " calls") +
              " more between these)\n";
      k += left_out;
    }
    text += "  called at " + calls[k] + "\n";
  }
  return text;
}

}  // namespace

std::string text_of(const Fault& fault) {
  std::string text = "sim: " + fault.kind + ": " + fault.details + "\n";
  if (!fault.kernel.empty())
    text += "  in " + readable_name(fault.kernel) + ", block " + text_of(fault.block) +
            ", thread " + text_of(fault.thread) + "\n";
  std::string where;
  if (!fault.source_file.empty())
    where = fault.source_file + ":" + std::to_string(fault.source_line);
  if (fault.ptx_line != 0)
    where += (where.empty() ? "PTX line " : ", PTX line ") + std::to_string(fault.ptx_line);
  if (!fault.ptx_text.empty()) where += (where.empty() ? "" : ": ") + fault.ptx_text;
  if (!where.empty()) text += "  at " + where + "\n";
  return text + text_of_calls(fault.calls);
}

namespace {

void print(const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t n = write(STDERR_FILENO, text.data() + done, text.size() - done);
    if (n <= 0) break;
    done += size_t(n);
  }
}

}  // namespace

void note(const std::string& text) { print("sim: note: " + text + "\n"); }

/// Of several threads the first reports; the others wait for the end that it makes.
void stop_program(const Fault& fault) {
  static std::atomic<std::thread::id> reporting{};
  std::thread::id nobody{};
  if (!reporting.compare_exchange_strong(nobody, std::this_thread::get_id())) {
    if (nobody == std::this_thread::get_id()) _exit(kFaultExit);
    for (;;) pause();
  }
  std::fflush(stdout);
  print(text_of(fault));
  run_at_end(&fault);
  _exit(kFaultExit);
}

}  // namespace sim
