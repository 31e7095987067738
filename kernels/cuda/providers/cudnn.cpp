// Convolution and attention by cuDNN 9. Compiled, but not yet run: it needs a card.
//
// A work is a graph of its operation and of additions behind it, in f32 until the result is
// written: convolution -> + bias -> + residual. Only engines whose results are the same every time
// are asked, and none that rounds f32 unless it may. Attention: without a causal mask, which its
// operation does not have.
#include "kernels/cuda/providers/providers.h"

#if __has_include(<cudnn.h>)

#include "kernels/cuda/providers/cudnn_graph.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/scratch.h"
#include "kernels/cuda/scratch_need.h"
#include "kernels/cuda/stream.h"

namespace noisette::cuda::providers {
namespace {

using cudnn::api;
using cudnn::ask;
using cudnn::Descriptor;

/// Numbers of tensors: inputs and results by their place in Operands, then what has none there.
constexpr int64_t kInput = 1, kResult = 101, kScale = 201, kBetween = 301;

struct Tensor4 {
  std::vector<int64_t> dims, strides;
};
/// [a, h, w, c] in memory is [a, c, h, w] here.
Tensor4 channels_last(int64_t a, int64_t h, int64_t w, int64_t c) {
  return {{a, c, h, w}, {h * w * c, 1, w * c, c}};
}

/// A convolution's operation, and what its attributes are called.
struct Names {
  cudnnBackendDescriptorType_t operation;
  cudnnBackendAttributeName_t how, first, second, result, alpha, beta;
};
constexpr Names kForward = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
constexpr Names kBackwardData = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
constexpr Names kBackwardWeight = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};

/// The operations of a Work, and the tensors that they name.
class Graph {
 public:
  explicit Graph(const Work& work) : work_(work) {
    if (const auto* d = std::get_if<ConvDims>(&work.dims))
      convolution(*d);
    else
      attention(std::get<AttentionDims>(work.dims));
  }
  std::vector<Descriptor> operations;
  std::vector<int64_t> tensors;  // not those between operations
  float scale = 1;               // of attention

