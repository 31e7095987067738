// A named, trainable array: declared by a layer, given memory by a ParameterArena.
#pragma once
#include <string>
#include <vector>

#include "framework/core/tensor.h"

namespace noisette {

/// How a parameter starts. The draws are keyed by (seed, name, element), so the order of
/// construction, the precision and the device do not change them.
struct Init {
  enum class Kind {
    zeros,
    ones,
    fan_avg,  // uniform, variance scale / mean(fan_in, fan_out): Glorot & Bengio 2010, DDPM's
              // choice
    fan_in,   // uniform in +-scale / sqrt(fan_in): what PyTorch gives its layers
    normal,   // standard deviation scale
  };
  Kind kind = Kind::zeros;
  double scale = 1;
  int64_t fan_in_of_bias = 0;  // a bias drawn by fan_in takes the fan of its weight

  static Init zeros() { return {Kind::zeros}; }
  static Init ones() { return {Kind::ones}; }
};

class Parameter {
 public:
  Parameter(Shape shape, Init init) : shape_(std::move(shape)), init_(init) {}
  Parameter(const Parameter&) = delete;
  Parameter& operator=(const Parameter&) = delete;

  const Shape& shape() const { return shape_; }
  const Init& init() const { return init_; }

  /// What ops compute with: a leaf of the tape. Matrices and convolution weights in the compute
  /// dtype, vectors (norm weights, biases) in the accumulator dtype. Throws before an arena has
  /// been made.
  const Tensor& value() const {
    check(value_.defined(),
          "[parameter] a parameter of shape {} has no memory yet; make a ParameterArena", shape_);
    return value_;
  }
  operator const Tensor&() const { return value(); }

 private:
  friend class ParameterArena;
  Shape shape_;
  Init init_;
  Tensor value_;
};

}  // namespace noisette
