// Stream capture: what becomes part of a graph, and what a capture forbids.
#include <gtest/gtest.h>

#include <thread>

#include "simulator/tests/fake_engine.h"

namespace {

using fake::Fixture;

class Capturing : public testing::Test {
 protected:
  void SetUp() override {
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
    cudaStreamCreate(&blocking);
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    cudaEventCreateWithFlags(&back, cudaEventDisableTiming);
    cudaMalloc(reinterpret_cast<void**>(&p), 8);
    cudaMemset(p, 0, 8);
    cudaDeviceSynchronize();
  }
  void TearDown() override {
    for (auto s : {a, b, blocking}) cudaStreamDestroy(s);
    for (auto e : {event, back}) cudaEventDestroy(e);
    if (graph) cudaGraphDestroy(graph);
    EXPECT_EQ(cudaFree(p), cudaSuccess);
    cudaGetLastError();
  }
  void begin(cudaStream_t s, cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal) {
    ASSERT_EQ(cudaStreamBeginCapture(s, mode), cudaSuccess);
  }
  cudaStreamCaptureStatus status(cudaStream_t s) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    EXPECT_EQ(cudaStreamIsCapturing(s, &status), cudaSuccess);
    return status;
  }
  size_t nodes() {
    size_t count = 0;
    EXPECT_EQ(cudaGraphGetNodes(graph, nullptr, &count), cudaSuccess);
    return count;
  }
  size_t edges() {
    size_t count = 0;
    EXPECT_EQ(cudaGraphGetEdges(graph, nullptr, nullptr, nullptr, &count), cudaSuccess);
    return count;
  }
  /// The call is refused, and the capture in `a` is lost.
  void expect_spoiled(cudaError_t got, cudaError_t expected) {
    EXPECT_EQ(got, expected) << cudaGetErrorName(got);
    EXPECT_EQ(status(a), cudaStreamCaptureStatusInvalidated);
    EXPECT_EQ(program.launch(&Fixture::add, p, 1, a), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
    EXPECT_EQ(status(a), cudaStreamCaptureStatusNone);
  }
  Fixture program;
  cudaStream_t a = nullptr, b = nullptr, blocking = nullptr;
  cudaEvent_t event = nullptr, back = nullptr;
  cudaGraph_t graph = nullptr;
  int* p = nullptr;
};

TEST_F(Capturing, NothingRunsAndTheOrderIsKept) {
  begin(a);
  EXPECT_EQ(status(a), cudaStreamCaptureStatusActive);
  EXPECT_EQ(status(b), cudaStreamCaptureStatusNone);
  program.launch(&Fixture::set, p, 5, a);
  cudaMemsetAsync(p + 1, 0, 4, a);
  cudaMemcpyAsync(p + 1, p, 4, cudaMemcpyDeviceToDevice, a);
  ASSERT_EQ(cudaStreamEndCapture(a, &graph), cudaSuccess);
  EXPECT_EQ(nodes(), 3u);
  EXPECT_EQ(edges(), 2u);
  cudaDeviceSynchronize();
  int out[2] = {-1, -1};
  cudaMemcpy(out, p, 8, cudaMemcpyDeviceToHost);
  EXPECT_EQ(out[0], 0);

  cudaGraphExec_t exec = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(exec, b), cudaSuccess);
  EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);  // what was launched still runs
  cudaStreamSynchronize(b);
  cudaMemcpy(out, p, 8, cudaMemcpyDeviceToHost);
  EXPECT_EQ(out[0], 5);
  EXPECT_EQ(out[1], 5);
}

TEST_F(Capturing, ForkAndJoinByEvents) {
  begin(a);
  program.launch(&Fixture::add, p, 1, a);
  cudaEventRecord(event, a);
  EXPECT_EQ(cudaStreamWaitEvent(b, event, 0), cudaSuccess);
  EXPECT_EQ(status(b), cudaStreamCaptureStatusActive);
  program.launch(&Fixture::add, p + 1, 1, b);
  program.launch(&Fixture::add, p, 1, a);
  cudaEventRecord(back, b);
  cudaStreamWaitEvent(a, back, 0);
  program.launch(&Fixture::add, p, 1, a);
  ASSERT_EQ(cudaStreamEndCapture(a, &graph), cudaSuccess);
  EXPECT_EQ(nodes(), 4u);
  EXPECT_EQ(edges(), 4u);
  EXPECT_EQ(status(b), cudaStreamCaptureStatusNone);
  size_t roots = 0;
  cudaGraphGetRootNodes(graph, nullptr, &roots);
  EXPECT_EQ(roots, 1u);
}

