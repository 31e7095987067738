// Tensors of a Work, filled with random numbers, to try it on.
#pragma once
#include <vector>

#include "kernels/cuda/providers/card.h"
#include "kernels/cuda/providers/work.h"

namespace noisette::cuda::providers {

class Trial {
 public:
  /// Tensors where `like` has some; what is added in place is the result here too.
  Trial(Card& card, const Work& work, const Operands& like);
  ~Trial();
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  /// Whether there was memory for them.
  bool ready() const { return ready_; }
  const Operands& operands() const { return operands_; }
  /// Gives the results the numbers that they had before the first run.
  void reset();
  /// What the results hold, one after the other, without what lies between their rows.
  std::vector<std::vector<float>> read() const;

 private:
  void* filled(const View& view, unsigned stream);
  void fill(void* data, const View& view, unsigned stream);

  Card& card_;
  std::vector<View> results_;
  std::vector<void*> memory_;
  Operands operands_;
  bool ready_ = true;
};

/// How far a plan's results may be from ours: the bound of distance() for one of the results.
double bound(const Work& work, const View& result);
/// Root mean square of the difference over that of `want`; infinite where a number is not finite.
double distance(const std::vector<float>& got, const std::vector<float>& want);

}  // namespace noisette::cuda::providers