 private:
  Descriptor tensor(int64_t id, const Tensor4& t, bool f32) {
    const bool between = id >= kBetween, by_value = id == kScale;
    if (!between) tensors.push_back(id);
    Descriptor d(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    d.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id)
        .set(CUDNN_ATTR_TENSOR_DATA_TYPE, f32 ? CUDNN_DATA_FLOAT : CUDNN_DATA_BFLOAT16)
        .set(CUDNN_ATTR_TENSOR_DIMENSIONS, t.dims)
        .set(CUDNN_ATTR_TENSOR_STRIDES, t.strides)
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, int64_t(by_value ? 4 : 16))
        .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, between)
        .set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, by_value);
    return d.finalize();
  }

  /// y, or what comes before it when `more` additions follow.
  Descriptor result(const Tensor4& y, bool f32, int more) {
    return more == 0 ? tensor(kResult, y, f32) : tensor(kBetween + more, y, true);
  }

  void add(const Descriptor& sum, int64_t id, const Tensor4& shape, bool f32,
           const Descriptor& result) {
    Descriptor mode(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    mode.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_POINTWISE_ADD)
        .set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT)
        .finalize();
    Descriptor op(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    op.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, mode)
        .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, sum)
        .set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, tensor(id, shape, f32))
        .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, result)
        .finalize();
    operations.push_back(op);
  }

  void convolution(const ConvDims& d) {
    const bool f32 = !work_.bf16;
    const Tensor4 x = channels_last(d.batch, d.in_h, d.in_w, d.in_c),
                  y = channels_last(d.batch, d.out_h(), d.out_w(), d.out_c),
                  weight = channels_last(d.out_c, d.kernel_h, d.kernel_w, d.in_c);
    Descriptor how(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    how.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT)
        .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION)
        .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, int64_t(2))
        .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, std::vector<int64_t>{d.pad_top, d.pad_left})
        .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, std::vector<int64_t>{d.pad_bottom, d.pad_right})
        .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, std::vector<int64_t>{d.stride, d.stride})
        .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, std::vector<int64_t>{1, 1})
        .finalize();
    const bool weights = work_.operation == Operation::conv2d_backward_weight;
    const bool data = work_.operation == Operation::conv2d_backward_data;
    const Tensor4& out = weights ? weight : data ? x : y;
    const bool added = work_.added != Addend::none;
    int more = int(work_.bias) + int(added);
    Descriptor sum = result(out, f32 || weights, more);
    const Names& names = weights ? kBackwardWeight : data ? kBackwardData : kForward;
    Descriptor op(names.operation);
    op.set(names.how, how)
        .set(names.first, tensor(kInput, data ? y : x, f32))
        .set(names.second, tensor(kInput + 1, weights ? y : weight, f32))
        .set(names.result, sum)
        .set(names.alpha, 1.f)
        .set(names.beta, 0.f);
    operations.push_back(op.finalize());
    if (work_.bias) {
      const Descriptor next = result(out, f32, --more);
      add(sum, kInput + Operands::kBias, channels_last(1, 1, 1, d.out_c), true, next);
      sum = next;
    }
    if (added)
      add(sum, kInput + Operands::kAdded, out, f32 || weights, result(out, f32 || weights, 0));
  }

  /// Heads are columns of a row.
  static Tensor4 heads(const AttentionDims& d, int64_t length, int64_t stride) {
    return {{d.batch, d.heads, length, d.head_dim}, {length * stride, d.head_dim, stride, 1}};
  }

  void attention([[maybe_unused]] const AttentionDims& d) {
#if CUDNN_VERSION >= 91700  // from here on both passes are one operation
    if (d.causal) return;
    scale = float(d.scale);
    const bool f32 = !work_.bf16;
    const Tensor4 q = heads(d, d.queries, d.q_stride), k = heads(d, d.keys, d.k_stride),
                  v = heads(d, d.keys, d.v_stride), o = heads(d, d.queries, d.o_stride);
    const Tensor4 lse = {{d.batch, d.heads, d.queries, 1}, {d.heads * d.queries, d.queries, 1, 1}};
    const Tensor4 one = {{1, 1, 1, 1}, {1, 1, 1, 1}};
    if (work_.operation == Operation::attention_forward) {
      Descriptor op(CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
      op.set(CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, tensor(kInput, q, f32))
          .set(CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, tensor(kInput + 1, k, f32))
          .set(CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, tensor(kInput + 2, v, f32))
          .set(CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, tensor(kResult, o, f32))
          .set(CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, tensor(kScale, one, true));
      if (work_.statistics)
        op.set(CUDNN_ATTR_OPERATION_SDPA_FWD_STATSDESC, tensor(kResult + 1, lse, true));
      operations.push_back(op.finalize());
    } else {
      Descriptor op(CUDNN_BACKEND_OPERATION_SDPA_BWD_DESCRIPTOR);
      op.set(CUDNN_ATTR_OPERATION_SDPA_BWD_QDESC, tensor(kInput, q, f32))
          .set(CUDNN_ATTR_OPERATION_SDPA_BWD_KDESC, tensor(kInput + 1, k, f32))
          .set(CUDNN_ATTR_OPERATION_SDPA_BWD_VDESC, tensor(kInput + 2, v, f32))
          .set(CUDNN_ATTR_OPERATION_SDPA_BWD_ODESC, tensor(kInput + 3, o, f32))
          .set(CUDNN_ATTR_OPERATION_SDPA_BWD_STATSDESC, tensor(kInput + 4, lse, true))
          .set(CUDNN_ATTR_OPERATION_SDPA_BWD_DODDESC, tensor(kInput + 5, o, f32))
          .set(CUDNN_ATTR_OPERATION_SDPA_BWD_SCALEDESC, tensor(kScale, one, true))
          .set(CUDNN_ATTR_OPERATION_SDPA_BWD_DQDESC, tensor(kResult, q, f32))
          .set(CUDNN_ATTR_OPERATION_SDPA_BWD_DKDESC, tensor(kResult + 1, k, f32))
          .set(CUDNN_ATTR_OPERATION_SDPA_BWD_DVDESC, tensor(kResult + 2, v, f32));
      operations.push_back(op.finalize());
    }
#endif
  }

  const Work work_;
};

