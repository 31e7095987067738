// nvcuda::wmma: every shape, type and layout against products on the host, with an element-wise
// loop over the sums between product and store. Inputs are such that every order of sums gives the
// same bits.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>

#include <cstdio>
#include <cstdlib>
#include <type_traits>
#include <vector>

#include "simulator/tests/device/matrices.h"

namespace wmma = nvcuda::wmma;

template <class T>
using Kept = std::conditional_t<std::is_same_v<T, wmma::precision::tf32>, float, T>;

template <class T, class X, int M, int N, int K, class LA, class LB>
__global__ void product(const Kept<T>* a, int lda, const Kept<T>* b, int ldb, X* c, int ldc,
                        wmma::layout_t layout) {
  wmma::fragment<wmma::matrix_a, M, N, K, T, LA> fa;
  wmma::fragment<wmma::matrix_b, M, N, K, T, LB> fb;
  wmma::fragment<wmma::accumulator, M, N, K, X> fc;
  wmma::load_matrix_sync(fa, a, lda);
  wmma::load_matrix_sync(fb, b, ldb);
  wmma::load_matrix_sync(fc, c, ldc, layout);
  wmma::mma_sync(fc, fa, fb, fc);
  for (int i = 0; i < fc.num_elements; ++i) fc.x[i] = fc.x[i] + fc.x[i];
  wmma::store_matrix_sync(c, fc, ldc, layout);
}

int failures = 0;

template <class T, class X, int M, int N, int K, class LA, class LB>
void check(const char* name, bool row_sums) {
  constexpr bool row_a = std::is_same_v<LA, wmma::row_major>,
                 row_b = std::is_same_v<LB, wmma::row_major>;
  const int pad = 16 / int(sizeof(Kept<T>)), pad_c = 16 / int(sizeof(X));
  const int lda = (row_a ? K : M) + pad, ldb = (row_b ? N : K) + pad,
            ldc = (row_sums ? N : M) + pad_c;
  Kept<T>*a, *b;
  X* c;
  cudaMallocManaged(&a, sizeof(Kept<T>) * lda * 32);
  cudaMallocManaged(&b, sizeof(Kept<T>) * ldb * 32);
  cudaMallocManaged(&c, sizeof(X) * ldc * 32);
  const auto at_a = [&](int m, int k) -> Kept<T>& { return a[row_a ? m * lda + k : k * lda + m]; };
  const auto at_b = [&](int k, int n) -> Kept<T>& { return b[row_b ? k * ldb + n : n * ldb + k]; };
  const auto at_c = [&](int m, int n) -> X& { return c[row_sums ? m * ldc + n : n * ldc + m]; };
  for (int m = 0; m < M; ++m)
    for (int k = 0; k < K; ++k) at_a(m, k) = random_of<Kept<T>>();
  for (int k = 0; k < K; ++k)
    for (int n = 0; n < N; ++n) at_b(k, n) = random_of<Kept<T>>();
  std::vector<double> want(size_t(M * N));
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) {
      at_c(m, n) = X(float(m - n));
      double sum = m - n;
      for (int k = 0; k < K; ++k) sum += number(at_a(m, k)) * number(at_b(k, n));
      want[size_t(m * N + n)] = 2 * sum;
    }
  product<T, X, M, N, K, LA, LB>
      <<<1, 32>>>(a, lda, b, ldb, c, ldc, row_sums ? wmma::mem_row_major : wmma::mem_col_major);
  const cudaError_t error = cudaDeviceSynchronize();
  if (error != cudaSuccess) std::printf("%s: %s\n", name, cudaGetErrorString(error)), ++failures;
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n)
      if (number(at_c(m, n)) != number(X(want[size_t(m * N + n)]))) {
        std::printf("%s %dx%dx%d: (%d, %d) is %g, not %g\n", name, M, N, K, m, n,
                    number(at_c(m, n)), want[size_t(m * N + n)]);
        ++failures;
        m = M;
        break;
      }
  cudaFree(a);
  cudaFree(b);
  cudaFree(c);
}

template <class T, class X, int M, int N, int K>
void check_layouts(const char* name) {
  using Row = wmma::row_major;
  using Column = wmma::col_major;
  check<T, X, M, N, K, Row, Column>(name, true);
  check<T, X, M, N, K, Row, Row>(name, false);
  check<T, X, M, N, K, Column, Column>(name, true);
  check<T, X, M, N, K, Column, Row>(name, false);
}

template <class T, class X>
void check_shapes(const char* name) {
  check_layouts<T, X, 16, 16, 16>(name);
  check_layouts<T, X, 32, 8, 16>(name);
  check_layouts<T, X, 8, 32, 16>(name);
}

int main() {
  check_shapes<__half, float>("f16");
  check_shapes<__half, __half>("f16, f16 sums");
  check_shapes<__nv_bfloat16, float>("bf16");
  check_shapes<signed char, int>("s8");
  check_shapes<unsigned char, int>("u8");
  check_layouts<wmma::precision::tf32, float, 16, 16, 8>("tf32");
  check_layouts<double, double, 8, 8, 4>("f64");
  return failures != 0;
}
