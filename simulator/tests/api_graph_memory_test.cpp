// Memory and objects that graphs hold, nodes of any kind, child graphs.
#include <gtest/gtest.h>

#include "simulator/report/fault.h"
#include "simulator/tests/fake_engine.h"

namespace {

using fake::Fixture;
using testing::ExitedWithCode;

class GraphMemory : public testing::Test {
 protected:
  void SetUp() override {
    cudaGraphCreate(&graph, 0);
    cudaStreamCreate(&stream);
    cudaMalloc(reinterpret_cast<void**>(&p), 4);
    cudaMemset(p, 0, 4);
    alloc.poolProps.allocType = cudaMemAllocationTypePinned;
    alloc.poolProps.location = {cudaMemLocationTypeDevice, 0};
    alloc.bytesize = 64;
  }
  void TearDown() override {
    cudaDeviceSynchronize();
    if (exec) cudaGraphExecDestroy(exec);
    if (graph) cudaGraphDestroy(graph);
    cudaStreamDestroy(stream);
    cudaFree(p);
    cudaGetLastError();
  }
  cudaGraphNode_t add_alloc() {
    cudaGraphNode_t node = nullptr;
    EXPECT_EQ(cudaGraphAddMemAllocNode(&node, graph, nullptr, 0, &alloc), cudaSuccess);
    return node;
  }
  cudaGraphNode_t add_set(int* to, int value, cudaGraphNode_t after) {
    void* args[] = {&to, &value};
    cudaGraphNodeParams params = {};
    params.type = cudaGraphNodeTypeKernel;
    params.kernel.func = reinterpret_cast<void*>(&Fixture::set);
    params.kernel.gridDim = 1;
    params.kernel.blockDim = 32;
    params.kernel.kernelParams = args;
    cudaGraphNode_t node = nullptr;
    EXPECT_EQ(cudaGraphAddNode(&node, graph, &after, nullptr, after != nullptr, &params),
              cudaSuccess);
    return node;
  }
  int value(int* from) {
    int out = -1;
    cudaMemcpy(&out, from, 4, cudaMemcpyDeviceToHost);
    return out;
  }
  uint64_t used() {
    uint64_t bytes = 0;
    cudaDeviceGetGraphMemAttribute(0, cudaGraphMemAttrUsedMemCurrent, &bytes);
    return bytes;
  }
  int* memory() const { return static_cast<int*>(alloc.dptr); }
  Fixture program;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  cudaStream_t stream = nullptr;
  int* p = nullptr;
  cudaMemAllocNodeParams alloc = {};
};

TEST_F(GraphMemory, AllocatedAndFreedInTheGraph) {
  auto last = add_set((add_alloc(), memory()), 3, nullptr);
  size_t count = 0;
  cudaGraphGetNodes(graph, nullptr, &count);
  ASSERT_EQ(count, 2u);
  cudaGraphNode_t nodes[2], gone = nullptr;
  cudaGraphGetNodes(graph, nodes, &count);
  ASSERT_EQ(cudaGraphAddDependencies(graph, &nodes[0], &nodes[1], nullptr, 1), cudaSuccess);
  EXPECT_EQ(cudaGraphAddMemFreeNode(&gone, graph, &last, 1, memory()), cudaSuccess);
  EXPECT_EQ(cudaGraphAddMemFreeNode(&gone, graph, &last, 1, memory()), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGraphAddMemFreeNode(&gone, graph, &last, 1, p), cudaErrorInvalidValue);
  cudaMemAllocNodeParams read = {};
  EXPECT_EQ(cudaGraphMemAllocNodeGetParams(nodes[0], &read), cudaSuccess);
  EXPECT_EQ(read.dptr, alloc.dptr);
  EXPECT_EQ(read.bytesize, 64u);
  EXPECT_EQ(used(), 64u);
  ASSERT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
  for (int i = 0; i < 2; i++) EXPECT_EQ(cudaGraphLaunch(exec, stream), cudaSuccess);
  cudaGraphExecDestroy(exec);
  cudaGraphDestroy(graph);
  exec = nullptr, graph = nullptr;
  cudaDeviceSynchronize();
  EXPECT_EQ(used(), 0u);
}

TEST_F(GraphMemory, LeftAllocated) {
  const auto node = add_alloc();
  add_set(memory(), 7, node);
  ASSERT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
  ASSERT_EQ(cudaGraphLaunch(exec, stream), cudaSuccess);
  EXPECT_EQ(value(memory()), 7);
  EXPECT_EQ(cudaGraphLaunch(exec, stream), cudaErrorInvalidValue);  // not freed yet
  EXPECT_EQ(cudaFreeAsync(memory(), stream), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(exec, stream), cudaSuccess);
  EXPECT_EQ(value(memory()), 7);
  EXPECT_EQ(cudaFree(memory()), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(exec, stream), cudaSuccess);
  cudaDeviceSynchronize();
  cudaGraphExecDestroy(exec);
  ASSERT_EQ(cudaFree(memory()), cudaSuccess);
  ASSERT_EQ(cudaGraphInstantiate(&exec, graph, cudaGraphInstantiateFlagAutoFreeOnLaunch),
            cudaSuccess);
  for (int i = 0; i < 2; i++) EXPECT_EQ(cudaGraphLaunch(exec, stream), cudaSuccess);
}

TEST_F(GraphMemory, UseAfterTheFree) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto late = [&] {
    const auto node = add_alloc();
    const auto last = add_set(memory(), 7, node);
    cudaGraphNode_t gone = nullptr;
    cudaGraphAddMemFreeNode(&gone, graph, &last, 1, memory());
    cudaGraphInstantiate(&exec, graph, 0);
    cudaGraphLaunch(exec, stream);
    cudaStreamSynchronize(stream);
    value(memory());
  };
  const auto twice = [&] {
    add_set(memory(), 7, add_alloc());
    cudaGraphInstantiate(&exec, graph, 0);
    cudaGraphLaunch(exec, stream);
    cudaFreeAsync(memory(), stream);
    cudaFreeAsync(memory(), stream);
    cudaStreamSynchronize(stream);
  };
  EXPECT_EXIT(late(), ExitedWithCode(sim::kFaultExit), "sim: use after free");
  EXPECT_EXIT(twice(), ExitedWithCode(sim::kFaultExit), "sim: double free");
}

