// The optimiser's pass over flat buffers. Not differentiable, works in place. Formulas:
// kernels/optimizer.h.
#pragma once
#include "framework/core/tensor.h"
#include "kernels/optimizer.h"

namespace noisette {

/// Memory for one UpdateNumbers on a device: f64, as many elements as it has members.
Tensor make_update_numbers(const UpdateNumbers& numbers, Device device = kCpu);

/// Sum of squares of a gradient buffer, into numbers.squares; clears numbers.finite when it is not
/// finite.
///
/// grad [size] f32 (f64), numbers from make_update_numbers()
void gradient_squares(const Tensor& grad, const Tensor& numbers);

/// Clears numbers.finite unless all of x is finite: a loss can overflow while its gradient does
/// not.
///
/// x f32 (f64), numbers from make_update_numbers()
void require_finite(const Tensor& x, const Tensor& numbers);

/// Flat buffers of one parameter range; average and compute may be undefined.
struct OptimizerBuffers {
  Tensor weight, grad, m, v, average;  // [size] f32 (f64)
  Tensor compute;                      // [size] bf16
};

/// One AdamW update with clipping, running average and bf16 copy. Does nothing when numbers.finite
/// is 0.
void adamw_step(const OptimizerBuffers& buffers, const Tensor& numbers,
                const AdamWOptions& options);

}  // namespace noisette
