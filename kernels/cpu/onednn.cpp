#include "kernels/cpu/onednn.h"

#include <omp.h>

#include <array>
#include <dnnl.hpp>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "kernels/cpu/scratch.h"

namespace noisette::cpu::onednn {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

template <class T>
constexpr memory::data_type kType = sizeof(T) == sizeof(float) ? memory::data_type::f32
                                                               : memory::data_type::bf16;

dnnl::engine& engine() {
  static dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

// --- The two APIs. v2 describes an operation first, v3 goes straight to the primitive descriptor.

template <class Primitive, class... Args>
auto describe(const dnnl::primitive_attr& attr, const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Primitive::primitive_desc(engine(), args..., attr);
#else
  return typename Primitive::primitive_desc(typename Primitive::desc(args...), attr, engine());
#endif
}

/// For backward primitives, which want to see the forward one they belong to.
template <class Primitive, class Forward, class... Args>
auto describe_backward(const dnnl::primitive_attr& attr, const Forward& forward,
                       const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Primitive::primitive_desc(engine(), args..., forward, attr);
#else
  return typename Primitive::primitive_desc(typename Primitive::desc(args...), attr, engine(),
                                            forward);
#endif
}

// --- Running primitives.

struct Argument {
  int id;
  const memory::desc& desc;
  const void* data;  // null: the argument is left out
};

void run(const dnnl::primitive& primitive, std::initializer_list<Argument> arguments) {
  thread_local dnnl::stream stream(engine());
  std::unordered_map<int, memory> map;
  for (const Argument& a : arguments)
    if (a.data != nullptr) map.emplace(a.id, memory(a.desc, engine(), const_cast<void*>(a.data)));
  primitive.execute(stream, map);
  stream.wait();
}

void* take(Scratch& scratch, const memory::desc& desc) {
  return desc.get_size() == 0 ? nullptr : scratch.take_bytes(desc.get_size());
}

/// A change of order. Does nothing, and is not there, where both orders are the same.
struct Reorder {
  dnnl::primitive primitive;
  memory::desc from, to, scratchpad;

  Reorder() = default;
  Reorder(const memory::desc& from, const memory::desc& to, bool add) : from(from), to(to) {
    if (from == to && !add) return;
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    dnnl::post_ops post;
    if (add) post.append_sum(1.0f);
    attr.set_post_ops(post);
    const dnnl::reorder::primitive_desc pd(engine(), from, engine(), to, attr);
    scratchpad = pd.scratchpad_desc();
    primitive = dnnl::reorder(pd);
  }

  bool needed() const { return bool(primitive); }
  void operator()(Scratch& scratch, const void* src, void* dst) const {
    run(primitive, {{DNNL_ARG_FROM, from, src},
                    {DNNL_ARG_TO, to, dst},
                    {DNNL_ARG_SCRATCHPAD, scratchpad, take(scratch, scratchpad)}});
  }
};

// --- Plans: what is prepared once for each shape.

struct Plan {
  dnnl::primitive primitive;  // absent: no optimised code here
  memory::desc a, b, bias, c, scratchpad;
  Reorder reorder;  // of the weights, before the primitive or (their gradient) after it

  bool usable() const { return bool(primitive); }
};

enum class Op : int64_t { forward, backward_data, backward_weight, matmul };

using Key = std::array<int64_t, 17>;

struct KeyHash {
  std::size_t operator()(const Key& key) const {
    uint64_t h = 0;
    for (const int64_t v : key) h = (h ^ uint64_t(v)) * 0x9E3779B97F4A7C15u + (h >> 29);
    return std::size_t(h ^ (h >> 32));
  }
};

/// The plan under `key`, made by `make` when it is asked for first. Code is generated for the
/// number of threads at that moment, so that number is part of the key.
const Plan& plan_for(Key key, const std::function<void(Plan&)>& make) {
  static std::mutex mutex;
  static std::unordered_map<Key, std::unique_ptr<const Plan>, KeyHash> plans;
  key.back() = omp_get_max_threads();
  const std::lock_guard lock(mutex);
  auto& slot = plans[key];
  if (slot == nullptr) {
    auto plan = std::make_unique<Plan>();
    try {
      make(*plan);
    } catch (const dnnl::error& e) {
      if (e.status != dnnl_unimplemented) throw;
      plan->primitive = {};
    }
    slot = std::move(plan);
  }
  return *slot;
}

template <class T>
Key conv_key(Op op, const ConvDims& d, bool bias, bool add) {
  return {int64_t(op),  int64_t(sizeof(T)) * 4 + bias * 2 + add,
          d.batch,      d.in_h,
          d.in_w,       d.in_c,
          d.out_c,      d.kernel_h,
          d.kernel_w,   d.stride,
          d.pad_top,    d.pad_left,
          d.pad_bottom, d.pad_right};
}

dnnl::primitive_attr attributes(bool add) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops post;
  if (add) post.append_sum(1.0f);
  attr.set_post_ops(post);
  return attr;
}

/// Keeps the primitive unless it is the library's reference loops, which only f32 falls back to.
template <class Primitive, class T, class Description>
void keep(Plan& plan, const Description& pd) {
  plan.scratchpad = pd.scratchpad_desc();
  if (sizeof(T) == sizeof(float) || !std::string_view(pd.impl_info_str()).starts_with("ref"))
    plan.primitive = Primitive(pd);
}

template <class T>
struct ConvArguments {
  explicit ConvArguments(const ConvDims& d, bool with_bias)
      : x({d.batch, d.in_c, d.in_h, d.in_w}, kType<T>, Tag::nhwc),
        weight({d.out_c, d.in_c, d.kernel_h, d.kernel_w}, kType<T>, Tag::any),
        y({d.batch, d.out_c, d.out_h(), d.out_w()}, kType<T>, Tag::nhwc),
        strides{d.stride, d.stride},
        before{d.pad_top, d.pad_left},
        after{d.pad_bottom, d.pad_right} {
    if (with_bias) bias = memory::desc({d.out_c}, memory::data_type::f32, Tag::a);
  }