TEST_F(GraphMemory, CapturedFreesAreOfTheGraph) {
  int* q = nullptr;
  cudaMallocAsync(reinterpret_cast<void**>(&q), 4, stream);
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed);
  EXPECT_EQ(cudaFreeAsync(q, stream), cudaErrorInvalidValue);
  cudaGraph_t captured = nullptr;
  cudaStreamEndCapture(stream, &captured);
  cudaGraphDestroy(captured);
  EXPECT_EQ(cudaFreeAsync(q, stream), cudaSuccess);
}

TEST_F(GraphMemory, ChildGraphsCanBeReadAndChanged) {
  cudaGraph_t child = nullptr, inside = nullptr;
  std::swap(graph, child);
  cudaGraphCreate(&graph, 0);
  std::swap(graph, child);
  const auto set = add_set(p, 1, nullptr);
  (void)set;
  cudaGraphNodeParams params = {};
  params.type = cudaGraphNodeTypeGraph;
  params.graph.graph = graph;
  cudaGraphNode_t node = nullptr, first = nullptr;
  ASSERT_EQ(cudaGraphAddNode(&node, child, nullptr, nullptr, 0, &params), cudaSuccess);
  ASSERT_EQ(cudaGraphChildGraphNodeGetGraph(node, &inside), cudaSuccess);
  EXPECT_NE(inside, graph);
  size_t count = 1;
  EXPECT_EQ(cudaGraphGetNodes(inside, &first, &count), cudaSuccess);
  EXPECT_EQ(count, 1u);
  EXPECT_EQ(cudaGraphDestroy(inside), cudaErrorInvalidValue);
  ASSERT_EQ(cudaGraphInstantiate(&exec, child, 0), cudaSuccess);
  cudaGraphLaunch(exec, stream);
  EXPECT_EQ(value(p), 1);
  // Another child of the same shape takes its place; one of another shape does not.
  cudaGraph_t other = nullptr;
  cudaGraphCreate(&other, 0);
  EXPECT_EQ(cudaGraphExecChildGraphNodeSetParams(exec, node, other),
            cudaErrorGraphExecUpdateFailure);
  std::swap(graph, other);
  add_set(p, 2, nullptr);
  EXPECT_EQ(cudaGraphExecChildGraphNodeSetParams(exec, node, graph), cudaSuccess);
  cudaGraphLaunch(exec, stream);
  EXPECT_EQ(value(p), 2);
  cudaGraphDestroy(other);
  cudaGraphDestroy(child);
  EXPECT_EQ(cudaGraphGetNodes(inside, nullptr, &count), cudaErrorInvalidValue);
}