class GraphPlan final : public Plan {
 public:
  GraphPlan(cudnnHandle_t handle, const Work& work, std::shared_ptr<const Graph> graph,
            const Descriptor& plan, int64_t workspace)
      : handle_(handle),
        copied_(work.added == Addend::in_place ? work.results()[0].bytes() : 0),
        graph_(std::move(graph)),
        plan_(plan),
        workspace_(workspace) {}

  void run(const Operands& operands) override {
    Scratch scratch;
    Operands o = operands;
    if (copied_ > 0) {  // nothing says that a graph may read the tensor that it writes
      void* const copy = scratch.take_bytes(std::size_t(copied_));
      copy_on_device(copy, o.out[0], std::size_t(copied_));
      o.in[Operands::kAdded] = copy;
    }
    std::vector<void*> pointers;
    for (const int64_t id : graph_->tensors) pointers.push_back(pointer(o, id));
    Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, graph_->tensors)
        .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, pointers)
        .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, workspace(std::size_t(workspace_)))
        .finalize();
    ask(api().set_stream(handle_, stream()));
    ask(api().execute(handle_, plan_.raw(), pack.raw()));
  }

 private:
  void* pointer(const Operands& o, int64_t id) const {
    if (id == kScale) return const_cast<float*>(&graph_->scale);
    if (id >= kResult) return o.out[std::size_t(id - kResult)];
    return const_cast<void*>(o.in[std::size_t(id - kInput)]);
  }

  cudnnHandle_t handle_;
  int64_t copied_;
  std::shared_ptr<const Graph> graph_;
  Descriptor plan_;
  int64_t workspace_;
};

/// Whether the engine gives the same result every time, in the precision that was asked for.
bool suits(const Descriptor& config, const Work& work) {
  const auto engine = config.get(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1);
  for (const auto note : engine.at(0).get<cudnnBackendNumericalNote_t>(
           CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT)) {
    if (note == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) return false;
    const bool rounds = note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE ||
                        note == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
    if (rounds && !work.bf16 && !work.tf32) return false;
  }
  return true;
}

class Cudnn final : public Provider {
 public:
  Cudnn() { ask(api().create(&handle_)); }
  ~Cudnn() override { (void)api().destroy(handle_); }
  Cudnn(const Cudnn&) = delete;
  Cudnn& operator=(const Cudnn&) = delete;

  std::string name() const override { return "cuDNN"; }
  std::string version() const override { return version_text(api().get_version()); }

  std::vector<std::unique_ptr<Plan>> plans(const Work& work) override {
    std::vector<std::unique_ptr<Plan>> all;
    if (std::holds_alternative<MatmulDims>(work.dims)) return all;
    try {
      const auto graph = std::make_shared<const Graph>(work);
      if (graph->operations.empty()) return all;
      for (const Descriptor& config : guesses(graph->operations))
        if (all.size() < kMostPlans) add_plan(all, work, graph, config);
    } catch (const cudnn::Failure&) {
      // A graph that it has no engine for is no fault.
    }
    return all;
  }

 private:
  std::vector<Descriptor> guesses(const std::vector<Descriptor>& operations) const {
    Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle_)
        .set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operations)
        .finalize();
    Descriptor guesser(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    guesser.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)
        .set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_HEUR_MODE_A)
        .finalize();
    constexpr int64_t kLookedAt = 12;
    return guesser.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
                       kLookedAt);
  }

  /// Nothing where the engine does not suit, or does not support the graph after all.
  void add_plan(std::vector<std::unique_ptr<Plan>>& all, const Work& work,
                const std::shared_ptr<const Graph>& graph, const Descriptor& config) const {
    try {
      if (!suits(config, work)) return;
      Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, handle_)
          .set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config)
          .finalize();
      const int64_t workspace =
          plan.get<int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, 1).at(0);
      if (workspace <= kWorkspace)
        all.push_back(std::make_unique<GraphPlan>(handle_, work, graph, plan, workspace));
    } catch (const cudnn::Failure&) {
    }
  }

  cudnnHandle_t handle_ = nullptr;
};

}  // namespace

std::unique_ptr<Provider> open_cudnn() {
  if (!api().library.complete()) return nullptr;
  return std::make_unique<Cudnn>();
}

}  // namespace noisette::cuda::providers

#else

namespace noisette::cuda::providers {
std::unique_ptr<Provider> open_cudnn() { return nullptr; }
}  // namespace noisette::cuda::providers

#endif