  auto forward(const dnnl::primitive_attr& attr) const {
    return describe<dnnl::convolution_forward>(attr, dnnl::prop_kind::forward_training, kDirect, x,
                                               weight, bias, y, strides, before, after);
  }

  static constexpr dnnl::algorithm kDirect = dnnl::algorithm::convolution_direct;
  memory::desc x, weight, bias, y;
  memory::dims strides, before, after;
};

template <class T>
memory::desc plain_weights(const ConvDims& d) {
  return memory::desc({d.out_c, d.in_c, d.kernel_h, d.kernel_w}, kType<T>, Tag::ohwi);
}

template <class T>
void make_forward(Plan& plan, const ConvDims& d, bool bias, bool add) {
  const ConvArguments<T> args(d, bias);
  const auto pd = args.forward(attributes(add));
  keep<dnnl::convolution_forward, T>(plan, pd);
  plan.a = args.x, plan.b = pd.weights_desc(), plan.bias = args.bias, plan.c = args.y;
  plan.reorder = Reorder(plain_weights<T>(d), plan.b, false);
}

template <class T>
void make_backward_data(Plan& plan, const ConvDims& d) {
  const ConvArguments<T> args(d, false);
  const auto attr = attributes(false);
  const auto pd = describe_backward<dnnl::convolution_backward_data>(
      attr, args.forward(attr), args.kDirect, args.x, args.weight, args.y, args.strides,
      args.before, args.after);
  keep<dnnl::convolution_backward_data, T>(plan, pd);
  plan.a = args.y, plan.b = pd.weights_desc(), plan.c = args.x;
  plan.reorder = Reorder(plain_weights<T>(d), plan.b, false);
}

template <class T>
void make_backward_weight(Plan& plan, const ConvDims& d, bool add) {
  const ConvArguments<T> args(d, false);
  const auto attr = attributes(false);
  const memory::desc any({d.out_c, d.in_c, d.kernel_h, d.kernel_w}, memory::data_type::f32,
                         Tag::any);
  const auto pd = describe_backward<dnnl::convolution_backward_weights>(
      attr, args.forward(attr), args.kDirect, args.x, any, args.bias, args.y, args.strides,
      args.before, args.after);
  keep<dnnl::convolution_backward_weights, T>(plan, pd);
  plan.a = args.x, plan.b = args.y, plan.c = pd.diff_weights_desc();
  plan.reorder = Reorder(plan.c, plain_weights<float>(d), add);
}

/// Above this many rows a product gains 3-20 % from packing its right factor first (measured for
/// k, n of 32..768); below, the packing costs more.
constexpr int64_t kPackRows = 1024;

template <class T, class C>
void make_matmul(Plan& plan, const MatmulDims& d, bool bias, bool add) {
  const bool flat = d.batch == 1;
  const auto matrix = [&](int64_t rows, int64_t cols, memory::data_type type, bool transposed) {
    if (flat) return memory::desc({rows, cols}, type, transposed ? Tag::ba : Tag::ab);
    return memory::desc({d.batch, rows, cols}, type, transposed ? Tag::acb : Tag::abc);
  };
  plan.a = matrix(d.m, d.k, kType<T>, d.trans_a);
  plan.c = matrix(d.m, d.n, kType<C>, false);
  if (bias)
    plan.bias = flat ? memory::desc({1, d.n}, memory::data_type::f32, Tag::ab)
                     : memory::desc({1, 1, d.n}, memory::data_type::f32, Tag::abc);
  const memory::desc plain = matrix(d.k, d.n, kType<T>, d.trans_b);
  const bool pack = flat && !d.trans_a && d.m >= kPackRows;
  const auto pd = describe<dnnl::matmul>(
      attributes(add), plan.a, pack ? memory::desc({d.k, d.n}, kType<T>, Tag::any) : plain,
      plan.bias, plan.c);
  keep<dnnl::matmul, T>(plan, pd);
  plan.b = pd.weights_desc();
  plan.reorder = Reorder(plain, plan.b, false);
}

/// The weights in the order the plan's primitive reads.
const void* packed_weights(const Plan& plan, Scratch& scratch, const void* weights) {
  if (!plan.reorder.needed()) return weights;
  void* packed = take(scratch, plan.reorder.to);
  plan.reorder(scratch, weights, packed);
  return packed;
}

}  // namespace

