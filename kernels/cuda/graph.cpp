#include "kernels/cuda/graph.h"

#include <vector>

#include "kernels/cuda/stream.h"

namespace noisette::cuda {
namespace {

thread_local bool thread_records = false;

}  // namespace

struct Graph::State {
  cudaGraphExec_t ready = nullptr;
};

bool recording() { return thread_records; }

Graph::Graph() : state_(std::make_unique<State>()) {}
Graph::~Graph() {
  if (state_->ready != nullptr) (void)cudaGraphExecDestroy(state_->ready);
}

void Graph::begin() {
  if (waits_for_kernels()) throw std::runtime_error("NOISETTE_SYNC=1 waits for every kernel");
  // Relaxed: memory may be reserved meanwhile, and other threads go on.
  check(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeRelaxed), "graph");
  thread_records = true;
}

void Graph::end() {
  thread_records = false;
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(stream(), &graph), "graph");
  std::size_t count = 0;
  cudaError_t status = cudaGraphGetNodes(graph, nullptr, &count);
  std::vector<cudaGraphNode_t> nodes(count);
  if (status == cudaSuccess && count > 0) status = cudaGraphGetNodes(graph, nodes.data(), &count);
  for (const cudaGraphNode_t node : nodes) {
    cudaGraphNodeType type = cudaGraphNodeTypeEmpty;
    if (status == cudaSuccess) status = cudaGraphNodeGetType(node, &type);
    kernels_ += type == cudaGraphNodeTypeKernel;
    copies_ += type == cudaGraphNodeTypeMemcpy;
  }
  if (status == cudaSuccess) status = cudaGraphInstantiate(&state_->ready, graph, 0);
  (void)cudaGraphDestroy(graph);
  check(status, "graph");
}

void Graph::abandon() {
  thread_records = false;
  cudaGraph_t graph = nullptr;
  (void)cudaStreamEndCapture(stream(), &graph);
  if (graph != nullptr) (void)cudaGraphDestroy(graph);
  (void)cudaGetLastError();  // what made the recording fail has been said
}

void Graph::replay() const { check(cudaGraphLaunch(state_->ready, stream()), "graph"); }

}  // namespace noisette::cuda
