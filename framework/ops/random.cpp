#include "framework/ops/random.h"

#include <algorithm>

#include "framework/autograd/autograd.h"
#include "framework/core/dispatch.h"
#include "kernels/random.h"

namespace noisette {
namespace {

void check_index(const char* op, const Tensor& index, int64_t batch) {
  check(index.shape() == Shape{batch} && index.dtype() == DType::i64,
        "[{}] {} samples need an index of i64 [{}]; got {} {}", op, batch, batch, index.dtype(),
        index.shape());
}

int64_t batch_of(const char* op, const Shape& shape) {
  check(shape.ndim() >= 1, "[{}] the first axis is the batch; got shape {}", op, shape);
  return shape.dim(0);
}

int64_t per_item_of(const Shape& shape) {
  return shape.numel() / std::max<int64_t>(shape.dim(0), 1);
}

Tensor dropped(const Tensor& x, double p, const RngKey& key, const Tensor& index) {
  const int64_t batch = x.dim(0), per_item = per_item_of(x.shape());
  Tensor y = empty_like(x);
  NOISETTE_DISPATCH(x, dropout, x.data<T>(), y.data<T>(), index.data<int64_t>(), batch, per_item, p,
                    key);
  return y;
}

}  // namespace

Tensor normal(const Shape& shape, DType dtype, const RngKey& key, const Tensor& index) {
  const int64_t batch = batch_of("normal", shape), per_item = per_item_of(shape);
  check_index("normal", index, batch);
  Tensor y = empty(shape, dtype, index.device());
  NOISETTE_DISPATCH(y, fill_normal, y.data<T>(), index.data<int64_t>(), batch, per_item, key);
  return record("normal", y, {});
}

Tensor uniform(const Shape& shape, DType dtype, const RngKey& key, const Tensor& index) {
  const int64_t batch = batch_of("uniform", shape), per_item = per_item_of(shape);
  check_index("uniform", index, batch);
  Tensor y = empty(shape, dtype, index.device());
  NOISETTE_DISPATCH(y, fill_uniform, y.data<T>(), index.data<int64_t>(), batch, per_item, key);
  return record("uniform", y, {});
}

Tensor random_integers(int64_t bound, const RngKey& key, const Tensor& index) {
  check(bound >= 1 && bound <= 0xffffffff,
        "[random_integers] the bound must be in [1, 2^32); got {}", bound);
  check(index.ndim() == 1, "[random_integers] the index must be [N]; got {}", index.shape());
  check_index("random_integers", index, index.dim(0));
  Tensor y = empty_like(index);
  NOISETTE_KERNEL(y.device(), fill_integers, y.data<int64_t>(), index.data<int64_t>(), y.numel(),
                  bound, key);
  return record("random_integers", y, {});
}

Tensor replace_at_random(const Tensor& x, int64_t replacement, double p, const RngKey& key,
                         const Tensor& index) {
  check(x.ndim() == 1 && x.dtype() == DType::i64,
        "[replace_at_random] x must be i64 [N]; got {} {}", x.dtype(), x.shape());
  check(p >= 0 && p <= 1, "[replace_at_random] p must be in [0, 1]; got {}", p);
  check_index("replace_at_random", index, x.dim(0));
  Tensor y = empty_like(x);
  NOISETTE_KERNEL(x.device(), replace_at_random, x.data<int64_t>(), y.data<int64_t>(),
                  index.data<int64_t>(), x.numel(), replacement, p, key);
  return record("replace_at_random", y, {x});
}

Tensor dropout(const Tensor& x, double p, const RngKey& key, const Tensor& index) {
  check(p >= 0 && p < 1, "[dropout] p must be in [0, 1); got {}", p);
  check_index("dropout", index, batch_of("dropout", x.shape()));
  const Tensor y =
      record("dropout", dropped(x, p, key, index), {x},
             [p, key, index = index.detach()](const Tensor& dy, const Needs&) -> Grads {
               return {dropped(dy, p, key, index)};
             });
  if (x.node() && x.node()->recipe)
    set_recipe(y, [again = x.node()->recipe, p, key, index = index.detach()] {
      return dropped(again(), p, key, index);
    });
  return y;
}

}  // namespace noisette