template <class T>
bool conv_forward(const T* x, const T* weight, const float* bias, T* y, bool add,
                  const ConvDims& d) {
  const bool with_bias = bias != nullptr;
  const Plan& plan = plan_for(conv_key<T>(Op::forward, d, with_bias, add),
                              [&](Plan& p) { make_forward<T>(p, d, with_bias, add); });
  if (!plan.usable()) return false;
  Scratch scratch;
  run(plan.primitive, {{DNNL_ARG_SRC, plan.a, x},
                       {DNNL_ARG_WEIGHTS, plan.b, packed_weights(plan, scratch, weight)},
                       {DNNL_ARG_BIAS, plan.bias, bias},
                       {DNNL_ARG_DST, plan.c, y},
                       {DNNL_ARG_SCRATCHPAD, plan.scratchpad, take(scratch, plan.scratchpad)}});
  return true;
}

template <class T>
bool conv_backward_data(const T* dy, const T* weight, T* dx, const ConvDims& d) {
  const Plan& plan = plan_for(conv_key<T>(Op::backward_data, d, false, false),
                              [&](Plan& p) { make_backward_data<T>(p, d); });
  if (!plan.usable()) return false;
  Scratch scratch;
  run(plan.primitive, {{DNNL_ARG_DIFF_DST, plan.a, dy},
                       {DNNL_ARG_WEIGHTS, plan.b, packed_weights(plan, scratch, weight)},
                       {DNNL_ARG_DIFF_SRC, plan.c, dx},
                       {DNNL_ARG_SCRATCHPAD, plan.scratchpad, take(scratch, plan.scratchpad)}});
  return true;
}

