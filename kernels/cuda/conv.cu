// Convolution. Contract: kernels/conv.h. Reference: kernels/cpu/conv.cpp.
// A product of matrices that are never stored (gemm.cuh, conv_factors.cuh), or, of one tap, of
// matrices that are (matmul.cu). The first and the last layer of a network, few channels on one
// side, have kernels of their own (conv_few.cuh), and the data gradient of strides has
// (conv_strided.cuh). Channels that are no whole chunks of sixteen
// bytes are computed plainly, a thread an element of the result, which is the reference too. A
// library may stand in (providers/).
#include "kernels/conv.h"

#include "kernels/cuda/conv_factors.cuh"
#include "kernels/cuda/conv_few.cuh"
#include "kernels/cuda/conv_strided.cuh"
#include "kernels/cuda/gemm.cuh"
#include "kernels/cuda/map.cuh"
#include "kernels/cuda/providers/providers.h"
#include "kernels/matmul.h"
#include "kernels/shape.h"

namespace noisette::cuda {
namespace {

template <class T>
__global__ void conv_fwd(const T* x, const T* weight, const float* bias, const T* residual, T* y,
                         ConvDims d, int64_t out_h, int64_t out_w) {
  for_each_item(d.batch * out_h * out_w * d.out_c, [&](int64_t item) {
    const DivMod channel(item, d.out_c), col(channel.quotient, out_w), row(col.quotient, out_h);
    const int64_t o = channel.remainder, n = row.quotient;
    float sum = 0;
    for (int64_t a = 0; a < d.kernel_h; ++a)
      for (int64_t b = 0; b < d.kernel_w; ++b) {
        const int64_t h = row.remainder * d.stride + a - d.pad_top;
        const int64_t w = col.remainder * d.stride + b - d.pad_left;
        if (h < 0 || h >= d.in_h || w < 0 || w >= d.in_w) continue;
        const T* pixel = x + ((n * d.in_h + h) * d.in_w + w) * d.in_c;
        const T* filter = weight + ((o * d.kernel_h + a) * d.kernel_w + b) * d.in_c;
        float tap = 0;
        for (int64_t c = 0; c < d.in_c; ++c) tap += load(pixel + c) * load(filter + c);
        sum += tap;
      }
    if (bias != nullptr) sum += bias[o];
    if (residual != nullptr) sum += load(residual + item);
    store(y + item, sum);
  });
}

template <class T>
__global__ void conv_bwd_data(const T* dy, const T* weight, const T* add, T* dx, ConvDims d,
                              int64_t out_h, int64_t out_w) {
  for_each_item(d.batch * d.in_h * d.in_w * d.in_c, [&](int64_t item) {
    const DivMod channel(item, d.in_c), col(channel.quotient, d.in_w), row(col.quotient, d.in_h);
    const int64_t c = channel.remainder, n = row.quotient;
    float sum = 0;
    for (int64_t a = 0; a < d.kernel_h; ++a)
      for (int64_t b = 0; b < d.kernel_w; ++b) {
        const int64_t h = row.remainder + d.pad_top - a, w = col.remainder + d.pad_left - b;
        if (h < 0 || w < 0 || h % d.stride != 0 || w % d.stride != 0) continue;
        const int64_t i = h / d.stride, j = w / d.stride;
        if (i >= out_h || j >= out_w) continue;
        const T* pixel = dy + ((n * out_h + i) * out_w + j) * d.out_c;
        const T* tap = weight + (a * d.kernel_w + b) * d.in_c + c;
        float part = 0;
        for (int64_t o = 0; o < d.out_c; ++o)
          part += load(pixel + o) * load(tap + o * d.kernel_h * d.kernel_w * d.in_c);
        sum += part;
      }
    if (add != nullptr) sum += load(add + item);
    store(dx + item, sum);
  });
}

template <class T>
__global__ void conv_bwd_weight(const T* x, const T* dy, float* dweight, bool accumulate,
                                ConvDims d, int64_t out_h, int64_t out_w) {
  for_each_item(d.out_c * d.kernel_h * d.kernel_w * d.in_c, [&](int64_t item) {
    const DivMod channel(item, d.in_c), col(channel.quotient, d.kernel_w);
    const DivMod row(col.quotient, d.kernel_h);
    const int64_t c = channel.remainder, o = row.quotient;
    double sum = 0;
    for (int64_t n = 0; n < d.batch; ++n)
      for (int64_t i = 0; i < out_h; ++i) {
        const int64_t h = i * d.stride + row.remainder - d.pad_top;
        if (h < 0 || h >= d.in_h) continue;
        float part = 0;  // of a row of the image
        for (int64_t j = 0; j < out_w; ++j) {
          const int64_t w = j * d.stride + col.remainder - d.pad_left;
          if (w < 0 || w >= d.in_w) continue;
          part += load(dy + ((n * out_h + i) * out_w + j) * d.out_c + o) *
                  load(x + ((n * d.in_h + h) * d.in_w + w) * d.in_c + c);
        }
        sum += double(part);
      }
    dweight[item] = accumulate ? dweight[item] + float(sum) : float(sum);
  });
}

// --- As products of matrices.

using gemm::Extents;

/// Whether the pass may run so, whose tensors start at these addresses.
template <class T, class... P>
bool in_tiles(ConvPass pass, const ConvDims& d, const P*... p) {
  return gemm::in_tiles(pass, d, kVector<T>) && aligned16(p...);
}

gemm::Window over_x(const ConvDims& d) {
  return {d.in_h,     d.in_w,     d.in_c,   d.out_h(), d.out_w(),
          d.kernel_h, d.kernel_w, d.stride, d.pad_top, d.pad_left};
}

template <class T>
void forward_tiles(const T* x, const T* weight, const float* bias, const T* residual, T* y,
                   const ConvDims& d) {
  const Extents e = gemm::extents(ConvPass::forward, d);
  gemm::multiply("conv2d_forward", gemm::Pixels<T>{x, over_x(d), e.m},
                 gemm::Matrix<T, true>{weight, e.n, e.k}, bias, gemm::AddResidual<T>{residual, y},
                 e);
}

/// A row of the residual for `residual_rows` pixels.
template <class T>
void forward_tiles(const T* x, const T* weight, const float* bias, const T* residual,
                   int64_t residual_rows, T* y, const ConvDims& d) {
  const Extents e = gemm::extents(ConvPass::forward, d);
  gemm::multiply("conv2d_forward", gemm::Pixels<T>{x, over_x(d), e.m},
                 gemm::Matrix<T, true>{weight, e.n, e.k},
                 gemm::Epilogue<T>{bias, residual, residual_rows, nullptr, y, e.m, e.n}, e);
}

template <class T>
void backward_data_tiles(const T* dy, const T* weight, const T* add, T* dx, const ConvDims& d) {
  const Extents e = gemm::extents(ConvPass::backward_data, d);
  const gemm::Window over_dy{d.out_h(),
                             d.out_w(),
                             d.out_c,
                             d.in_h,
                             d.in_w,
                             d.kernel_h,
                             d.kernel_w,
                             1,
                             d.kernel_h - 1 - d.pad_top,
                             d.kernel_w - 1 - d.pad_left};
  gemm::multiply("conv2d_backward_data", gemm::Pixels<T>{dy, over_dy, e.m},
                 gemm::TurnedWeight<T>{weight, d.out_c, d.kernel_h * d.kernel_w, d.in_c}, nullptr,
                 gemm::AddResidual<T>{add, dx}, e);
}

template <class T>
void backward_weight_tiles(const T* x, const T* dy, float* dweight, bool accumulate,
                           const ConvDims& d) {
  const Extents e = gemm::extents(ConvPass::backward_weight, d);
  gemm::multiply("conv2d_backward_weight", gemm::Matrix<T, false>{dy, e.m, e.k},
                 gemm::Shifted<T>{x, over_x(d), e.n}, nullptr,
                 gemm::Accumulate{dweight, accumulate}, e);
}

// --- The way that a shape takes.

using providers::Operands;
using providers::Operation;
using providers::Work;

template <class T>
void forward(const T* x, const T* weight, const float* bias, const T* residual, T* y,
             const ConvDims& d) {
  if (d.y_numel() == 0) return;
  if (in_tiles<T>(ConvPass::forward, d, x, weight, residual, y))
    return forward_tiles(x, weight, bias, residual, y, d);
  if (few::takes(d) && aligned16(x, weight, residual, y))
    return few::forward(x, weight, bias, residual, y, d);
  launch("conv2d_forward", conv_fwd<T>, blocks_for(d.y_numel()), kThreads, 0, x, weight, bias,
         residual, y, d, d.out_h(), d.out_w());
}

template <class T>
void backward_data(const T* dy, const T* weight, const T* add, T* dx, const ConvDims& d) {
  if (d.x_numel() == 0) return;
  if (in_tiles<T>(ConvPass::backward_data, d, dy, weight, add, dx))
    return backward_data_tiles(dy, weight, add, dx, d);
  if (few::takes(d) && aligned16(dy, weight, add, dx))
    return few::backward_data(dy, weight, add, dx, d);
  if (d.stride > 1 && strided::takes<T>(d) && aligned16(dy, weight, add, dx))
    return strided::backward_data(dy, weight, add, dx, d);
  launch("conv2d_backward_data", conv_bwd_data<T>, blocks_for(d.x_numel()), kThreads, 0, dy, weight,
         add, dx, d, d.out_h(), d.out_w());
}

template <class T>
void backward_weight(const T* x, const T* dy, float* dweight, bool accumulate, const ConvDims& d) {
  if (d.weight_numel() == 0) return;
  if (in_tiles<T>(ConvPass::backward_weight, d, x, dy, dweight))
    return backward_weight_tiles(x, dy, dweight, accumulate, d);
  if (few::takes(d) && aligned16(x, dy, dweight))
    return few::backward_weight(x, dy, dweight, accumulate, d);
  launch("conv2d_backward_weight", conv_bwd_weight<T>, blocks_for(d.weight_numel()), kThreads, 0, x,
         dy, dweight, accumulate, d, d.out_h(), d.out_w());
}

}  // namespace

template <class T>
void conv2d_forward(const T* x, const T* weight, const acc_t<T>* bias, const T* residual, T* y,
                    const ConvDims& d, int64_t residual_rows) {
  if (d.pointwise())
    return matmul(x, weight, bias, residual, y, gemm::pointwise_product(ConvPass::forward, d),
                  residual_rows);
  if (residual != nullptr && residual_rows > 1 && d.y_numel() > 0) {
    if (in_tiles<T>(ConvPass::forward, d, x, weight, residual, y) && aligned16(bias))
      return forward_tiles(x, weight, bias, residual, residual_rows, y, d);
    repeat_rows(residual, y, residual_rows, d.y_numel() / d.out_c, d.out_c);
    residual = y;
  }
  const Work work = providers::work<T>(Operation::conv2d_forward, d, providers::addend(residual, y),
                                       bias != nullptr);
  providers::run(work, {{x, weight, bias, residual}, {y}}, [&](const Operands& o) {
    forward(o.input<T>(0), o.input<T>(1), o.input<float>(2), o.input<T>(3), o.result<T>(), d);
  });
}

template <class T>
void conv2d_backward_data(const T* dy, const T* weight, const T* add, T* dx, const ConvDims& d) {
  if (d.pointwise())
    return matmul<T>(dy, weight, nullptr, add, dx,
                     gemm::pointwise_product(ConvPass::backward_data, d));
  const Work work =
      providers::work<T>(Operation::conv2d_backward_data, d, providers::addend(add, dx));
  providers::run(work, {{dy, weight, nullptr, add}, {dx}}, [&](const Operands& o) {
    backward_data(o.input<T>(0), o.input<T>(1), o.input<T>(3), o.result<T>(), d);
  });
}

template <class T>
void conv2d_backward_weight(const T* x, const T* dy, acc_t<T>* dweight, bool accumulate,
                            const ConvDims& d) {
  if (d.pointwise())
    return matmul_accumulate(dy, x, dweight, accumulate,
                             gemm::pointwise_product(ConvPass::backward_weight, d));
  const Work work =
      providers::work<T>(Operation::conv2d_backward_weight, d, providers::accumulated(accumulate));
  providers::run(work, {{x, dy}, {dweight}}, [&](const Operands& o) {
    backward_weight(o.input<T>(0), o.input<T>(1), o.result<float>(), accumulate, d);
  });
}

#define NOISETTE_INSTANTIATE(T)                                                                    \
  template void conv2d_forward<T>(const T*, const T*, const float*, const T*, T*, const ConvDims&, \
                                  int64_t);                                                        \
  template void conv2d_backward_data<T>(const T*, const T*, const T*, T*, const ConvDims&);        \
  template void conv2d_backward_weight<T>(const T*, const T*, float*, bool, const ConvDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cuda
