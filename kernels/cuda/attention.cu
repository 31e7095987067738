// Attention. Contract: kernels/attention.h. Reference: kernels/cpu/attention.cpp.
// Scores never leave an SM. bf16 runs on tensor cores: heads of up to 160 columns in
// attention_forward.cu and attention_backward.cu, up to 512 in attention_wide.cu; f32 runs by
// multiply-adds (attention_fma.cu). Rows of heads of no whole sixteen bytes, and wider heads of
// bf16, are computed plainly (attention_plain.cuh). A library may stand in (providers/).
#include "kernels/attention.h"

#include <type_traits>

#include "kernels/cuda/attention_fused.h"
#include "kernels/cuda/attention_plain.cuh"
#include "kernels/cuda/providers/providers.h"
#include "kernels/cuda/scratch.h"

namespace noisette::cuda {
namespace {

/// Whether rows of heads lie on sixteen bytes, and blocks of 16 rows can be counted in 32 bits.
template <class T, class... P>
bool in_tiles(const AttentionDims& d, const T* x, const P*... p) {
  constexpr int64_t kMost = (int64_t(1) << 31) - 512;  // positions are 32 bits, too
  const int64_t longest = std::max(d.queries, d.keys), strides = d.q_stride | d.k_stride;
  return d.head_dim % kVector<T> == 0 && longest > 0 && longest < kMost &&
         d.batch * d.heads <= kMost / ceil_div(longest, 16) &&
         (strides | d.v_stride | d.o_stride) % kVector<T> == 0 && aligned16(x, p...);
}

/// Whether tensor cores can do it: besides, the largest score must have the largest weight.
bool on_tensor_cores(const AttentionDims& d) {
  return d.head_dim <= fused::kWidest && d.scale > 0 && d.queries > 0 && d.keys > 0;
}

using providers::Addend;
using providers::Operands;
using providers::Operation;
using providers::Work;

template <class T>
void forward(const T* q, const T* k, const T* v, T* o, float* lse, const AttentionDims& d) {
  if (d.batch * d.heads * d.queries * d.head_dim == 0) return;
  if (in_tiles(d, q, k, v, o)) {
    if constexpr (std::is_same_v<T, float>)
      return fused::forward_fma(q, k, v, o, lse, d);
    else if (on_tensor_cores(d))
      return d.head_dim > fused::kNarrow ? fused::forward_wide(q, k, v, o, lse, d)
                                         : fused::forward(q, k, v, o, lse, d);
  }
  attention_forward_plain(q, k, v, o, lse, d);
}

template <class T>
void backward(const T* q, const T* k, const T* v, const T* o, const float* lse, const T* dout,
              T* dq, T* dk, T* dv, const AttentionDims& d) {
  if (d.batch * d.heads * d.head_dim == 0) return;
  const bool tiles = in_tiles(d, q, k, v, o, dout, dq, dk, dv);
  if constexpr (std::is_same_v<T, bfloat16>)
    if (tiles && on_tensor_cores(d)) return fused::backward(q, k, v, o, lse, dout, dq, dk, dv, d);
  Scratch scratch;
  float* const delta = scratch.take<float>(d.batch * d.heads * d.queries);
  attention_row_dots(o, dout, delta, d);
  if constexpr (std::is_same_v<T, float>)
    if (tiles) return fused::backward_fma(q, k, v, lse, delta, dout, dq, dk, dv, d);
  attention_backward_plain(q, k, v, lse, delta, dout, dq, dk, dv, d);
}

}  // namespace

template <class T>
void attention_forward(const T* q, const T* k, const T* v, T* o, acc_t<T>* lse,
                       const AttentionDims& d) {
  const Work work =
      providers::work<T>(Operation::attention_forward, d, Addend::none, false, lse != nullptr);
  providers::run(work, {{q, k, v}, {o, lse}}, [&](const Operands& p) {
    forward(p.input<T>(0), p.input<T>(1), p.input<T>(2), p.result<T>(), p.result<float>(1), d);
  });
}

template <class T>
void attention_backward(const T* q, const T* k, const T* v, const T* o, const acc_t<T>* lse,
                        const T* dout, T* dq, T* dk, T* dv, const AttentionDims& d) {
  const Work work = providers::work<T>(Operation::attention_backward, d);
  providers::run(work, {{q, k, v, o, lse, dout}, {dq, dk, dv}}, [&](const Operands& p) {
    backward(p.input<T>(0), p.input<T>(1), p.input<T>(2), p.input<T>(3), p.input<float>(4),
             p.input<T>(5), p.result<T>(0), p.result<T>(1), p.result<T>(2), d);
  });
}

#define NOISETTE_INSTANTIATE(T)                                                             \
  template void attention_forward<T>(const T*, const T*, const T*, T*, float*,              \
                                     const AttentionDims&);                                 \
  template void attention_backward<T>(const T*, const T*, const T*, const T*, const float*, \
                                      const T*, T*, T*, T*, const AttentionDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cuda