template <class T>
bool conv_backward_weight(const T* x, const T* dy, float* dweight, bool accumulate,
                          const ConvDims& d) {
  const Plan& plan = plan_for(conv_key<T>(Op::backward_weight, d, false, accumulate),
                              [&](Plan& p) { make_backward_weight<T>(p, d, accumulate); });
  if (!plan.usable()) return false;
  Scratch scratch;
  void* packed = plan.reorder.needed() ? take(scratch, plan.c) : dweight;
  run(plan.primitive, {{DNNL_ARG_SRC, plan.a, x},
                       {DNNL_ARG_DIFF_DST, plan.b, dy},
                       {DNNL_ARG_DIFF_WEIGHTS, plan.c, packed},
                       {DNNL_ARG_SCRATCHPAD, plan.scratchpad, take(scratch, plan.scratchpad)}});
  if (plan.reorder.needed()) plan.reorder(scratch, packed, dweight);
  return true;
}

template <class T>
bool has_conv(ConvPass pass, const ConvDims& d) {
  const Op op = pass == ConvPass::forward         ? Op::forward
                : pass == ConvPass::backward_data ? Op::backward_data
                                                  : Op::backward_weight;
  const Plan& plan = plan_for(conv_key<T>(op, d, false, false), [&](Plan& p) {
    if (op == Op::forward) make_forward<T>(p, d, false, false);
    if (op == Op::backward_data) make_backward_data<T>(p, d);
    if (op == Op::backward_weight) make_backward_weight<T>(p, d, false);
  });
  return plan.usable();
}

bool has_bf16_tiles() {
  constexpr auto kAmx = unsigned(dnnl::cpu_isa::avx512_core_amx);  // a set of bits
  return (unsigned(dnnl::get_effective_cpu_isa()) & kAmx) == kAmx;
}

template <class T, class C>
bool matmul(const T* a, const T* b, const float* bias, C* c, bool add, const MatmulDims& d) {
  const bool with_bias = bias != nullptr;
  const Key key = {int64_t(Op::matmul),
                   int64_t(sizeof(T) * 8 + sizeof(C)) * 4 + with_bias * 2 + add,
                   d.batch,
                   d.m,
                   d.n,
                   d.k,
                   d.trans_a * 2 + d.trans_b};
  const Plan& plan = plan_for(key, [&](Plan& p) { make_matmul<T, C>(p, d, with_bias, add); });
  if (!plan.usable()) return false;
  Scratch scratch;
  run(plan.primitive, {{DNNL_ARG_SRC, plan.a, a},
                       {DNNL_ARG_WEIGHTS, plan.b, packed_weights(plan, scratch, b)},
                       {DNNL_ARG_BIAS, plan.bias, bias},
                       {DNNL_ARG_DST, plan.c, c},
                       {DNNL_ARG_SCRATCHPAD, plan.scratchpad, take(scratch, plan.scratchpad)}});
  return true;
}

#define NOISETTE_INSTANTIATE(T)                                                            \
  template bool conv_forward(const T*, const T*, const float*, T*, bool, const ConvDims&); \
  template bool conv_backward_data(const T*, const T*, T*, const ConvDims&);               \
  template bool conv_backward_weight(const T*, const T*, float*, bool, const ConvDims&);   \
  template bool has_conv<T>(ConvPass, const ConvDims&);                                    \
  template bool matmul(const T*, const T*, const float*, T*, bool, const MatmulDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE
template bool matmul(const bfloat16*, const bfloat16*, const float*, float*, bool,
                     const MatmulDims&);

}  // namespace noisette::cpu::onednn
