// Rules of single functions, as the comments of cuda_runtime_api.h state them.
#include <gtest/gtest.h>

#include <optional>

#include "simulator/tests/fake_engine.h"

namespace {

using fake::Fixture;

const void* address(void (*f)()) { return reinterpret_cast<const void*>(f); }

class ApiRules : public testing::Test {
 protected:
  void TearDown() override { cudaGetLastError(); }
  Fixture program;
};

TEST_F(ApiRules, LastErrorIsPeekedAtAndTaken) {
  EXPECT_EQ(cudaSetDevice(99), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaFree(nullptr), cudaSuccess);  // does not take it away
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST_F(ApiRules, PitchesOfCopiesHoldARow) {
  char from[8] = {}, to[8];
  EXPECT_EQ(cudaMemcpy2D(to, 8, from, 4, 8, 1, cudaMemcpyHostToHost), cudaErrorInvalidPitchValue);
  EXPECT_EQ(cudaMemcpy2D(to, 8, from, 8, 8, 1, cudaMemcpyHostToHost), cudaSuccess);
  EXPECT_EQ(cudaMemcpy2DAsync(to, 4, from, 8, 8, 1, cudaMemcpyHostToHost, nullptr),
            cudaErrorInvalidPitchValue);
}

TEST_F(ApiRules, SizesThatNoNumberHolds) {
  void* p = nullptr;
  size_t pitch = 0;
  EXPECT_EQ(cudaMallocPitch(&p, &pitch, size_t(1) << 40, size_t(1) << 40),
            cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMallocPitch(&p, &pitch, ~size_t(0), 1), cudaErrorMemoryAllocation);
  cudaPitchedPtr box;
  EXPECT_EQ(cudaMalloc3D(&box, {512, size_t(1) << 32, size_t(1) << 32}), cudaErrorMemoryAllocation);
}

TEST_F(ApiRules, DevicesAreInitialisedWithKnownFlags) {
  EXPECT_EQ(cudaInitDevice(0, 0, 0), cudaSuccess);
  EXPECT_EQ(cudaInitDevice(0, cudaDeviceScheduleYield, cudaInitDeviceFlagsAreValid), cudaSuccess);
  EXPECT_EQ(cudaInitDevice(0, 0, 0x80), cudaErrorInvalidValue);
  EXPECT_EQ(cudaInitDevice(0, 0x8000, cudaInitDeviceFlagsAreValid), cudaErrorInvalidValue);
  int devices[] = {0, 0};
  EXPECT_EQ(cudaSetValidDevices(devices, 2), cudaErrorInvalidValue);  // more than there are
}

TEST_F(ApiRules, ManagedMemoryIsAttachedAsAWhole) {
  void *managed = nullptr, *plain = nullptr;
  cudaMallocManaged(&managed, 4096);
  cudaMalloc(&plain, 4096);
  cudaStream_t s = nullptr;
  cudaStreamCreate(&s);
  EXPECT_EQ(cudaStreamAttachMemAsync(s, managed, 0, cudaMemAttachSingle), cudaSuccess);
  EXPECT_EQ(cudaStreamAttachMemAsync(s, managed, 4096, cudaMemAttachGlobal), cudaSuccess);
  EXPECT_EQ(cudaStreamAttachMemAsync(s, managed, 8, cudaMemAttachSingle), cudaErrorInvalidValue);
  EXPECT_EQ(cudaStreamAttachMemAsync(s, managed, 0, 3), cudaErrorInvalidValue);
  EXPECT_EQ(cudaStreamAttachMemAsync(nullptr, managed, 0, cudaMemAttachSingle),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaStreamAttachMemAsync(s, plain, 0, cudaMemAttachSingle), cudaErrorInvalidValue);
  cudaStreamDestroy(s);
  cudaFree(managed);
  cudaFree(plain);
}

TEST_F(ApiRules, RangesOfManagedMemoryTellWhatWasSaidOfThem) {
  void* memory = nullptr;
  cudaMallocManaged(&memory, 64 << 10);
  char* const p = static_cast<char*>(memory);
  const auto get = [&](cudaMemRangeAttribute which, size_t begin, size_t bytes) {
    int value = -99;
    EXPECT_EQ(cudaMemRangeGetAttribute(&value, 4, which, p + begin, bytes), cudaSuccess);
    return value;
  };
  constexpr size_t k = 4096;
  const cudaMemLocation device = {cudaMemLocationTypeDevice, 0},
                        host = {cudaMemLocationTypeHost, 0};
  EXPECT_EQ(get(cudaMemRangeAttributeReadMostly, 0, 4 * k), 0);
  EXPECT_EQ(get(cudaMemRangeAttributePreferredLocation, 0, 4 * k), cudaInvalidDeviceId);
  EXPECT_EQ(cudaMemAdvise(p + k, 2 * k, cudaMemAdviseSetReadMostly, device), cudaSuccess);
  EXPECT_EQ(cudaMemAdvise(p, 4 * k, cudaMemAdviseSetPreferredLocation, host), cudaSuccess);
  EXPECT_EQ(cudaMemAdvise(p, 2 * k, cudaMemAdviseSetAccessedBy, device), cudaSuccess);
  EXPECT_EQ(get(cudaMemRangeAttributeReadMostly, k, 2 * k), 1);
  EXPECT_EQ(get(cudaMemRangeAttributeReadMostly, 0, 2 * k), 0);
  EXPECT_EQ(get(cudaMemRangeAttributeReadMostly, 2 * k, 2 * k), 0);
  EXPECT_EQ(get(cudaMemRangeAttributePreferredLocation, 0, 4 * k), cudaCpuDeviceId);
  EXPECT_EQ(get(cudaMemRangeAttributePreferredLocationType, 0, 4 * k), cudaMemLocationTypeHost);
  EXPECT_EQ(get(cudaMemRangeAttributePreferredLocation, 0, 5 * k), cudaInvalidDeviceId);
  EXPECT_EQ(cudaMemPrefetchAsync(p, 3 * k, device, 0, nullptr), cudaSuccess);
  int by[2] = {7, 7}, fetched = 7;
  void* data[] = {by, &fetched};
  size_t sizes[] = {sizeof by, sizeof fetched};
  cudaMemRangeAttribute which[] = {cudaMemRangeAttributeAccessedBy,
                                   cudaMemRangeAttributeLastPrefetchLocation};
  EXPECT_EQ(cudaMemRangeGetAttributes(data, sizes, which, 2, p, 2 * k), cudaSuccess);
  EXPECT_EQ(by[0], 0);
  EXPECT_EQ(by[1], cudaInvalidDeviceId);
  EXPECT_EQ(fetched, 0);
  EXPECT_EQ(cudaMemAdvise(p, 4 * k, cudaMemoryAdvise(9), device), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemRangeGetAttribute(by, 8, cudaMemRangeAttributeReadMostly, p, k),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemRangeGetAttribute(by, 4, cudaMemRangeAttributeReadMostly, by, 4),
            cudaErrorInvalidValue);
  cudaFree(p);
}

TEST_F(ApiRules, CallsThatNoGraphHoldsSpoilTheCapture) {
  cudaStream_t s = nullptr;
  cudaStreamCreate(&s);
  cudaGraph_t graph = nullptr;
  cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed);
  const auto nothing = [](cudaStream_t, cudaError_t, void*) {};
  EXPECT_EQ(cudaStreamAddCallback(s, nothing, nullptr, 0), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamEndCapture(s, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(graph, nullptr);
  cudaStreamDestroy(s);
}

TEST_F(ApiRules, NothingOfAGraphGoesDuringACapture) {
  cudaStream_t s = nullptr;
  cudaStreamCreate(&s);
  cudaGraph_t empty = nullptr, graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  cudaGraphCreate(&empty, 0);
  cudaGraphInstantiate(&exec, empty, 0);
  cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal);
  EXPECT_EQ(cudaGraphExecDestroy(exec), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamEndCapture(s, &graph), cudaErrorStreamCaptureInvalidated);
  cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed);
  EXPECT_EQ(cudaGraphLaunch(exec, s), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamEndCapture(s, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
  cudaGraphDestroy(empty);
  cudaStreamDestroy(s);
}

/// "Each launch is ordered behind ... any previous launches of graphExec", in other streams too.
TEST_F(ApiRules, LaunchesOfOneGraphFollowEachOther) {
  int runs = 0;
  fake::bodies()["nothing"] = [&](const sim::Launch&) { runs++; };
  cudaStream_t s[2];
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  for (auto& stream : s) cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  cudaStreamBeginCapture(s[0], cudaStreamCaptureModeGlobal);
  cudaLaunchKernel(address(&Fixture::nothing), 1, 32, nullptr, 0, s[0]);
  ASSERT_EQ(cudaStreamEndCapture(s[0], &graph), cudaSuccess);
  ASSERT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(exec, s[0]), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(exec, s[1]), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(s[1]), cudaSuccess);
  EXPECT_EQ(runs, 2);
  cudaGraphExecDestroy(exec);
  cudaGraphDestroy(graph);
  for (auto& stream : s) cudaStreamDestroy(stream);
}

TEST_F(ApiRules, ConditionalNodesAreRefused) {
  cudaGraph_t graph = nullptr;
  cudaGraphCreate(&graph, 0);
  cudaGraphConditionalHandle handle;
  EXPECT_EQ(cudaGraphConditionalHandleCreate(&handle, graph, 0, 0), cudaErrorNotSupported);
  cudaGraphNodeParams params = {};
  params.type = cudaGraphNodeTypeConditional;
  cudaGraphNode_t node = nullptr;
  EXPECT_EQ(cudaGraphAddNode(&node, graph, nullptr, nullptr, 0, &params), cudaErrorNotSupported);
  cudaGraphDestroy(graph);
}

TEST_F(ApiRules, RegistersBoundTheThreadsOfABlock) {
  cudaFuncAttributes a;
  cudaFuncGetAttributes(&a, address(&Fixture::nothing));
  EXPECT_EQ(a.numRegs, 255);
  EXPECT_EQ(a.maxThreadsPerBlock, 256);
  cudaFuncGetAttributes(&a, address(&Fixture::add));
  EXPECT_EQ(a.maxThreadsPerBlock, 1024);
}

TEST_F(ApiRules, ClustersOfOneBlock) {
  int size = 0, count = 0;
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {1, 1, 1};
  cudaLaunchConfig_t config = {};
  config.gridDim = 1;
  config.blockDim = 1024;
  config.attrs = &attribute;
  config.numAttrs = 1;
  EXPECT_EQ(cudaOccupancyMaxPotentialClusterSize(&size, address(&Fixture::add), &config),
            cudaSuccess);
  EXPECT_EQ(size, 1);
  EXPECT_EQ(cudaOccupancyMaxActiveClusters(&count, address(&Fixture::add), &config), cudaSuccess);
  EXPECT_EQ(count, 2 * 132);
  attribute.val.clusterDim.x = 2;
  EXPECT_EQ(cudaOccupancyMaxActiveClusters(&count, address(&Fixture::add), &config),
            cudaErrorNotSupported);
}

TEST_F(ApiRules, AtomicsOverTheLinkToTheHost) {
  const cudaAtomicOperation operations[] = {cudaAtomicOperationIntegerAdd, cudaAtomicOperationCAS};
  unsigned found[] = {9, 9};
  EXPECT_EQ(cudaDeviceGetHostAtomicCapabilities(found, operations, 2, 0), cudaSuccess);
  EXPECT_EQ(found[0] | found[1], 0u);
  EXPECT_EQ(cudaDeviceGetHostAtomicCapabilities(found, operations, 0, 0), cudaErrorInvalidValue);
  EXPECT_EQ(cudaDeviceGetHostAtomicCapabilities(found, operations, 2, 5), cudaErrorInvalidDevice);
  const auto unknown = cudaAtomicOperation(77);
  EXPECT_EQ(cudaDeviceGetHostAtomicCapabilities(found, &unknown, 1, 0), cudaErrorInvalidValue);
}

/// A template's stub is one function for all libraries that have it.
TEST_F(ApiRules, KernelsOutliveTheFirstOfTheirModules) {
  static const char stub = 0;
  static char host = 0;
  const std::string text = "kernel same 0 32 1024\nvariable shared 4\n";
  std::optional<fake::Module> first(text), second(text);
  for (auto* m : {&first, &second}) {
    (*m)->kernel(&stub, "same");
    (*m)->variable(&host, "shared", 4);
  }
  const auto launch = [&] { return cudaLaunchKernel(&stub, 1, 32, nullptr, 0, nullptr); };
  size_t bytes = 0;
  EXPECT_EQ(launch(), cudaSuccess);
  first.reset();
  EXPECT_EQ(launch(), cudaSuccess);
  EXPECT_EQ(cudaGetSymbolSize(&bytes, &host), cudaSuccess);
  second.reset();
  EXPECT_EQ(launch(), cudaErrorInvalidDeviceFunction);
  EXPECT_EQ(cudaGetSymbolSize(&bytes, &host), cudaErrorInvalidSymbol);
}

TEST_F(ApiRules, ResetGivesVariablesTheirFirstValues) {
  int value = 42;
  cudaMemcpyToSymbol(&Fixture::number, &value, 4, 0, cudaMemcpyHostToDevice);
  EXPECT_EQ(cudaDeviceReset(), cudaSuccess);
  cudaMemcpyFromSymbol(&value, &Fixture::number, 4, 0, cudaMemcpyDeviceToHost);
  EXPECT_EQ(value, 0);
}

}  // namespace
