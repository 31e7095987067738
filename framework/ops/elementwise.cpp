#include "framework/ops/elementwise.h"

#include <algorithm>

#include "framework/autograd/autograd.h"
#include "framework/core/dispatch.h"
#include "framework/ops/residual.h"
#include "kernels/elementwise.h"

namespace noisette {
namespace {

void check_alike(const char* op, const Tensor& x, const Tensor& z) {
  check(x.shape() == z.shape() && x.dtype() == z.dtype() && x.device() == z.device(),
        "[{}] both tensors need one shape, dtype and device; got {} {} on {} and {} {} on {}", op,
        x.dtype(), x.shape(), x.device(), z.dtype(), z.shape(), z.device());
}

Tensor combine(double a, const Tensor& x, double b, const Tensor& z) {
  Tensor y = empty_like(x);
  NOISETTE_DISPATCH(x, scaled_sum, x.data<T>(), data_or_null<T>(z), y.data<T>(), a, b, x.numel());
  return y;
}

Tensor scaled(const Tensor& x, double factor) {
  return factor == 1 ? x : combine(factor, x, 0, Tensor());
}

Tensor record_sum(const char* name, double a, const Tensor& x, double b, const Tensor& z) {
  check_alike(name, x, z);
  return record(name, combine(a, x, b, z), {x, z},
                [a, b](const Tensor& dy, const Needs& needs) -> Grads {
                  return {needs[0] ? scaled(dy, a) : Tensor(), needs[1] ? scaled(dy, b) : Tensor()};
                });
}

Tensor product(const Tensor& x, const Tensor& z) {
  Tensor y = empty_like(x);
  NOISETTE_DISPATCH(x, multiply, x.data<T>(), z.data<T>(), y.data<T>(), x.numel());
  return y;
}

Tensor reduce(const char* name, const Tensor& x, double scale) {
  const int64_t n = x.numel();
  Tensor y = empty({}, accumulator_of(x.dtype()), x.device());
  NOISETTE_DISPATCH(x, sum_forward, x.data<T>(), y.data<acc_t<T>>(), scale, n);
  return record(
      name, y, {x},
      [shape = x.shape(), dtype = x.dtype(), scale, n](const Tensor& dy, const Needs&) -> Grads {
        Tensor dx = empty(shape, dtype, dy.device());
        NOISETTE_DISPATCH(dx, sum_backward, dy.data<acc_t<T>>(), dx.data<T>(), scale, n);
        return {dx};
      });
}

Tensor converted(const Tensor& x, DType dtype) {
  Tensor y = empty(x.shape(), dtype, x.device());
  with_float(dtype, "cast", [&]<class To>() {
    with_float(x.dtype(), "cast", [&]<class From>() {
      NOISETTE_KERNEL(x.device(), cast, x.data<From>(), y.data<To>(), x.numel());
    });
  });
  return y;
}

}  // namespace

Tensor scaled_sum(double a, const Tensor& x, double b, const Tensor& z) {
  return record_sum("scaled_sum", a, x, b, z);
}
Tensor add(const Tensor& x, const Tensor& z) { return record_sum("add", 1, x, 1, z); }
Tensor sub(const Tensor& x, const Tensor& z) { return record_sum("sub", 1, x, -1, z); }

Tensor mul(const Tensor& x, const Tensor& z) {
  check_alike("mul", x, z);
  return record(
      "mul", product(x, z), {x, z},
      [x = x.detach(), z = z.detach()](const Tensor& dy, const Needs& needs) -> Grads {
        return {needs[0] ? product(dy, z) : Tensor(), needs[1] ? product(dy, x) : Tensor()};
      });
}

Tensor mul(const Tensor& x, double factor) {
  return record("mul", combine(factor, x, 0, Tensor()), {x},
                [factor](const Tensor& dy, const Needs&) -> Grads { return {scaled(dy, factor)}; });
}

Tensor add_per_sample(const Tensor& x, const Tensor& e) {
  check(x.ndim() >= 2 && e.shape() == Shape{x.dim(0), x.dim(-1)} && e.dtype() == x.dtype(),
        "[add_per_sample] x [N, ..., C] wants e [N, C] of its dtype; got x {} {} and e {} {}",
        x.dtype(), x.shape(), e.dtype(), e.shape());
  const int64_t n = x.dim(0), c = x.dim(-1), p = x.numel() / std::max<int64_t>(n * c, 1);
  Tensor y = empty_like(x);
  NOISETTE_DISPATCH(x, add_per_sample_forward, x.data<T>(), e.data<T>(), y.data<T>(), n, p, c);
  return record("add_per_sample", y, {x, e}, [n, c](const Tensor& dy, const Needs& needs) -> Grads {
    return {needs[0] ? dy : Tensor(), needs[1] ? residual_gradient(dy, {n, c}) : Tensor()};
  });
}

Tensor scale_per_sample(const Tensor& x, const Tensor& s) {
  check(
      x.ndim() >= 1 && s.shape() == Shape{x.dim(0)} && s.dtype() == accumulator_of(x.dtype()),
      "[scale_per_sample] x [N, ...] wants s [N] of its accumulator type; got x {} {} and s {} {}",
      x.dtype(), x.shape(), s.dtype(), s.shape());
  const int64_t n = x.dim(0), per_item = x.numel() / std::max<int64_t>(n, 1);
  Tensor y = empty_like(x);
  NOISETTE_DISPATCH(x, scale_per_sample_forward, x.data<T>(), s.data<acc_t<T>>(), y.data<T>(), n,
                    per_item);
  const Tensor kept = s.needs_grad() ? x.detach() : Tensor();
  return record(
      "scale_per_sample", y, {x, s},
      [x = kept, s = s.detach(), n, per_item](const Tensor& dy, const Needs& needs) -> Grads {
        Tensor dx, ds;
        if (needs[0]) {
          dx = empty_like(dy);
          NOISETTE_DISPATCH(dy, scale_per_sample_forward, dy.data<T>(), s.data<acc_t<T>>(),
                            dx.data<T>(), n, per_item);
        }
        if (needs[1]) {
          ds = empty_like(s);
          NOISETTE_DISPATCH(dy, scale_per_sample_backward, x.data<T>(), dy.data<T>(),
                            ds.data<acc_t<T>>(), n, per_item);
        }
        return {dx, ds};
      });
}

Tensor sum(const Tensor& x) { return reduce("sum", x, 1.0); }
Tensor mean(const Tensor& x) {
  return reduce("mean", x, 1.0 / double(std::max<int64_t>(x.numel(), 1)));
}

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  return record("cast", converted(x, dtype), {x},
                [from = x.dtype()](const Tensor& dy, const Needs&) -> Grads {
                  return {converted(dy, from)};
                });
}

Tensor image_to_signed(const Tensor& image, DType dtype) {
  check(image.dtype() == DType::u8, "[image_to_signed] wants u8; got {}", image.dtype());
  Tensor y = empty(image.shape(), dtype, image.device());
  NOISETTE_DISPATCH(y, image_to_signed, image.data<uint8_t>(), y.data<T>(), y.numel());
  return record("image_to_signed", y, {image});
}

}  // namespace noisette
