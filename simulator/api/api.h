// What every function of the API begins with.
#pragma once
#pragma GCC visibility push(default)
#include <cuda_runtime_api.h>
#pragma GCC visibility pop

#include "simulator/report/api_error.h"
#include "simulator/report/fault.h"
#include "simulator/stream/task.h"

#define SIM_API extern "C" __attribute__((visibility("default")))

namespace sim {

/// Settings, memory, the handlers: once, at the program's first call.
void start();

/// Waits for all that is left, where there was a call at all.
void finish_work(Lock& lock);

/// The device that this thread's calls go to.
int& current_device();
void check_device(int device);  // cudaErrorInvalidDevice

/// Remembers a code for cudaGetLastError, and returns it.
cudaError_t remember(cudaError_t code);
/// After an exception other than ApiError: ends the program with a report.
[[noreturn]] void stop_with(const char* call);

/// Runs the body of an API function, with the state locked. It says by fail() what went wrong.
template <class Body>
cudaError_t api(const char* call, Body&& body) {
  if (in_child()) return remember(cudaErrorInitializationError);
  if (inside_task()) return remember(cudaErrorNotPermitted);
  try {
    start();
    Lock lock(state_mutex());
    body(lock);
    Executor::get().run_ahead(lock);
    return cudaSuccess;
  } catch (const ApiError& error) {
    return remember(error.code);
  } catch (...) {
    stop_with(call);
  }
}

}  // namespace sim