TEST_F(GraphMemory, NodesOfAnyKindAndVariables) {
  int host = 5, back = 0;
  cudaGraphNode_t to = nullptr, from = nullptr, empty = nullptr;
  ASSERT_EQ(cudaGraphAddMemcpyNodeToSymbol(&to, graph, nullptr, 0, &Fixture::number, &host, 4, 0,
                                           cudaMemcpyHostToDevice),
            cudaSuccess);
  ASSERT_EQ(cudaGraphAddMemcpyNodeFromSymbol(&from, graph, &to, 1, &back, &Fixture::number, 4, 0,
                                             cudaMemcpyDeviceToHost),
            cudaSuccess);
  EXPECT_EQ(cudaGraphAddMemcpyNodeToSymbol(&to, graph, nullptr, 0, &Fixture::number, &host, 4, 1,
                                           cudaMemcpyHostToDevice),
            cudaErrorInvalidValue);
  cudaGraphNodeParams params = {};
  params.type = cudaGraphNodeTypeEmpty;
  EXPECT_EQ(cudaGraphAddNode(&empty, graph, &from, nullptr, 1, &params), cudaSuccess);
  params.type = cudaGraphNodeTypeConditional;
  EXPECT_EQ(cudaGraphAddNode(&empty, graph, &from, nullptr, 1, &params), cudaErrorNotSupported);
  params.type = cudaGraphNodeTypeMemset;
  params.memset = {p, 4, 1, 1, 4, 1};
  EXPECT_EQ(cudaGraphNodeSetParams(to, &params), cudaErrorInvalidValue);  // another kind
  ASSERT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
  cudaGraphLaunch(exec, stream);
  cudaStreamSynchronize(stream);
  EXPECT_EQ(back, 5);
}

TEST_F(GraphMemory, UserObjects) {
  static int destroyed;
  destroyed = 0;
  cudaUserObject_t object = nullptr;
  const auto destroy = [](void* data) { ++*static_cast<int*>(data); };
  EXPECT_EQ(cudaUserObjectCreate(&object, &destroyed, destroy, 1, 0), cudaErrorInvalidValue);
  ASSERT_EQ(cudaUserObjectCreate(&object, &destroyed, destroy, 1, cudaUserObjectNoDestructorSync),
            cudaSuccess);
  EXPECT_EQ(cudaUserObjectRetain(object, 2), cudaSuccess);
  EXPECT_EQ(cudaUserObjectRelease(object, 2), cudaSuccess);
  EXPECT_EQ(cudaUserObjectRelease(object, 2), cudaErrorInvalidValue);
  ASSERT_EQ(cudaGraphRetainUserObject(graph, object, 1, cudaGraphUserObjectMove), cudaSuccess);
  EXPECT_EQ(cudaUserObjectRelease(object, 1), cudaErrorInvalidValue);
  cudaGraphInstantiate(&exec, graph, 0);
  cudaGraphDestroy(graph);
  graph = nullptr;
  cudaGraphLaunch(exec, stream);
  cudaGraphExecDestroy(exec);
  exec = nullptr;
  EXPECT_EQ(destroyed, 0);  // the launch has not run
  cudaStreamSynchronize(stream);
  EXPECT_EQ(destroyed, 1);
  EXPECT_EQ(cudaUserObjectRetain(object, 1), cudaErrorInvalidValue);
}

}  // namespace