TEST_F(Capturing, UnjoinedWork) {
  begin(a);
  cudaEventRecord(event, a);
  cudaStreamWaitEvent(b, event, 0);
  program.launch(&Fixture::add, p, 1, b);
  EXPECT_EQ(cudaStreamEndCapture(b, &graph), cudaErrorStreamCaptureUnmatched);
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorStreamCaptureUnjoined);
  EXPECT_EQ(graph, nullptr);
  EXPECT_EQ(status(b), cudaStreamCaptureStatusNone);
}

TEST_F(Capturing, SynchronisingIsForbidden) {
  begin(a);
  expect_spoiled(cudaStreamSynchronize(a), cudaErrorStreamCaptureUnsupported);
  begin(a);
  expect_spoiled(cudaStreamQuery(a), cudaErrorStreamCaptureUnsupported);
  begin(a);
  expect_spoiled(cudaDeviceSynchronize(), cudaErrorStreamCaptureUnsupported);
  begin(a, cudaStreamCaptureModeRelaxed);
  expect_spoiled(cudaDeviceSynchronize(), cudaErrorStreamCaptureUnsupported);
  begin(a);
  cudaEventRecord(event, a);
  expect_spoiled(cudaEventQuery(event), cudaErrorCapturedEvent);
}

TEST_F(Capturing, UnsafeCallsAreForbiddenUnlessRelaxed) {
  void* q = nullptr;
  begin(a);
  expect_spoiled(cudaMalloc(&q, 8), cudaErrorStreamCaptureUnsupported);
  begin(a);
  expect_spoiled(cudaMemcpy(p, p + 1, 4, cudaMemcpyDeviceToDevice),
                 cudaErrorStreamCaptureUnsupported);
  begin(a);
  expect_spoiled(cudaFree(p), cudaErrorStreamCaptureUnsupported);
  begin(a, cudaStreamCaptureModeThreadLocal);
  expect_spoiled(cudaMalloc(&q, 8), cudaErrorStreamCaptureUnsupported);
  begin(a, cudaStreamCaptureModeRelaxed);
  EXPECT_EQ(cudaMalloc(&q, 8), cudaSuccess);
  EXPECT_EQ(cudaFree(q), cudaSuccess);
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaSuccess);
}

TEST_F(Capturing, OtherThreads) {
  auto elsewhere = [](auto body) { std::thread(body).join(); };
  void* q = nullptr;
  begin(a, cudaStreamCaptureModeThreadLocal);
  elsewhere([&] {
    EXPECT_EQ(cudaMalloc(&q, 8), cudaSuccess);
    cudaFree(q);
    cudaGraph_t g = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(a, &g), cudaErrorStreamCaptureWrongThread);
  });
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaSuccess);
  cudaGraphDestroy(graph);
  graph = nullptr;
  begin(a);
  elsewhere([&] {
    cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
    EXPECT_EQ(cudaThreadExchangeStreamCaptureMode(&mode), cudaSuccess);
    EXPECT_EQ(mode, cudaStreamCaptureModeGlobal);
    EXPECT_EQ(cudaMalloc(&q, 8), cudaSuccess);
    cudaFree(q);
  });
  EXPECT_EQ(status(a), cudaStreamCaptureStatusActive);
  cudaError_t got = cudaSuccess;
  elsewhere([&] { got = cudaMalloc(&q, 8); });
  expect_spoiled(got, cudaErrorStreamCaptureUnsupported);
}

TEST_F(Capturing, LegacyStream) {
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal),
            cudaErrorStreamCaptureUnsupported);
  begin(a);  // a non-blocking stream: the legacy one has nothing to wait for
  EXPECT_EQ(program.launch(&Fixture::add, p, 1), cudaSuccess);
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaSuccess);
  begin(blocking);
  EXPECT_EQ(program.launch(&Fixture::add, p, 1), cudaErrorStreamCaptureImplicit);
  EXPECT_EQ(status(blocking), cudaStreamCaptureStatusInvalidated);
  cudaGraph_t none = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(blocking, &none), cudaErrorStreamCaptureInvalidated);
}

