// How an API function says from its depths which code it returns.
#pragma once
#include <driver_types.h>

namespace sim {

struct ApiError {
  cudaError_t code;
};

[[noreturn]] inline void fail(cudaError_t code) { throw ApiError{code}; }
inline void check(bool ok, cudaError_t code) {
  if (!ok) fail(code);
}

}  // namespace sim
