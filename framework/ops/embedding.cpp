#include "framework/ops/embedding.h"

#include "framework/autograd/autograd.h"
#include "framework/core/dispatch.h"

namespace noisette {

Tensor embedding(const Tensor& table, const Tensor& index) {
  check(table.ndim() == 2, "[embedding] the table must be [rows, dim]; got {}", table.shape());
  check(index.dtype() == DType::i64, "[embedding] the index must be i64; got {}", index.dtype());
  const int64_t rows = table.dim(0), dim = table.dim(1), count = index.numel();
  std::vector<int64_t> dims = index.shape().dims();
  dims.push_back(dim);
  Tensor y = empty(Shape(std::move(dims)), table.dtype(), table.device());
  NOISETTE_DISPATCH(table, embedding_forward, table.data<T>(), index.data<int64_t>(), y.data<T>(),
                    count, rows, dim);
  return record(
      "embedding", y, {table},
      [index = index.detach(), count, rows, dim](const Tensor& dy, const Needs& needs) -> Grads {
        const GradTarget dtable = needs.target(0);
        NOISETTE_DISPATCH(dy, embedding_backward, dy.data<T>(), index.data<int64_t>(),
                          dtable.buffer.data<acc_t<T>>(), count, rows, dim, dtable.accumulate);
        return {dtable.buffer};
      });
}

Tensor timestep_embedding(const Tensor& t, int64_t dim, DType dtype,
                          const TimestepOptions& options) {
  check(t.ndim() == 1, "[timestep_embedding] t must be [N]; got {}", t.shape());
  check(dim >= 2 && double(dim / 2) > options.freq_shift && options.max_period > 0,
        "[timestep_embedding] half of dim must exceed freq_shift; got dim {} and freq_shift {}",
        dim, options.freq_shift);
  Tensor y = empty({t.dim(0), dim}, dtype, t.device());
  const auto run = [&](const auto* time) {
    NOISETTE_DISPATCH(y, timestep_embedding, time, y.data<T>(), t.dim(0), dim, options);
  };
  switch (t.dtype()) {
    case DType::f32:
      run(t.data<float>());
      break;
    case DType::f64:
      run(t.data<double>());
      break;
    case DType::i32:
      run(t.data<int32_t>());
      break;
    case DType::i64:
      run(t.data<int64_t>());
      break;
    default:
      fail("[timestep_embedding] t must be f32, f64, i32 or i64; got {}", t.dtype());
  }
  return record("timestep_embedding", y, {t});
}

}  // namespace noisette
