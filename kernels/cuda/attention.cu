// Attention. Contract: kernels/attention.h. Reference: kernels/cpu/attention.cpp.
// bf16 runs on tensor cores with scores that never leave an SM: heads of up to 160 columns in
// attention_forward.cu and attention_backward.cu, up to 512 in attention_wide.cu. f32, and rows of
// heads of no whole sixteen bytes, are computed plainly (attention_plain.cuh). A library may stand
// in (providers/).
#include "kernels/attention.h"

#include <type_traits>

#include "kernels/cuda/attention_fused.h"
#include "kernels/cuda/attention_plain.cuh"
#include "kernels/cuda/providers/providers.h"

namespace noisette::cuda {
namespace {

/// Whether tensor cores can do it: rows of heads on sixteen bytes, and scores of which the largest
/// has the largest weight.
template <class... P>
bool fused_takes(const AttentionDims& d, const P*... p) {
  constexpr int64_t kMost = (int64_t(1) << 31) - 512;  // positions are 32 bits, and so are blocks
  const int64_t longest = std::max(d.queries, d.keys);
  return d.head_dim % 8 == 0 && d.head_dim <= fused::kWidest && d.scale > 0 && d.queries > 0 &&
         d.keys > 0 && longest < kMost && d.batch * d.heads <= kMost / (ceil_div(longest, 16)) &&
         (d.q_stride | d.k_stride | d.v_stride | d.o_stride) % 8 == 0 && aligned16(p...);
}

using providers::Addend;
using providers::Operands;
using providers::Operation;
using providers::Work;

template <class T>
void forward(const T* q, const T* k, const T* v, T* o, float* lse, const AttentionDims& d) {
  if (d.batch * d.heads * d.queries * d.head_dim == 0) return;
  if constexpr (std::is_same_v<T, bfloat16>)
    if (fused_takes(d, q, k, v, o))
      return d.head_dim > fused::kNarrow ? fused::forward_wide(q, k, v, o, lse, d)
                                         : fused::forward(q, k, v, o, lse, d);
  attention_forward_plain(q, k, v, o, lse, d);
}

template <class T>
void backward(const T* q, const T* k, const T* v, const T* o, const float* lse, const T* dout,
              T* dq, T* dk, T* dv, const AttentionDims& d) {
  if (d.batch * d.heads * d.head_dim == 0) return;
  if constexpr (std::is_same_v<T, bfloat16>)
    if (fused_takes(d, q, k, v, o, dout, dq, dk, dv))
      return fused::backward(q, k, v, o, lse, dout, dq, dk, dv, d);
  attention_backward_plain(q, k, v, o, lse, dout, dq, dk, dv, d);
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
