// Tests of the CUDA backend: skipped where there is no device, unless NOISETTE_REQUIRE_CUDA=1.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>

#include "framework/core/dispatch.h"

namespace noisette::testing_support {

inline constexpr Device kCuda{DeviceType::cuda, 0};

inline bool has_cuda() {
  if constexpr (kHasCuda) return cuda::device_count() > 0;
  return false;
}

}  // namespace noisette::testing_support

/// The first line of a test that needs a CUDA device.
#define NOISETTE_NEEDS_CUDA()                                                     \
  if (!::noisette::testing_support::has_cuda()) {                                 \
    ASSERT_EQ(std::getenv("NOISETTE_REQUIRE_CUDA"), nullptr) << "no CUDA device"; \
    GTEST_SKIP() << "no CUDA device";                                             \
  }
