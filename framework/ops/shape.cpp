#include "framework/ops/shape.h"

#include <algorithm>
#include <memory>
#include <numeric>

#include "framework/autograd/autograd.h"
#include "framework/core/dispatch.h"
#include "kernels/shape.h"

namespace noisette {
namespace {

Shape with_last(const Shape& shape, int64_t last) {
  std::vector<int64_t> dims = shape.dims();
  dims.back() = last;
  return Shape(std::move(dims));
}

int64_t rows_of(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end() - 1, int64_t(1), std::multiplies<>());
}

/// Channels [begin, begin + width) of x.
Tensor sliced(const Tensor& x, int64_t begin, int64_t width) {
  Tensor y = empty(with_last(x.shape(), width), x.dtype(), x.device());
  NOISETTE_DISPATCH(x, copy_channels, x.data<T>(), x.dim(-1), begin, y.data<T>(), width, 0, width,
                    rows_of(x.shape()));
  return y;
}

/// Channels [0, width) of x, and the rest.
std::vector<Tensor> parted(const Tensor& x, int64_t width) {
  const int64_t rest = x.dim(-1) - width;
  Tensor a = empty(with_last(x.shape(), width), x.dtype(), x.device());
  Tensor b = empty(with_last(x.shape(), rest), x.dtype(), x.device());
  NOISETTE_DISPATCH(x, split_channels, x.data<T>(), a.data<T>(), width, b.data<T>(), rest,
                    rows_of(x.shape()));
  return {a, b};
}

/// Writes x over the channels of `to` that start at `begin`.
void place(const Tensor& x, const Tensor& to, int64_t begin) {
  NOISETTE_DISPATCH(x, copy_channels, x.data<T>(), x.dim(-1), 0, to.data<T>(), to.dim(-1), begin,
                    x.dim(-1), rows_of(x.shape()));
}

Tensor joined(const Tensor& a, const Tensor& b) {
  Tensor y = empty(with_last(a.shape(), a.dim(-1) + b.dim(-1)), a.dtype(), a.device());
  NOISETTE_DISPATCH(a, join_channels, a.data<T>(), a.dim(-1), b.data<T>(), b.dim(-1), y.data<T>(),
                    rows_of(a.shape()));
  return y;
}

/// Makes it once for all who ask, in place of what it is made of, and keeps it until the last of
/// them is gone.
Recipe joining(const Tensor& a, const Tensor& b) {
  struct State {
    Tensor a, b, made;
  };
  return [state = std::make_shared<State>(State{a.detach(), b.detach(), {}})] {
    State& s = *state;
    if (!s.made.defined()) {
      s.made = joined(s.a, s.b);
      s.a = s.b = Tensor();
    }
    return s.made;
  };
}

ImageDims image_dims(const Shape& s) { return {s.dim(0), s.dim(1), s.dim(2), s.dim(3)}; }

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  const Tensor y = record(
      "reshape", x.detach().view(shape), {x},
      [before = x.shape()](const Tensor& dy, const Needs&) -> Grads { return {dy.view(before)}; });
  if (x.node() && x.node()->recipe)
    set_recipe(y, [again = x.node()->recipe, shape = y.shape()] { return again().view(shape); });
  return y;
}

Tensor concat_channels(const Tensor& a, const Tensor& b, bool repeat) {
  check(a.ndim() >= 1 && b.ndim() == a.ndim() && with_last(a.shape(), 0) == with_last(b.shape(), 0),
        "[concat_channels] all axes but the last must agree; got a {} and b {}", a.shape(),
        b.shape());
  check(a.dtype() == b.dtype(), "[concat_channels] one dtype is needed; got a {} and b {}",
        a.dtype(), b.dtype());
  const int64_t first = a.dim(-1), second = b.dim(-1);
  const Tensor y = record("concat_channels", joined(a, b), {a, b},
                          [first, second](const Tensor& dy, const Needs& needs) -> Grads {
                            if (needs[0] && needs[1]) return parted(dy, first);
                            return {needs[0] ? sliced(dy, 0, first) : Tensor(),
                                    needs[1] ? sliced(dy, first, second) : Tensor()};
                          });
  if (repeat) set_recipe(y, joining(a, b));
  return y;
}

Tensor slice_channels(const Tensor& x, int64_t begin, int64_t width) {
  check(x.ndim() >= 1 && begin >= 0 && width >= 0 && begin + width <= x.dim(-1),
        "[slice_channels] range [{}, {}) must lie in the last axis of x {}", begin, begin + width,
        x.shape());
  return record("slice_channels", sliced(x, begin, width), {x},
                [shape = x.shape(), begin](const Tensor& dy, const Needs&) -> Grads {
                  Tensor dx = zeros(shape, dy.dtype(), dy.device());
                  place(dy, dx, begin);
                  return {dx};
                });
}

std::vector<Tensor> split_channels(const Tensor& x, const std::vector<int64_t>& widths) {
  check(x.ndim() >= 1 && std::accumulate(widths.begin(), widths.end(), int64_t(0)) == x.dim(-1),
        "[split_channels] widths must add up to the last axis of x {}; got [{}]", x.shape(),
        fmt::join(widths, ", "));
  std::vector<Tensor> pieces;
  int64_t begin = 0;
  for (const int64_t width : widths) {
    pieces.push_back(slice_channels(x, begin, width));
    begin += width;
  }
  return pieces;
}

Tensor resize_nearest(const Tensor& x, int64_t factor) {
  check(x.ndim() == 4 && factor >= 1,
        "[resize_nearest] wants x [N, H, W, C] and a factor of at least 1; got x {} and factor {}",
        x.shape(), factor);
  const ImageDims d = image_dims(x.shape());
  Tensor y =
      empty({d.batch, d.height * factor, d.width * factor, d.channels}, x.dtype(), x.device());
  NOISETTE_DISPATCH(x, resize_nearest_forward, x.data<T>(), y.data<T>(), factor, d);
  return record("resize_nearest", y, {x}, [d, factor](const Tensor& dy, const Needs&) -> Grads {
    Tensor dx = empty({d.batch, d.height, d.width, d.channels}, dy.dtype(), dy.device());
    NOISETTE_DISPATCH(dy, resize_nearest_backward, dy.data<T>(), dx.data<T>(), factor, d);
    return {dx};
  });
}

Tensor average_pool(const Tensor& x, int64_t factor) {
  check(x.ndim() == 4 && factor >= 1 && x.dim(1) % factor == 0 && x.dim(2) % factor == 0,
        "[average_pool] the factor must divide H and W of x [N, H, W, C]; got x {} and factor {}",
        x.shape(), factor);
  const ImageDims d = image_dims(x.shape());
  Tensor y =
      empty({d.batch, d.height / factor, d.width / factor, d.channels}, x.dtype(), x.device());
  NOISETTE_DISPATCH(x, average_pool_forward, x.data<T>(), y.data<T>(), factor, d);
  return record("average_pool", y, {x}, [d, factor](const Tensor& dy, const Needs&) -> Grads {
    Tensor dx = empty({d.batch, d.height, d.width, d.channels}, dy.dtype(), dy.device());
    NOISETTE_DISPATCH(dy, average_pool_backward, dy.data<T>(), dx.data<T>(), factor, d);
    return {dx};
  });
}

}  // namespace noisette
