#include "framework/ops/conv.h"

#include "framework/autograd/autograd.h"
#include "framework/core/dispatch.h"
#include "framework/ops/conv_observer.h"
#include "framework/ops/residual.h"
#include "kernels/conv.h"
#include "kernels/cuda/scratch_need.h"
#include "kernels/matmul.h"
#include "kernels/upsample_conv.h"

namespace noisette {
namespace {

void check_same(const Tensor& x, const Tensor& weight, const char* op) {
  check(x.dtype() == weight.dtype() && x.device() == weight.device(),
        "[{}] x and weight must share dtype and device; got {} on {} and {} on {}", op, x.dtype(),
        x.device(), weight.dtype(), weight.device());
}

void check_bias(const Tensor& x, const Tensor& bias, int64_t channels, const char* op) {
  check(!bias.defined() ||
            (bias.shape() == Shape{channels} && bias.dtype() == accumulator_of(x.dtype())),
        "[{}] bias must be {} [{}]; got {} {}", op, accumulator_of(x.dtype()), channels,
        bias.dtype(), bias.shape());
}

ConvDims conv_dims(const Tensor& x, const Tensor& weight, const Conv2dOptions& options) {
  check(x.ndim() == 4 && weight.ndim() == 4 && x.dim(3) == weight.dim(3),
        "[conv2d] wants x [N, H, W, C] and weight [O, kh, kw, C]; got x {} and weight {}",
        x.shape(), weight.shape());
  check_same(x, weight, "conv2d");
  const Padding& p = options.padding;
  check(options.stride > 0 && p.top >= 0 && p.left >= 0 && p.bottom >= 0 && p.right >= 0,
        "[conv2d] stride must be positive and padding not negative; got stride {}, padding {}, {}, "
        "{}, {} (top, left, bottom, right)",
        options.stride, p.top, p.left, p.bottom, p.right);
  const ConvDims d{x.dim(0),      x.dim(1),       x.dim(2), x.dim(3), weight.dim(0), weight.dim(1),
                   weight.dim(2), options.stride, p.top,    p.left,   p.bottom,      p.right};
  check(d.kernel_h > 0 && d.kernel_w > 0 && d.kernel_h <= d.in_h + p.top + p.bottom &&
            d.kernel_w <= d.in_w + p.left + p.right,
        "[conv2d] the kernel must fit into the padded image; got kernel {} x {}, image {} x {} "
        "with padding {}, {}, {}, {} (top, left, bottom, right)",
        d.kernel_h, d.kernel_w, d.in_h, d.in_w, p.top, p.left, p.bottom, p.right);
  return d;
}

/// `added_to`: bytes of a result that is added to in place.
void announce(ConvPass pass, const char* kernel, const ConvDims& d, DType dtype,
              int64_t added_to = 0) {
  count_flops(kernel, d.flops());
  note_conv(pass, d, dtype);
  count_scratch([&] { return cuda::need::convolution(pass, d, int64_t(size_of(dtype))); },
                [&] { return cuda::need::library_convolution(d, added_to); });
}

/// Bytes of dx where it is what other uses of x have left.
int64_t bytes_in_place(const Tensor& dx, const Tensor& other) {
  return other.defined() && other.same_data(dx) ? int64_t(dx.bytes()) : 0;
}

/// The gradient of a bias: dy [rows, cols] summed over its rows.
void sum_bias(const Tensor& dy, const GradTarget& to, int64_t rows, int64_t cols) {
  count_scratch([&] { return cuda::need::columns(1, rows, cols, int64_t(size_of(dy.dtype()))); });
  NOISETTE_DISPATCH(dy, column_sum, dy.data<T>(), to.buffer.data<acc_t<T>>(), rows, cols,
                    to.accumulate);
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
              const Conv2dOptions& options, const Tensor& residual) {
  const ConvDims d = conv_dims(x, weight, options);
  check_bias(x, bias, d.out_c, "conv2d");
  Tensor y = empty({d.batch, d.out_h(), d.out_w(), d.out_c}, x.dtype(), x.device());
  const int64_t residual_rows = rows_sharing_residual("conv2d", residual, y);
  announce(ConvPass::forward, "conv2d_forward", d, x.dtype());
  NOISETTE_DISPATCH(x, conv2d_forward, x.data<T>(), weight.data<T>(), data_or_null<acc_t<T>>(bias),
                    data_or_null<T>(residual), y.data<T>(), d, residual_rows);
  return record(
      "conv2d", y, {x, weight, bias, residual},
      [x = Saved(x), w = weight.detach(), shape = residual.shape(), d](
          const Tensor& dy, const Needs& needs) -> Grads {
        const GradTarget dw = needs.target(1), db = needs.target(2);
        if (dw.buffer.defined()) {  // first: x made again is gone then, where nobody else has it
          announce(ConvPass::backward_weight, "conv2d_backward_weight", d, dy.dtype(),
                   dw.accumulate ? int64_t(dw.buffer.bytes()) : 0);
          const Tensor input = x.get();
          NOISETTE_DISPATCH(dy, conv2d_backward_weight, input.data<T>(), dy.data<T>(),
                            dw.buffer.data<acc_t<T>>(), dw.accumulate, d);
        }
        if (db.buffer.defined()) sum_bias(dy, db, d.batch * d.out_h() * d.out_w(), d.out_c);
        Tensor dx;
        if (needs[0]) {
          const Tensor other = needs.take(0);
          dx = other.defined() && other.sole_owner() ? other
                                                     : empty(x.shape(), dy.dtype(), dy.device());
          announce(ConvPass::backward_data, "conv2d_backward_data", d, dy.dtype(),
                   bytes_in_place(dx, other));
          NOISETTE_DISPATCH(dy, conv2d_backward_data, dy.data<T>(), w.data<T>(),
                            data_or_null<T>(other), dx.data<T>(), d);
        }
        return {dx, dw.buffer, db.buffer, needs[3] ? residual_gradient(dy, shape) : Tensor()};
      });
}

Tensor upsample_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check(x.ndim() == 4 && weight.ndim() == 4 && x.dim(3) == weight.dim(3) && weight.dim(1) == 3 &&
            weight.dim(2) == 3,
        "[upsample_conv2d] wants x [N, H, W, C] and weight [O, 3, 3, C]; got x {} and weight {}",
        x.shape(), weight.shape());
  check_same(x, weight, "upsample_conv2d");
  const UpsampleConvDims d{x.dim(0), x.dim(1), x.dim(2), x.dim(3), weight.dim(0)};
  check_bias(x, bias, d.out_c, "upsample_conv2d");
  Tensor y = empty({d.batch, 2 * d.height, 2 * d.width, d.out_c}, x.dtype(), x.device());
  count_flops("upsample_conv2d_forward", d.flops());
  note_conv(ConvPass::forward, d.side_by_side(), x.dtype());
  const auto element = int64_t(size_of(x.dtype()));
  count_scratch([&] { return cuda::need::upsample_forward(d, element); });
  NOISETTE_DISPATCH(x, upsample_conv2d_forward, x.data<T>(), weight.data<T>(),
                    data_or_null<acc_t<T>>(bias), y.data<T>(), d);
  return record("upsample_conv2d", y, {x, weight, bias},
                [x = Saved(x), w = weight.detach(), d, element](const Tensor& dy,
                                                                const Needs& needs) -> Grads {
                  const GradTarget dw = needs.target(1), db = needs.target(2);
                  Tensor dx, other;
                  if (needs[0]) {
                    other = needs.take(0);
                    dx = other.defined() && other.sole_owner()
                             ? other
                             : empty(x.shape(), dy.dtype(), dy.device());
                  }
                  count_flops("upsample_conv2d_backward",
                              (double(dx.defined()) + double(dw.buffer.defined())) * d.flops());
                  if (dx.defined()) {
                    note_conv(ConvPass::backward_data, d.side_by_side(), dy.dtype());
                    count_scratch([&] { return cuda::need::upsample_backward_data(d, element); },
                                  [&] {
                                    return cuda::need::library_upsample_backward_data(
                                        d, bytes_in_place(dx, other), element);
                                  });
                  }
                  if (dw.buffer.defined()) {
                    note_conv(ConvPass::backward_weight, d.side_by_side(), dy.dtype());
                    count_scratch([&] {
                      return cuda::need::upsample_backward_weight(d, dx.defined(), element);
                    });
                  }
                  const Tensor input = x.get();
                  NOISETTE_DISPATCH(dy, upsample_conv2d_backward, input.data<T>(), w.data<T>(),
                                    dy.data<T>(), data_or_null<T>(other), data_or_null<T>(dx),
                                    data_or_null<acc_t<T>>(dw.buffer), dw.accumulate, d);
                  if (db.buffer.defined())
                    sum_bias(dy, db, 4 * d.batch * d.height * d.width, d.out_c);
                  return {dx, dw.buffer, db.buffer};
                });
}

}  // namespace noisette
