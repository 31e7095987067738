#include "simulator/api/missing.h"

#include <unistd.h>

#include <cstdio>

#include "simulator/report/fault.h"

void sim::missing(const char* function) {
  std::fflush(stdout);
  std::fprintf(stderr, "sim: %s is not simulated\n", function);
  run_at_end(nullptr);
  _exit(kFaultExit);
}
