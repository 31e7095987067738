// A promise about weights, and what kernels make of it.
#pragma once
#include <cstdint>

namespace noisette::cpu {

/// While one lives, the calling thread's convolutions see weights whose values do not change: all
/// steps of drawing an image, all pieces of one update. What is derived from weights (the filters
/// of kernels/cpu/winograd.h) is then computed once and kept, up to `limit` bytes; what does not
/// fit is computed each time. One inside another changes nothing.
///
/// Weights are told apart by their address: memory that holds other weights later, as that of a
/// kernel's own intermediate results, is not for it (see PassingWeights).
class FrozenWeights {
 public:
  static constexpr int64_t kDefaultLimit = int64_t(1) << 30;

  explicit FrozenWeights(int64_t limit = kDefaultLimit);
  ~FrozenWeights();
  FrozenWeights(const FrozenWeights&) = delete;
  FrozenWeights& operator=(const FrozenWeights&) = delete;

 private:
  bool outermost_;
};

/// While one lives, weights are taken as passing, whatever was promised.
class PassingWeights {
 public:
  PassingWeights();
  ~PassingWeights();
  PassingWeights(const PassingWeights&) = delete;
  PassingWeights& operator=(const PassingWeights&) = delete;

 private:
  bool before_;
};

}  // namespace noisette::cpu
