#include "framework/ops/norm.h"

#include <algorithm>

#include "framework/autograd/autograd.h"
#include "framework/core/dispatch.h"
#include "kernels/cuda/scratch_need.h"
#include "kernels/norm.h"

namespace noisette {
namespace {

void check_affine(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const Shape want{x.dim(-1)};
  const DType dtype = accumulator_of(x.dtype());
  check(weight.shape() == want && bias.shape() == want,
        "[{}] weight and bias must be {} for x {}; got {} and {}", op, want, x.shape(),
        weight.shape(), bias.shape());
  check(weight.dtype() == dtype && bias.dtype() == dtype,
        "[{}] weight and bias of a {} input must be {}; got {} and {}", op, x.dtype(), dtype,
        weight.dtype(), bias.dtype());
}

/// The kernels take one flag for both sums: where the flags differ, what is to be overwritten is
/// zeroed instead.
bool joint_flag(const GradTarget& a, const GradTarget& b) {
  const bool any = (a.buffer.defined() && a.accumulate) || (b.buffer.defined() && b.accumulate);
  for (const GradTarget* t : {&a, &b})
    if (any && t->buffer.defined() && !t->accumulate) fill(t->buffer, 0);
  return any;
}

}  // namespace

Tensor group_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t groups,
                  const GroupNormOptions& options) {
  check(x.ndim() >= 2, "[group_norm] x must be [N, ..., C]; got {}", x.shape());
  check(groups > 0 && x.dim(-1) % groups == 0,
        "[group_norm] channels must be a multiple of groups; got x {} with groups = {}", x.shape(),
        groups);
  check_affine("group_norm", x, weight, bias);
  const Tensor& shift = options.shift;
  check(!shift.defined() ||
            (shift.shape() == Shape{x.dim(0), x.dim(-1)} && shift.dtype() == x.dtype()),
        "[group_norm] shift must be {} [{}, {}] for x {}; got {} {}", x.dtype(), x.dim(0),
        x.dim(-1), x.shape(), shift.dtype(), shift.shape());

  const int64_t rows = std::max<int64_t>(x.dim(0) * x.dim(-1), 1);
  const GroupNormDims d{x.dim(0), x.numel() / rows, x.dim(-1), groups, options.eps, options.silu};
  count_scratch([&] { return cuda::need::group_norm_forward(d, int64_t(size_of(x.dtype()))); });
  Tensor y = empty_like(x);
  const Tensor mean = empty({d.batch, groups}, weight.dtype(), x.device());
  const Tensor rstd = empty_like(mean);
  NOISETTE_DISPATCH(x, group_norm_forward, x.data<T>(), data_or_null<T>(shift),
                    weight.data<acc_t<T>>(), bias.data<acc_t<T>>(), y.data<T>(),
                    mean.data<acc_t<T>>(), rstd.data<acc_t<T>>(), d);
  const Tensor out = record(
      "group_norm", y, {x, weight, bias, shift},
      [saved = Saved(x), w = weight.detach(), b = bias.detach(),
       shift = shift.defined() ? shift.detach() : Tensor(), mean, rstd,
       d](const Tensor& dy, const Needs& needs) -> Grads {
        const Tensor x = saved.get(), other = needs.take(0);
        const Tensor dx =
            needs[0] ? (other.defined() && other.sole_owner() ? other : empty_like(x)) : Tensor();
        const GradTarget dw = needs.target(1), db = needs.target(2);
        const Tensor dshift = needs[3] ? empty_like(shift) : Tensor();
        const bool accumulate = joint_flag(dw, db);
        count_scratch(
            [&] { return cuda::need::group_norm_backward(d, int64_t(size_of(dy.dtype()))); });
        NOISETTE_DISPATCH(
            x, group_norm_backward, x.data<T>(), data_or_null<T>(shift), w.data<acc_t<T>>(),
            b.data<acc_t<T>>(), mean.data<acc_t<T>>(), rstd.data<acc_t<T>>(), dy.data<T>(),
            data_or_null<T>(other), data_or_null<T>(dx), data_or_null<acc_t<T>>(dw.buffer),
            data_or_null<acc_t<T>>(db.buffer), data_or_null<T>(dshift), accumulate, d);
        return {dx, dw.buffer, db.buffer, dshift};
      });
  if (options.repeat)
    set_recipe(out, [saved = Saved(x), w = weight.detach(), b = bias.detach(),
                     shift = shift.defined() ? shift.detach() : Tensor(), mean, rstd, d] {
      const Tensor x = saved.get();
      Tensor again = empty_like(x);
      NOISETTE_DISPATCH(x, group_norm_repeat, x.data<T>(), data_or_null<T>(shift),
                        w.data<acc_t<T>>(), b.data<acc_t<T>>(), mean.data<acc_t<T>>(),
                        rstd.data<acc_t<T>>(), again.data<T>(), d);
      return again;
    });
  return out;
}

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  check(x.ndim() >= 1, "[layer_norm] x needs at least one axis; got {}", x.shape());
  check_affine("layer_norm", x, weight, bias);
  const LayerNormDims d{x.numel() / std::max<int64_t>(x.dim(-1), 1), x.dim(-1), eps};
  Tensor y = empty_like(x);
  const Tensor mean = empty({d.rows}, weight.dtype(), x.device());
  const Tensor rstd = empty_like(mean);
  NOISETTE_DISPATCH(x, layer_norm_forward, x.data<T>(), weight.data<acc_t<T>>(),
                    bias.data<acc_t<T>>(), y.data<T>(), mean.data<acc_t<T>>(),
                    rstd.data<acc_t<T>>(), d);
  return record(
      "layer_norm", y, {x, weight, bias},
      [x = x.detach(), w = weight.detach(), mean, rstd, d](const Tensor& dy,
                                                           const Needs& needs) -> Grads {
        const Tensor other = needs.take(0);
        const Tensor dx =
            needs[0] ? (other.defined() && other.sole_owner() ? other : empty_like(x)) : Tensor();
        const GradTarget dw = needs.target(1), db = needs.target(2);
        const bool accumulate = joint_flag(dw, db);
        count_scratch(
            [&] { return cuda::need::layer_norm_backward(d, int64_t(size_of(dy.dtype()))); });
        NOISETTE_DISPATCH(
            x, layer_norm_backward, x.data<T>(), w.data<acc_t<T>>(), mean.data<acc_t<T>>(),
            rstd.data<acc_t<T>>(), dy.data<T>(), data_or_null<T>(other), data_or_null<T>(dx),
            data_or_null<acc_t<T>>(dw.buffer), data_or_null<acc_t<T>>(db.buffer), accumulate, d);
        return {dx, dw.buffer, db.buffer};
      });
}

}  // namespace noisette
