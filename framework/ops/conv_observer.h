// Which convolutions a computation asks for.
#pragma once
#include <vector>

#include "framework/core/dtype.h"
#include "kernels/cpu/conv_form.h"

namespace noisette {

/// Lists what conv2d and upsample_conv2d ask for while it lives, on meta too: each case once, in
/// the order of the first time. One at a time; ops run by the thread that made it.
class ConvObserver {
 public:
  ConvObserver();
  ~ConvObserver();
  ConvObserver(const ConvObserver&) = delete;
  ConvObserver& operator=(const ConvObserver&) = delete;

  const std::vector<cpu::ConvCase>& cases() const { return cases_; }

 private:
  friend void note_conv(ConvPass, const ConvDims&, DType);
  std::vector<cpu::ConvCase> cases_;
};

/// The ops say here what they are about to run.
void note_conv(ConvPass pass, const ConvDims& dims, DType dtype);

}  // namespace noisette
