#include "simulator/api/api.h"

#include <cstdlib>
#include <exception>
#include <string>

#include "simulator/device/settings.h"
#include "simulator/memory/memory.h"
#include "simulator/report/host_access.h"
#include "simulator/stream/graph.h"

namespace sim {
namespace {

bool started = false;

void report_leaks() {
  std::string details;
  size_t count = 0;
  uint64_t bytes = 0;
  for (const Allocation& a : live_allocations()) {
    if (is_variable(a) || a.name == "cudaHostRegister") continue;  // the host's own
    if (is_kept_by_graph(a.base)) continue;
    bytes += a.bytes;
    if (++count <= 10) details += "\n  " + describe_address(a.base);
  }
  if (count == 0) return;
  if (count > 10) details += "\n  and " + std::to_string(count - 10) + " more";
  Fault fault;
  fault.kind = "leak";
  fault.details = std::to_string(bytes) + " bytes were not freed when the program ended:" + details;
  stop_program(fault);
}

/// Work that nothing waited for runs now. A program that fails anyway hears of no leaks.
void at_exit(int status, void*) {
  if (!started || in_child()) return;
  if (inside_task()) return run_at_end(nullptr);
  {
    Lock lock(state_mutex());
    finish_work(lock);
  }
  if (status == 0 && settings().checks) report_leaks();
  run_at_end(nullptr);
}

// Registered when the library is loaded, so that it comes after the program's own destructors.
__attribute__((constructor)) void watch_exit() { on_exit(at_exit, nullptr); }

}  // namespace

void finish_work(Lock& lock) {
  if (started && !inside_task()) Executor::get().wait_all(lock, -1);
}

void start() {
  static const bool once = [] {
    settings();
    open_memory();
    watch_host_access();
    watch_forks();
    return started = true;
  }();
  (void)once;
}

int& current_device() {
  thread_local int device = 0;
  return device;
}

void check_device(int device) {
  check(device >= 0 && device < settings().devices, cudaErrorInvalidDevice);
}

void stop_with(const char* call) {
  Fault fault;
  fault.kind = "not simulated";
  try {
    throw;
  } catch (const Fault& f) {
    fault = f;
  } catch (const std::exception& e) {
    fault.details = std::string(call) + ": " + e.what();
  }
  stop_program(fault);
}

}  // namespace sim
