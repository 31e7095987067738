// What single ops cost on this machine, at the shapes that the UNets of configs/ run them with.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "framework/core/tensor.h"

namespace noisette {

/// The inputs of one op, drawn at random, and the op over them.
struct OpCall {
  std::vector<Tensor> inputs;    // leaves
  std::function<Tensor()> run;   // an undefined result: works in place, has no backward
  bool backward_reads_x = true;  // false where the gradient moves data alone
  double bytes = 0;              // of one run, where inputs and result do not say it
};

/// One op at one shape.
struct OpCase {
  std::string family;  // "convolution"
  std::string name;    // "conv 3x3 128 -> 128, 16 x 32 x 32"
  std::string where;   // the configuration that runs it: "ddpm-cifar10"
  std::function<OpCall(DType)> make;
};

/// One direction of one case.
struct OpMeasurement {
  std::string family, name, where;
  std::string pass;  // forward, backward or update
  DType dtype = DType::f32;
  double seconds = 0;  // median
  double flops = 0;    // 0 where memory is what counts
  double bytes = 0;    // every input, result and gradient moved once
};

/// The default set. `batch` > 0 replaces the batch of every case.
std::vector<OpCase> op_cases(int64_t batch = 0);

/// Forward, then backward where there is one: each the median of `repeat` calls after one that is
/// not counted.
std::vector<OpMeasurement> measure_op(const OpCase& c, DType dtype, int64_t repeat);

}  // namespace noisette