TEST_F(Capturing, EventsAcrossTheBorder) {
  cudaEventRecord(event, b);
  begin(a);
  expect_spoiled(cudaStreamWaitEvent(a, event, 0), cudaErrorStreamCaptureIsolation);
  begin(a);
  begin(b);
  cudaEventRecord(event, b);
  EXPECT_EQ(cudaStreamWaitEvent(a, event, 0), cudaErrorStreamCaptureMerge);
  EXPECT_EQ(status(b), cudaStreamCaptureStatusInvalidated);
  EXPECT_EQ(cudaStreamEndCapture(b, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(cudaStreamWaitEvent(a, event, 0), cudaErrorCapturedEvent);
}

TEST_F(Capturing, BeginAndEndMustMatch) {
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorIllegalState);
  begin(a);
  EXPECT_EQ(cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal), cudaErrorIllegalState);
  EXPECT_EQ(cudaStreamBeginCapture(b, cudaStreamCaptureMode(3)), cudaErrorInvalidValue);
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaSuccess);
  EXPECT_EQ(nodes(), 0u);
}

TEST_F(Capturing, InfoAndDependencies) {
  begin(a);
  program.launch(&Fixture::add, p, 1, a);
  cudaStreamCaptureStatus s;
  unsigned long long id = 0;
  cudaGraph_t g = nullptr;
  const cudaGraphNode_t* tail = nullptr;
  size_t count = 0;
  ASSERT_EQ(cudaStreamGetCaptureInfo(a, &s, &id, &g, &tail, nullptr, &count), cudaSuccess);
  EXPECT_EQ(s, cudaStreamCaptureStatusActive);
  EXPECT_NE(id, 0u);
  ASSERT_EQ(count, 1u);
  cudaGraphNode_t mine = nullptr;
  EXPECT_EQ(cudaGraphAddEmptyNode(&mine, g, tail, 1), cudaSuccess);
  EXPECT_EQ(
      cudaStreamUpdateCaptureDependencies(a, &mine, nullptr, 1, cudaStreamSetCaptureDependencies),
      cudaSuccess);
  program.launch(&Fixture::add, p, 1, a);
  ASSERT_EQ(cudaStreamEndCapture(a, &graph), cudaSuccess);
  EXPECT_EQ(graph, g);
  EXPECT_EQ(nodes(), 3u);
  EXPECT_EQ(edges(), 2u);
}

TEST_F(Capturing, IntoAGraphThatIsThere) {
  cudaGraphCreate(&graph, 0);
  cudaGraphNode_t first = nullptr;
  cudaGraphAddEmptyNode(&first, graph, nullptr, 0);
  ASSERT_EQ(
      cudaStreamBeginCaptureToGraph(a, graph, &first, nullptr, 1, cudaStreamCaptureModeGlobal),
      cudaSuccess);
  program.launch(&Fixture::add, p, 1, a);
  cudaGraph_t same = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(a, &same), cudaSuccess);
  EXPECT_EQ(same, graph);
  EXPECT_EQ(nodes(), 2u);
  EXPECT_EQ(edges(), 1u);
}

TEST_F(Capturing, AllocationsOfTheGraph) {
  begin(a);
  int* q = nullptr;
  ASSERT_EQ(cudaMallocAsync(reinterpret_cast<void**>(&q), 4, a), cudaSuccess);
  program.launch(&Fixture::set, q, 9, a);
  cudaMemcpyAsync(p, q, 4, cudaMemcpyDeviceToDevice, a);
  EXPECT_EQ(cudaFreeAsync(q, a), cudaSuccess);
  ASSERT_EQ(cudaStreamEndCapture(a, &graph), cudaSuccess);
  cudaGraphExec_t exec = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
  for (int i = 0; i < 2; i++) {
    cudaMemsetAsync(p, 0, 4, a);
    cudaGraphLaunch(exec, a);
    cudaStreamSynchronize(a);
    int out = 0;
    cudaMemcpy(&out, p, 4, cudaMemcpyDeviceToHost);
    EXPECT_EQ(out, 9);
  }
  cudaGraphLaunch(exec, a);
  cudaGraphExecDestroy(exec);
}

}  // namespace
