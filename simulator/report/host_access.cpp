#include "simulator/report/host_access.h"

#include <signal.h>

#include <cstdint>
#include <cstdio>

#include "simulator/memory/memory.h"
#include "simulator/report/fault.h"

namespace sim {
namespace {

struct sigaction former;

void pass_on(int number, siginfo_t* info, void* context) {
  if (former.sa_flags & SA_SIGINFO) return former.sa_sigaction(number, info, context);
  if (former.sa_handler != SIG_DFL && former.sa_handler != SIG_IGN)
    return former.sa_handler(number);
  sigaction(number, &former,
            nullptr);  // the access is repeated and ends the program as it would have
}

void on_segv(int number, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<uint64_t>(info->si_addr);
  if (!in_device_window(address)) return pass_on(number, info, context);
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(address));
  Fault fault;
  fault.kind = "host access to device memory";
  fault.details = "host code touched " + std::string(text) + ": " + describe_address(address) +
                  ". Copy it with cudaMemcpy first.";
  stop_program(fault);
}

}  // namespace

void watch_host_access() {
  struct sigaction action = {};
  action.sa_sigaction = on_segv;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  static const bool once = sigaction(SIGSEGV, &action, &former) == 0;
  (void)once;
}

}  // namespace sim
