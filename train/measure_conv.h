// What the two forms of a convolution cost on this machine, and how exact they are.
#pragma once
#include "kernels/cpu/conv_form.h"

namespace noisette {

/// Seconds of each form, of calls over random images in turns: medians of `pairs` after one that
/// warms up.
struct ConvTimes {
  double direct = 0, winograd = 0;
  bool winograd_always_faster = true, direct_always_faster = true;  // in every pair
};
ConvTimes time_conv(const cpu::ConvCase& c, int64_t pairs);

/// Root mean square error of each form over that of the result, normal data, against f64. For f64
/// is slow, of one image of at most 8x8 pixels, and of the weight gradient for at most 32 channels:
/// its sums run over the pixels. Inputs are rounded to bf16 first where the case is
/// in bf16.
struct ConvErrors {
  double direct = 0, winograd = 0;
};
ConvErrors conv_errors(cpu::ConvCase c);

}  // namespace noisette
