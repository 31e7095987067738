// A library that does matrix products, convolutions or attention on the card.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/providers/work.h"

namespace noisette::cuda::providers {

/// What a plan may take of scratch memory. It is beyond what `noisette plan` counts.
inline constexpr int64_t kMostWorkspace = int64_t(64) << 20;
/// Plans that a provider gives for a work: each is compared and timed, and some are compiled.
inline constexpr int kMostPlans = 3;

/// One way to do one Work.
class Plan {
 public:
  virtual ~Plan() = default;
  /// In the calling thread's stream. Throws std::runtime_error where the library says no.
  virtual void run(const Operands& operands) = 0;
};

class Provider {
 public:
  virtual ~Provider() = default;
  virtual std::string name() const = 0;     // "cuBLASLt"
  virtual std::string version() const = 0;  // "13.0.2"
  /// The library's best guesses, at most kMostPlans, each time the same; none for a work that it
  /// does not do, or only with results that differ from run to run.
  virtual std::vector<std::unique_ptr<Plan>> plans(const Work& work) = 0;
};

}  // namespace noisette::cuda::providers
