// Graphs made by hand: nodes, edges, launches, updates.
#include <gtest/gtest.h>

#include <vector>

#include "simulator/tests/fake_engine.h"

namespace {

using fake::Fixture;

class Graphs : public testing::Test {
 protected:
  void SetUp() override {
    cudaGraphCreate(&graph, 0);
    cudaMalloc(reinterpret_cast<void**>(&p), 64);
    cudaMemset(p, 0, 64);
    set_params(1);
  }
  void TearDown() override {
    if (exec) cudaGraphExecDestroy(exec);
    cudaGraphDestroy(graph);
    cudaFree(p);
    cudaGetLastError();
  }
  void set_params(int value) {
    n = value;
    params = {};
    params.func = reinterpret_cast<void*>(&Fixture::add);
    params.gridDim = 1;
    params.blockDim = 32;
    params.kernelParams = args;
  }
  cudaGraphNode_t add_kernel(std::vector<cudaGraphNode_t> after = {}) {
    cudaGraphNode_t node = nullptr;
    EXPECT_EQ(cudaGraphAddKernelNode(&node, graph, after.data(), after.size(), &params),
              cudaSuccess);
    return node;
  }
  int run() {
    if (!exec) {
      EXPECT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    }
    EXPECT_EQ(cudaGraphLaunch(exec, nullptr), cudaSuccess);
    int out = -1;
    cudaMemcpy(&out, p, 4, cudaMemcpyDeviceToHost);
    return out;
  }
  Fixture program;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  int* p = nullptr;
  int n = 1;
  void* args[2] = {&p, &n};
  cudaKernelNodeParams params = {};
};

TEST_F(Graphs, KernelsRunInOrderAndAgain) {
  const auto first = add_kernel();
  set_params(10);
  add_kernel({first});
  EXPECT_EQ(run(), 11);
  EXPECT_EQ(run(), 22);
}

TEST_F(Graphs, NodesOfEachKind) {
  static int called = 0;
  called = 0;
  cudaMemsetParams fill = {};
  fill.dst = p;
  fill.value = 0x0102;
  fill.elementSize = 2;
  fill.width = 2;
  fill.height = 1;
  cudaHostNodeParams host = {[](void*) { called++; }, nullptr};
  cudaGraphNode_t set = nullptr, copy = nullptr, call = nullptr, empty = nullptr;
  ASSERT_EQ(cudaGraphAddMemsetNode(&set, graph, nullptr, 0, &fill), cudaSuccess);
  ASSERT_EQ(cudaGraphAddMemcpyNode1D(&copy, graph, &set, 1, p + 1, p, 4, cudaMemcpyDeviceToDevice),
            cudaSuccess);
  ASSERT_EQ(cudaGraphAddHostNode(&call, graph, &copy, 1, &host), cudaSuccess);
  ASSERT_EQ(cudaGraphAddEmptyNode(&empty, graph, &call, 1), cudaSuccess);
  cudaGraphNodeType types[4];
  for (int i = 0; auto node : {set, copy, call, empty}) cudaGraphNodeGetType(node, &types[i++]);
  EXPECT_EQ(types[0], cudaGraphNodeTypeMemset);
  EXPECT_EQ(types[1], cudaGraphNodeTypeMemcpy);
  EXPECT_EQ(types[2], cudaGraphNodeTypeHost);
  EXPECT_EQ(types[3], cudaGraphNodeTypeEmpty);
  EXPECT_EQ(run(), 0x01020102);
  EXPECT_EQ(called, 1);
  cudaMemsetParams got = {};
  EXPECT_EQ(cudaGraphMemsetNodeGetParams(set, &got), cudaSuccess);
  EXPECT_EQ(got.width, 2u);
  EXPECT_EQ(cudaGraphMemsetNodeGetParams(copy, &got), cudaErrorInvalidValue);
}

TEST_F(Graphs, ReadingBack) {
  const auto a = add_kernel(), b = add_kernel({a}), c = add_kernel({a, b});
  size_t count = 2;
  cudaGraphNode_t out[5] = {};
  EXPECT_EQ(cudaGraphGetNodes(graph, out, &count), cudaSuccess);
  EXPECT_EQ(count, 2u);
  EXPECT_EQ(out[1], b);
  EXPECT_EQ(out[2], nullptr);
  count = 5;
  EXPECT_EQ(cudaGraphNodeGetDependencies(c, out, nullptr, &count), cudaSuccess);
  EXPECT_EQ(count, 2u);
  count = 5;
  EXPECT_EQ(cudaGraphNodeGetDependentNodes(a, out, nullptr, &count), cudaSuccess);
  EXPECT_EQ(count, 2u);
  cudaKernelNodeParams got = {};
  EXPECT_EQ(cudaGraphKernelNodeGetParams(c, &got), cudaSuccess);
  EXPECT_EQ(got.func, params.func);
  EXPECT_EQ(*static_cast<int*>(got.kernelParams[1]), 1);
}

TEST_F(Graphs, EdgesAreChecked) {
  const auto a = add_kernel(), b = add_kernel({a});
  EXPECT_EQ(cudaGraphAddDependencies(graph, &a, &b, nullptr, 1),
            cudaErrorInvalidValue);  // there is one
  EXPECT_EQ(cudaGraphRemoveDependencies(graph, &a, &b, nullptr, 1), cudaSuccess);
  EXPECT_EQ(cudaGraphRemoveDependencies(graph, &a, &b, nullptr, 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGraphAddDependencies(graph, &a, &b, nullptr, 1), cudaSuccess);
  EXPECT_EQ(cudaGraphAddDependencies(graph, &b, &a, nullptr, 1), cudaSuccess);
  EXPECT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaErrorInvalidValue);  // a cycle
  EXPECT_EQ(cudaGraphDestroyNode(b), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroyNode(b), cudaErrorInvalidValue);
  EXPECT_EQ(run(), 1);
}

TEST_F(Graphs, LaunchesOfANodeAreChecked) {
  cudaGraphNode_t node = nullptr;
  params.blockDim = 2048;
  EXPECT_EQ(cudaGraphAddKernelNode(&node, graph, nullptr, 0, &params),
            cudaErrorInvalidConfiguration);
}

TEST_F(Graphs, ExecIsApartFromTheGraph) {
  const auto a = add_kernel();
  EXPECT_EQ(run(), 1);
  set_params(100);
  EXPECT_EQ(cudaGraphKernelNodeSetParams(a, &params), cudaSuccess);
  EXPECT_EQ(run(), 2);
  EXPECT_EQ(cudaGraphExecKernelNodeSetParams(exec, a, &params), cudaSuccess);
  EXPECT_EQ(run(), 102);
  EXPECT_EQ(cudaGraphNodeSetEnabled(exec, a, 0), cudaSuccess);
  EXPECT_EQ(run(), 102);
}

TEST_F(Graphs, Update) {
  const auto a = add_kernel();
  EXPECT_EQ(run(), 1);
  set_params(50);
  cudaGraphKernelNodeSetParams(a, &params);
  cudaGraphExecUpdateResultInfo info;
  EXPECT_EQ(cudaGraphExecUpdate(exec, graph, &info), cudaSuccess);
  EXPECT_EQ(info.result, cudaGraphExecUpdateSuccess);
  EXPECT_EQ(run(), 51);
  const auto b = add_kernel({a});
  EXPECT_EQ(cudaGraphExecUpdate(exec, graph, &info), cudaErrorGraphExecUpdateFailure);
  EXPECT_EQ(info.result, cudaGraphExecUpdateErrorTopologyChanged);
  cudaGraphDestroyNode(b);
  cudaGraphDestroyNode(a);
  cudaGraphNode_t empty = nullptr;
  cudaGraphAddEmptyNode(&empty, graph, nullptr, 0);
  EXPECT_EQ(cudaGraphExecUpdate(exec, graph, &info), cudaErrorGraphExecUpdateFailure);
  EXPECT_EQ(info.result, cudaGraphExecUpdateErrorNodeTypeChanged);
  EXPECT_EQ(info.errorNode, empty);
  EXPECT_EQ(run(), 101);  // as before
}

TEST_F(Graphs, ChildrenAndClones) {
  const auto a = add_kernel();
  cudaGraph_t outer = nullptr, twin = nullptr;
  cudaGraphCreate(&outer, 0);
  cudaGraphNode_t child = nullptr, second = nullptr, found = nullptr;
  ASSERT_EQ(cudaGraphAddChildGraphNode(&child, outer, nullptr, 0, graph), cudaSuccess);
  ASSERT_EQ(cudaGraphAddChildGraphNode(&second, outer, &child, 1, graph), cudaSuccess);
  EXPECT_EQ(cudaGraphInstantiate(&exec, outer, 0), cudaSuccess);
  EXPECT_EQ(run(), 2);
  EXPECT_EQ(cudaGraphClone(&twin, graph), cudaSuccess);
  EXPECT_EQ(cudaGraphNodeFindInClone(&found, a, twin), cudaSuccess);
  EXPECT_NE(found, a);
  cudaGraphDestroy(outer);
  cudaGraphDestroy(twin);
  EXPECT_EQ(cudaGraphDestroy(twin), cudaErrorInvalidValue);
}

TEST_F(Graphs, EventNodes) {
  cudaEvent_t event = nullptr;
  cudaEventCreate(&event);
  const auto a = add_kernel();
  cudaGraphNode_t record = nullptr;
  ASSERT_EQ(cudaGraphAddEventRecordNode(&record, graph, &a, 1, event), cudaSuccess);
  ASSERT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
  cudaGraphLaunch(exec, nullptr);
  EXPECT_EQ(cudaEventSynchronize(event), cudaSuccess);
  int out = 0;
  cudaMemcpy(&out, p, 4, cudaMemcpyDeviceToHost);
  EXPECT_EQ(out, 1);
  cudaEventDestroy(event);
}

}  // namespace
