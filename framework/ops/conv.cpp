#include "framework/ops/conv.h"

#include "framework/autograd/autograd.h"
#include "framework/core/dispatch.h"
#include "kernels/conv.h"
#include "kernels/matmul.h"

namespace noisette {
namespace {

ConvDims conv_dims(const Tensor& x, const Tensor& weight, const Conv2dOptions& options) {
  check(x.ndim() == 4 && weight.ndim() == 4 && x.dim(3) == weight.dim(3),
        "[conv2d] wants x [N, H, W, C] and weight [O, kh, kw, C]; got x {} and weight {}",
        x.shape(), weight.shape());
  check(x.dtype() == weight.dtype() && x.device() == weight.device(),
        "[conv2d] x and weight must share dtype and device; got {} on {} and {} on {}", x.dtype(),
        x.device(), weight.dtype(), weight.device());
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

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
              const Conv2dOptions& options, const Tensor& residual) {
  const ConvDims d = conv_dims(x, weight, options);
  check(!bias.defined() ||
            (bias.shape() == Shape{d.out_c} && bias.dtype() == accumulator_of(x.dtype())),
        "[conv2d] bias must be {} [{}]; got {} {}", accumulator_of(x.dtype()), d.out_c,
        bias.dtype(), bias.shape());
  Tensor y = empty({d.batch, d.out_h(), d.out_w(), d.out_c}, x.dtype(), x.device());
  check(!residual.defined() || (residual.shape() == y.shape() && residual.dtype() == y.dtype()),
        "[conv2d] residual must be {} {} like the result; got {} {}", y.dtype(), y.shape(),
        residual.dtype(), residual.shape());
  count_flops("conv2d_forward", d.flops());
  NOISETTE_DISPATCH(x, conv2d_forward, x.data<T>(), weight.data<T>(), data_or_null<acc_t<T>>(bias),
                    data_or_null<T>(residual), y.data<T>(), d);
  return record(
      "conv2d", y, {x, weight, bias, residual},
      [x = Saved(x), w = weight.detach(), d](const Tensor& dy, const Needs& needs) -> Grads {
        Tensor dx;
        if (needs[0]) {
          const Tensor other = needs.take(0);
          dx = other.defined() && other.sole_owner() ? other
                                                     : empty(x.shape(), dy.dtype(), dy.device());
          count_flops("conv2d_backward_data", d.flops());
          NOISETTE_DISPATCH(dy, conv2d_backward_data, dy.data<T>(), w.data<T>(),
                            data_or_null<T>(other), dx.data<T>(), d);
        }
        const GradTarget dw = needs.target(1), db = needs.target(2);
        if (dw.buffer.defined()) {
          count_flops("conv2d_backward_weight", d.flops());
          const Tensor input = x.get();
          NOISETTE_DISPATCH(dy, conv2d_backward_weight, input.data<T>(), dy.data<T>(),
                            dw.buffer.data<acc_t<T>>(), dw.accumulate, d);
        }
        if (db.buffer.defined())
          NOISETTE_DISPATCH(dy, column_sum, dy.data<T>(), db.buffer.data<acc_t<T>>(),
                            d.batch * d.out_h() * d.out_w(), d.out_c, db.accumulate);
        return {dx, dw.buffer, db.buffer, needs[3] ? dy : Tensor()};
      });
}

}  // namespace noisette
