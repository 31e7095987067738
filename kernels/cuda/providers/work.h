// A matrix product, a convolution or an attention, as it is asked of whoever can do it: our kernel
// or a library (provider.h). Plain C++ without the toolkit's headers.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "kernels/attention.h"
#include "kernels/conv.h"
#include "kernels/matmul.h"

namespace noisette::cuda::providers {

/// Functions of kernels/matmul.h, conv.h and attention.h.
enum class Operation {
  matmul,
  matmul_accumulate,
  conv2d_forward,
  conv2d_backward_data,
  conv2d_backward_weight,
  attention_forward,
  attention_backward
};

/// What else is added to the result: nothing, another tensor, or what the result holds.
enum class Addend { none, apart, in_place };
inline Addend addend(const void* added, const void* result) {
  if (added == nullptr) return Addend::none;
  return added == result ? Addend::in_place : Addend::apart;
}
inline Addend accumulated(bool accumulate) { return accumulate ? Addend::in_place : Addend::none; }

/// A tensor as rows of equal distance.
struct View {
  int64_t rows = 0, cols = 0, stride = 0;
  bool f32 = false;  // else bf16

  int64_t element() const { return f32 ? 4 : 2; }
  int64_t bytes() const { return ((rows - 1) * stride + cols) * element(); }
};

struct Work {
  Operation operation = Operation::matmul;
  std::variant<MatmulDims, ConvDims, AttentionDims> dims;
  bool bf16 = false;  // else f32
  bool tf32 = false;  // f32 may round its factors
  bool bias = false;
  Addend added = Addend::none;
  bool statistics = false;  // attention_forward writes lse

  /// Text that tells it from all others: "matmul bf16 1 4096 768 256 0 1 bias in-place".
  std::string key() const;
  double flops() const;
  /// The tensors that are read and written, in the order of Operands.
  std::vector<View> inputs() const;
  std::vector<View> results() const;
};

/// Pointers to a Work's tensors, in the order of the function's arguments; null: is not there.
///
///   matmul                  a, b, bias, residual         ->  c
///   matmul_accumulate       a, b                         ->  c
///   conv2d_forward          x, weight, bias, residual    ->  y
///   conv2d_backward_data    dy, weight, null, add        ->  dx
///   conv2d_backward_weight  x, dy                        ->  dweight
///   attention_forward       q, k, v                      ->  o, lse
///   attention_backward      q, k, v, o, lse, dout        ->  dq, dk, dv
struct Operands {
  static constexpr int kBias = 2, kAdded = 3;

  std::array<const void*, 6> in{};
  std::array<void*, 3> out{};

  template <class T>
  const T* input(int i) const {
    return static_cast<const T*>(in[std::size_t(i)]);
  }
  template <class T>
  T* result(int i = 0) const {
    return static_cast<T*>(out[std::size_t(i)]);
  }
};

}  // namespace noisette::cuda::providers
