#include "kernels/matmul.h"

#include <algorithm>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/scratch.h"
#include "kernels/shape.h"

namespace noisette::cpu {
namespace {

/// The definition, term by term: the reference, and what is left where no library code exists.
/// c may be the residual.
template <class T>
void plain_matmul(const T* a, const T* b, const acc_t<T>* bias, const T* residual, T* c,
                  const MatmulDims& d) {
  const int64_t a_row = d.trans_a ? 1 : d.k, a_col = d.trans_a ? d.m : 1;
  const int64_t b_row = d.trans_b ? 1 : d.n, b_col = d.trans_b ? d.k : 1;
  using A = acc_t<T>;
  parallel_items(d.batch * d.m, d.c_numel() * d.k, [&](int64_t row) {
    const int64_t s = row / d.m, i = row % d.m;
    const T* pa = a + s * d.m * d.k + i * a_row;
    const T* pb = b + s * d.k * d.n;
    for (int64_t j = 0; j < d.n; ++j) {
      A sum = bias != nullptr ? bias[j] : 0;
      if (residual != nullptr) sum += A(residual[row * d.n + j]);
      for (int64_t l = 0; l < d.k; ++l) sum += A(pa[l * a_col]) * A(pb[l * b_row + j * b_col]);
      c[row * d.n + j] = T(sum);
    }
  });
}

/// c = (add ? c : 0) + bias + A B in f32.
void matmul_f32(const float* a, const float* b, const float* bias, float* c, bool add,
                const MatmulDims& d) {
  if (!onednn::matmul(a, b, bias, c, add, d)) plain_matmul(a, b, bias, add ? c : nullptr, c, d);
}

template <class T>
void fast_matmul(const T* a, const T* b, const float* bias, const T* residual, T* c,
                 const MatmulDims& d) {
  const bool add = residual != nullptr;
  if (add && residual != c)
    parallel_ranges(d.c_numel(), [&](int64_t begin, int64_t end) {
      std::copy(residual + begin, residual + end, c + begin);
    });
  if constexpr (std::is_same_v<T, float>) {
    matmul_f32(a, b, bias, c, add, d);
  } else {
    if (onednn::matmul(a, b, bias, c, add, d)) return;
    Scratch scratch;
    float* c32 = output_f32(scratch, c, d.c_numel(), add);
    matmul_f32(as_f32(scratch, a, d.a_numel()), as_f32(scratch, b, d.b_numel()), bias, c32, add, d);
    from_f32(c32, c, d.c_numel());
  }
}

/// Rows of fewer columns than this are summed several at a time, so that vectors are full.
constexpr int64_t kVector = 16;
constexpr int64_t kFold = 32;

/// out[j] += sum of `rows` rows of x, four at a time.
template <class T>
void add_rows(const T* x, acc_t<T>* out, int64_t rows, int64_t cols) {
  using A = acc_t<T>;
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4, x += 4 * cols)
    for (int64_t j = 0; j < cols; ++j)
      out[j] += (A(x[j]) + A(x[cols + j])) + (A(x[2 * cols + j]) + A(x[3 * cols + j]));
  for (; i < rows; ++i, x += cols)
    for (int64_t j = 0; j < cols; ++j) out[j] += A(x[j]);
}

}  // namespace

template <class T>
void matmul(const T* a, const T* b, const acc_t<T>* bias, const T* residual, T* c,
            const MatmulDims& d, int64_t residual_rows) {
  if (d.c_numel() == 0) return;
  if (residual != nullptr && residual_rows > 1) {
    repeat_rows(residual, c, residual_rows, d.batch * d.m, d.n);
    residual = c;
  }
  if (d.k == 0 || std::is_same_v<T, double>) {
    plain_matmul(a, b, bias, residual, c, d);
    return;
  }
  if constexpr (!std::is_same_v<T, double>) fast_matmul(a, b, bias, residual, c, d);
}

template <class T>
void matmul_activation(const T* a, const T* b, const acc_t<T>* bias, const T* residual, T* before,
                       T* c, Activation kind, const MatmulDims& d, int64_t residual_rows) {
  T* const s = before != nullptr ? before : c;
  matmul(a, b, bias, residual, s, d, residual_rows);
  activation_forward(s, c, d.c_numel(), kind);
}

template <class T>
void matmul_geglu(const T* a, const T* b, const acc_t<T>* bias, T* before, T* c,
                  const MatmulDims& d) {
  Scratch scratch;
  T* const s = before != nullptr ? before : scratch.take<T>(d.c_numel());
  matmul<T>(a, b, bias, nullptr, s, d);
  geglu_forward(s, c, d.batch * d.m, d.n / 2);
}

template <class T>
void matmul_accumulate(const T* a, const T* b, acc_t<T>* c, bool accumulate, const MatmulDims& d) {
  if (d.c_numel() == 0) return;
  if (d.k == 0) {
    if (!accumulate) std::fill_n(c, d.c_numel(), acc_t<T>(0));
    return;
  }
  if constexpr (std::is_same_v<T, double>) {
    plain_matmul<double>(a, b, nullptr, accumulate ? c : nullptr, c, d);
  } else if constexpr (std::is_same_v<T, float>) {
    matmul_f32(a, b, nullptr, c, accumulate, d);
  } else {
    if (onednn::matmul(a, b, nullptr, c, accumulate, d)) return;
    Scratch scratch;
    matmul_f32(as_f32(scratch, a, d.a_numel()), as_f32(scratch, b, d.b_numel()), nullptr, c,
               accumulate, d);
  }
}

template <class T>
void column_sum(const T* x, acc_t<T>* out, int64_t rows, int64_t cols, bool accumulate) {
  using A = acc_t<T>;
  if (!accumulate) std::fill_n(out, cols, A(0));
  if (rows == 0 || cols == 0) return;
  // Narrow rows are taken kFold at a time as one wide row; the rest of the division comes last.
  const int64_t fold = cols < kVector ? kFold : 1;
  const int64_t wide = fold * cols, wide_rows = rows / fold;
  const int64_t per_chunk = std::max(ceil_div(wide_rows, 64), ceil_div(kChunk, wide));
  const int64_t chunks = ceil_div(wide_rows, per_chunk);

  Scratch scratch;
  A* partial = scratch.take<A>(chunks * wide);
  std::fill_n(partial, chunks * wide, A(0));
  parallel_items(chunks, rows * cols, [&](int64_t chunk) {
    const int64_t first = chunk * per_chunk;
    add_rows(x + first * wide, partial + chunk * wide, std::min(per_chunk, wide_rows - first),
             wide);
  });
  add_rows(partial, out, chunks * fold, cols);
  add_rows(x + wide_rows * wide, out, rows - wide_rows * fold, cols);
}

#define NOISETTE_INSTANTIATE(T)                                                               \
  template void matmul(const T*, const T*, const acc_t<T>*, const T*, T*, const MatmulDims&,  \
                       int64_t);                                                              \
  template void matmul_activation(const T*, const T*, const acc_t<T>*, const T*, T*, T*,      \
                                  Activation, const MatmulDims&, int64_t);                    \
  template void matmul_geglu(const T*, const T*, const acc_t<T>*, T*, T*, const MatmulDims&); \
  template void matmul_accumulate(const T*, const T*, acc_t<T>*, bool, const MatmulDims&);    \
  template void column_sum(const T*, acc_t<T>*, int64_t, int64_t, bool);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
NOISETTE_INSTANTIATE(double)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
