// What products and convolutions add to their result: a tensor like it, or a row for each sample.
#pragma once
#include "framework/core/tensor.h"

namespace noisette {

/// Rows of y [N, ..., C] that take the same row of `residual`: 1 where that is like y, those of a
/// sample where it is [N, C]. Throws for other tensors, in the name of `op`.
int64_t rows_sharing_residual(const char* op, const Tensor& residual, const Tensor& y);

/// The gradient of a residual of this shape: dy, or its sum over the rows of each sample.
Tensor residual_gradient(const Tensor& dy, const Shape& residual);

}  // namespace noisette
