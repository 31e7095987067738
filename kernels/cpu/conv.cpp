#include "kernels/conv.h"

#include <algorithm>
#include <type_traits>

#include "kernels/accumulate.h"
#include "kernels/cpu/conv_form.h"
#include "kernels/cpu/conv_narrow.h"
#include "kernels/cpu/convert.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/winograd.h"
#include "kernels/matmul.h"
#include "kernels/shape.h"

namespace noisette::cpu {
namespace {

/// to = from, unless `from` is absent or the same memory.
template <class T>
void place(const T* from, T* to, int64_t n) {
  if (from == nullptr || from == to) return;
  parallel_ranges(
      n, [&](int64_t begin, int64_t end) { std::copy(from + begin, from + end, to + begin); });
}

// --- The definition, term by term: the reference, and what is left where no library code exists.

/// Calls f(offset into x, offset into the weights of one filter) for each pixel under the kernel of
/// output (n, i, j); both offsets are of channel 0.
template <class F>
void for_each_tap(int64_t n, int64_t i, int64_t j, const ConvDims& d, const F& f) {
  for (int64_t a = 0; a < d.kernel_h; ++a)
    for (int64_t b = 0; b < d.kernel_w; ++b) {
      const int64_t h = i * d.stride + a - d.pad_top, w = j * d.stride + b - d.pad_left;
      if (h < 0 || h >= d.in_h || w < 0 || w >= d.in_w) continue;
      f(((n * d.in_h + h) * d.in_w + w) * d.in_c, (a * d.kernel_w + b) * d.in_c);
    }
}

template <class T>
void plain_forward(const T* x, const T* weight, const acc_t<T>* bias, const T* residual, T* y,
                   const ConvDims& d) {
  const int64_t out_h = d.out_h(), out_w = d.out_w(), filter = d.kernel_h * d.kernel_w * d.in_c;
  parallel_items(d.batch * out_h, d.y_numel() * filter, [&](int64_t row) {
    for (int64_t j = 0; j < out_w; ++j)
      for (int64_t o = 0; o < d.out_c; ++o) {
        const int64_t at = (row * out_w + j) * d.out_c + o;
        acc_t<T> sum = bias != nullptr ? bias[o] : 0;
        if (residual != nullptr) sum += residual[at];
        for_each_tap(row / out_h, row % out_h, j, d, [&](int64_t px, int64_t pw) {
          for (int64_t c = 0; c < d.in_c; ++c) sum += x[px + c] * weight[o * filter + pw + c];
        });
        y[at] = T(sum);
      }
  });
}

template <class T>
void plain_backward_data(const T* dy, const T* weight, const T* add, T* dx, const ConvDims& d) {
  const int64_t out_h = d.out_h(), out_w = d.out_w(), filter = d.kernel_h * d.kernel_w * d.in_c;
  place(add, dx, d.x_numel());
  if (add == nullptr) std::fill_n(dx, d.x_numel(), T(0));
  parallel_items(d.batch, d.y_numel() * filter, [&](int64_t n) {
    for (int64_t i = 0; i < out_h; ++i)
      for (int64_t j = 0; j < out_w; ++j)
        for (int64_t o = 0; o < d.out_c; ++o) {
          const T g = dy[((n * out_h + i) * out_w + j) * d.out_c + o];
          for_each_tap(n, i, j, d, [&](int64_t px, int64_t pw) {
            for (int64_t c = 0; c < d.in_c; ++c) dx[px + c] += g * weight[o * filter + pw + c];
          });
        }
  });
}

template <class T>
void plain_backward_weight(const T* x, const T* dy, acc_t<T>* dweight, bool accumulate,
                           const ConvDims& d) {
  const int64_t out_h = d.out_h(), out_w = d.out_w(), filter = d.kernel_h * d.kernel_w * d.in_c;
  if (!accumulate) std::fill_n(dweight, d.weight_numel(), acc_t<T>(0));
  parallel_items(d.out_c, d.y_numel() * filter, [&](int64_t o) {
    for (int64_t n = 0; n < d.batch; ++n)
      for (int64_t i = 0; i < out_h; ++i)
        for (int64_t j = 0; j < out_w; ++j) {
          const T g = dy[((n * out_h + i) * out_w + j) * d.out_c + o];
          for_each_tap(n, i, j, d, [&](int64_t px, int64_t pw) {
            for (int64_t c = 0; c < d.in_c; ++c) dweight[o * filter + pw + c] += g * x[px + c];
          });
        }
  });
}

// --- f32 and bf16: loops for narrow shapes, Winograd where that form is chosen, else the library.
// What it has no bf16 code for is computed in f32.

template <class T>
constexpr bool kBf16 = std::is_same_v<T, bfloat16>;

template <class T>
bool by_winograd(ConvPass pass, const ConvDims& d) {
  return conv_form({pass, d, kBf16<T>}) == ConvForm::winograd;
}

void forward_f32(const float* x, const float* weight, const float* bias, float* y, bool add,
                 const ConvDims& d) {
  if (!onednn::conv_forward(x, weight, bias, y, add, d))
    plain_forward(x, weight, bias, add ? y : nullptr, y, d);
}

template <class T>
void fast_forward(const T* x, const T* weight, const float* bias, const T* residual, T* y,
                  const ConvDims& d) {
  if (is_narrow(d)) return narrow_forward(x, weight, bias, residual, y, d);
  if (by_winograd<T>(ConvPass::forward, d))
    return winograd_forward(x, weight, bias, residual, y, d);
  const bool add = residual != nullptr;
  place(residual, y, d.y_numel());  // adding to what is in y is free, reading a third tensor is not
  if constexpr (kBf16<T>)
    if (onednn::conv_forward(x, weight, bias, y, add, d)) return;
  Scratch scratch;
  float* y32 = output_f32(scratch, y, d.y_numel(), add);
  forward_f32(as_f32(scratch, x, d.x_numel()), as_f32(scratch, weight, d.weight_numel()), bias, y32,
              add, d);
  from_f32(y32, y, d.y_numel());
}

void backward_data_f32(const float* dy, const float* weight, float* dx, const ConvDims& d) {
  if (!onednn::conv_backward_data(dy, weight, dx, d))
    plain_backward_data<float>(dy, weight, nullptr, dx, d);
}

template <class T>
void backward_data_alone(const T* dy, const T* weight, T* dx, const ConvDims& d) {
  if constexpr (kBf16<T>)
    if (onednn::conv_backward_data(dy, weight, dx, d)) return;
  Scratch scratch;
  float* dx32 = output_f32(scratch, dx, d.x_numel(), false);
  backward_data_f32(as_f32(scratch, dy, d.y_numel()), as_f32(scratch, weight, d.weight_numel()),
                    dx32, d);
  from_f32(dx32, dx, d.x_numel());
}

template <class T>
void fast_backward_data(const T* dy, const T* weight, const T* add, T* dx, const ConvDims& d) {
  if (is_narrow_backward(d)) return narrow_backward_data(dy, weight, add, dx, d);
  if (d.pointwise())
    return matmul<T>(dy, weight, nullptr, add, dx,
                     {.m = d.batch * d.in_h * d.in_w, .n = d.in_c, .k = d.out_c});
  if (by_winograd<T>(ConvPass::backward_data, d))
    return winograd_backward_data(dy, weight, add, dx, d);
  if (add == nullptr) return backward_data_alone(dy, weight, dx, d);
  Scratch scratch;
  T* own = add == dx ? scratch.take<T>(d.x_numel()) : dx;
  backward_data_alone(dy, weight, own, d);
  add_into(own, add, dx, d.x_numel());
}

void backward_weight_f32(const float* x, const float* dy, float* dweight, bool accumulate,
                         const ConvDims& d) {
  if (!onednn::conv_backward_weight(x, dy, dweight, accumulate, d))
    plain_backward_weight(x, dy, dweight, accumulate, d);
}

template <class T>
void fast_backward_weight(const T* x, const T* dy, float* dweight, bool accumulate,
                          const ConvDims& d) {
  if (is_narrow(d)) return narrow_backward_weight(x, dy, dweight, accumulate, d);
  if (by_winograd<T>(ConvPass::backward_weight, d))
    return winograd_backward_weight(x, dy, dweight, accumulate, d);
  if constexpr (kBf16<T>)
    if (onednn::conv_backward_weight(x, dy, dweight, accumulate, d)) return;
  Scratch scratch;
  backward_weight_f32(as_f32(scratch, x, d.x_numel()), as_f32(scratch, dy, d.y_numel()), dweight,
                      accumulate, d);
}

}  // namespace

template <class T>
void conv2d_forward(const T* x, const T* weight, const acc_t<T>* bias, const T* residual, T* y,
                    const ConvDims& d, int64_t residual_rows) {
  if (d.y_numel() == 0) return;
  if (residual != nullptr && residual_rows > 1) {
    repeat_rows(residual, y, residual_rows, d.y_numel() / d.out_c, d.out_c);
    residual = y;
  }
  if constexpr (std::is_same_v<T, double>)
    plain_forward(x, weight, bias, residual, y, d);
  else if (d.x_numel() == 0)  // bias and residual alone
    matmul(x, weight, bias, residual, y, {.m = d.y_numel() / d.out_c, .n = d.out_c});
  else
    fast_forward(x, weight, bias, residual, y, d);
}

template <class T>
void conv2d_backward_data(const T* dy, const T* weight, const T* add, T* dx, const ConvDims& d) {
  if (d.x_numel() == 0) return;
  if constexpr (std::is_same_v<T, double>) {
    plain_backward_data(dy, weight, add, dx, d);
  } else if (d.y_numel() == 0) {
    place(add, dx, d.x_numel());
    if (add == nullptr) std::fill_n(dx, d.x_numel(), T(0));
  } else {
    fast_backward_data(dy, weight, add, dx, d);
  }
}

template <class T>
void conv2d_backward_weight(const T* x, const T* dy, acc_t<T>* dweight, bool accumulate,
                            const ConvDims& d) {
  if constexpr (std::is_same_v<T, double>) {
    plain_backward_weight(x, dy, dweight, accumulate, d);
  } else if (d.x_numel() == 0 || d.y_numel() == 0) {
    if (!accumulate) std::fill_n(dweight, d.weight_numel(), acc_t<T>(0));
  } else {
    fast_backward_weight(x, dy, dweight, accumulate, d);
  }
}

#define NOISETTE_INSTANTIATE(T)                                                                    \
  template void conv2d_forward(const T*, const T*, const acc_t<T>*, const T*, T*, const ConvDims&, \
                               int64_t);                                                           \
  template void conv2d_backward_data(const T*, const T*, const T*, T*, const ConvDims&);           \
  template void conv2d_backward_weight(const T*, const T*, acc_t<T>*, bool, const ConvDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
NOISETTE_INSTANTIATE(double)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
