#include "kernels/cuda/providers/work.h"

#include <bit>

namespace noisette::cuda::providers {
namespace {

constexpr std::array<const char*, 7> kNames = {"matmul",
                                               "matmul_accumulate",
                                               "conv2d_forward",
                                               "conv2d_backward_data",
                                               "conv2d_backward_weight",
                                               "attention_forward",
                                               "attention_backward"};

std::vector<int64_t> numbers_of(const MatmulDims& d) {
  return {d.batch, d.m, d.n, d.k, d.trans_a, d.trans_b};
}
std::vector<int64_t> numbers_of(const ConvDims& d) {
  return {d.batch,    d.in_h,   d.in_w,    d.in_c,     d.out_c,      d.kernel_h,
          d.kernel_w, d.stride, d.pad_top, d.pad_left, d.pad_bottom, d.pad_right};
}
std::vector<int64_t> numbers_of(const AttentionDims& d) {
  return {d.batch,
          d.queries,
          d.keys,
          d.heads,
          d.head_dim,
          d.q_stride,
          d.k_stride,
          d.v_stride,
          d.o_stride,
          d.causal,
          std::bit_cast<int64_t>(d.scale)};
}

double flops_of(const MatmulDims& d, Operation) { return d.flops(); }
double flops_of(const ConvDims& d, Operation) { return d.flops(); }
double flops_of(const AttentionDims& d, Operation o) {
  const double products = o == Operation::attention_forward ? 2 : 5;
  return 2 * products * double(d.batch * d.heads * d.queries) * double(d.keys * d.head_dim);
}

View flat(int64_t count, bool f32) { return {1, count, count, f32}; }

}  // namespace

std::string Work::key() const {
  std::string text = kNames[std::size_t(operation)];
  text += bf16 ? " bf16" : tf32 ? " tf32" : " f32";
  std::visit(
      [&](const auto& d) {
        for (const int64_t n : numbers_of(d)) text += " " + std::to_string(n);
      },
      dims);
  if (bias) text += " bias";
  if (added != Addend::none) text += added == Addend::apart ? " added" : " in-place";
  if (statistics) text += " statistics";
  return text;
}

double Work::flops() const {
  return std::visit([&](const auto& d) { return flops_of(d, operation); }, dims);
}

std::vector<View> Work::inputs() const {
  const bool f32 = !bf16;
  if (const auto* d = std::get_if<MatmulDims>(&dims))
    return {flat(d->a_numel(), f32), flat(d->b_numel(), f32), flat(d->n, true),
            flat(d->c_numel(), f32)};
  if (const auto* d = std::get_if<ConvDims>(&dims)) {
    const View x = flat(d->x_numel(), f32), y = flat(d->y_numel(), f32),
               weight = flat(d->weight_numel(), f32), bias = flat(d->out_c, true);
    if (operation == Operation::conv2d_forward) return {x, weight, bias, y};
    if (operation == Operation::conv2d_backward_data) return {y, weight, bias, x};
    return {x, y};
  }
  const AttentionDims& d = std::get<AttentionDims>(dims);
  const int64_t width = d.heads * d.head_dim, rows = d.batch * d.queries;
  const View q{rows, width, d.q_stride, f32}, k{d.batch * d.keys, width, d.k_stride, f32},
      v{d.batch * d.keys, width, d.v_stride, f32}, o{rows, width, d.o_stride, f32};
  if (operation == Operation::attention_forward) return {q, k, v};
  return {q, k, v, o, flat(rows * d.heads, true), o};
}

std::vector<View> Work::results() const {
  if (const auto* d = std::get_if<MatmulDims>(&dims))
    return {flat(d->c_numel(), !bf16 || operation == Operation::matmul_accumulate)};
  if (const auto* d = std::get_if<ConvDims>(&dims)) {
    if (operation == Operation::conv2d_forward) return {flat(d->y_numel(), !bf16)};
    if (operation == Operation::conv2d_backward_data) return {flat(d->x_numel(), !bf16)};
    return {flat(d->weight_numel(), true)};
  }
  const std::vector<View> in = inputs();
  if (operation == Operation::attention_backward) return {in[0], in[1], in[2]};
  const AttentionDims& d = std::get<AttentionDims>(dims);
  const int64_t rows = d.batch * d.queries;
  return {{rows, d.heads * d.head_dim, d.o_stride, !bf16}, flat(rows * d.heads, true)};
}

}  // namespace noisette::cuda::providers
