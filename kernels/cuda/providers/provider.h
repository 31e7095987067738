// A library that does matrix products, convolutions or attention on the card.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/providers/work.h"

namespace noisette::cuda::providers {

/// Plans that a provider gives for a work: each is compared and timed, and some are compiled.
inline constexpr int kMostPlans = 3;

/// One way to do one Work.
class Plan {
 public:
  virtual ~Plan() = default;
  /// In the calling thread's stream. Throws std::runtime_error where the library says no. Takes no
  /// more scratch than a workspace() and what scratch_need.h counts.
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
