// Launches with their checks, attributes, occupancy, variables.
#include <gtest/gtest.h>

#include <cstdlib>

#include "simulator/tests/fake_engine.h"

extern "C" {
unsigned __cudaPushCallConfiguration(dim3, dim3, size_t, CUstream_st*);
cudaError_t __cudaPopCallConfiguration(dim3*, dim3*, size_t*, void*);
cudaError_t __cudaGetKernel(cudaKernel_t*, const void*);
cudaError_t __cudaLaunchKernel(cudaKernel_t, dim3, dim3, void**, size_t, cudaStream_t);
char __cudaInitModule(void**);
}

namespace {

using fake::Fixture;

const void* address(void (*f)()) { return reinterpret_cast<const void*>(f); }

class ApiLaunch : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(cudaMalloc(reinterpret_cast<void**>(&p), 4), cudaSuccess);
    cudaMemset(p, 0, 4);
  }
  void TearDown() override {
    cudaFree(p);
    cudaGetLastError();
  }
  int value() {
    int v = -1;
    cudaMemcpy(&v, p, 4, cudaMemcpyDeviceToHost);
    return v;
  }
  cudaError_t launch(dim3 grid, dim3 block, size_t shared = 0, void (*f)() = &Fixture::add) {
    int n = 1;
    void* args[] = {&p, &n};
    return cudaLaunchKernel(address(f), grid, block, args, shared, nullptr);
  }
  Fixture program;
  int* p = nullptr;
};

TEST_F(ApiLaunch, RunsLazilyWithTheArgumentsOfTheCall) {
  int runs = 0;
  auto add = fake::bodies()["add"];
  fake::bodies()["add"] = [&](const sim::Launch& l) {
    runs++;
    EXPECT_EQ(l.block.x, 32u);
    add(l);
  };
  EXPECT_EQ(program.launch(&Fixture::add, p, 5), cudaSuccess);
  EXPECT_EQ(program.launch(&Fixture::add, p, 2), cudaSuccess);
  EXPECT_EQ(runs, 0);
  EXPECT_EQ(value(), 7);
}

TEST_F(ApiLaunch, AsNvccWritesIt) {
  cudaKernel_t kernel = nullptr;
  ASSERT_EQ(__cudaGetKernel(&kernel, address(&Fixture::add)), cudaSuccess);
  EXPECT_EQ(__cudaPushCallConfiguration(dim3(3, 2), dim3(64), 16, nullptr), 0u);
  dim3 grid, block;
  size_t shared = 0;
  cudaStream_t stream = nullptr;
  ASSERT_EQ(__cudaPopCallConfiguration(&grid, &block, &shared, &stream), cudaSuccess);
  EXPECT_EQ(grid.y, 2u);
  EXPECT_EQ(shared, 16u);
  int n = 4;
  void* args[] = {&p, &n};
  EXPECT_EQ(__cudaLaunchKernel(kernel, grid, block, args, shared, stream), cudaSuccess);
  EXPECT_EQ(value(), 4);
  EXPECT_EQ(__cudaPopCallConfiguration(&grid, &block, &shared, &stream),
            cudaErrorMissingConfiguration);
}

TEST_F(ApiLaunch, Shapes) {
  EXPECT_EQ(launch(0, 32), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(1, 0), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(1, 1025), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(1, dim3(1024, 2)), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(1, dim3(1, 1, 65)), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(dim3(1, 65536), 32), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(dim3(0x80000000u), 32), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(dim3(0x7fffffff, 1, 1), dim3(16, 1, 64)), cudaSuccess);
}

TEST_F(ApiLaunch, BoundsOfTheKernel) {
  EXPECT_EQ(launch(1, 256, 0, &Fixture::set), cudaSuccess);
  EXPECT_EQ(launch(1, 257, 0, &Fixture::set), cudaErrorInvalidValue);  // __launch_bounds__(256)
  void* none[] = {nullptr};
  EXPECT_EQ(cudaLaunchKernel(address(&Fixture::nothing), 1, 256, none, 0, nullptr), cudaSuccess);
  EXPECT_EQ(cudaLaunchKernel(address(&Fixture::nothing), 1, 512, none, 0, nullptr),
            cudaErrorLaunchOutOfResources);  // 255 registers
}

TEST_F(ApiLaunch, SharedMemoryNeedsOptIn) {
  EXPECT_EQ(launch(1, 32, 48 << 10), cudaSuccess);
  EXPECT_EQ(launch(1, 32, (48 << 10) + 1), cudaErrorInvalidValue);
  const auto attribute = cudaFuncAttributeMaxDynamicSharedMemorySize;
  EXPECT_EQ(cudaFuncSetAttribute(address(&Fixture::add), attribute, 227 << 10), cudaSuccess);
  EXPECT_EQ(cudaFuncSetAttribute(address(&Fixture::add), attribute, (227 << 10) + 1),
            cudaErrorInvalidValue);
  EXPECT_EQ(launch(1, 32, 227 << 10), cudaSuccess);
  // 1 KiB of it is static in this one.
  EXPECT_EQ(launch(1, 32, 47 << 10, &Fixture::set), cudaSuccess);
  EXPECT_EQ(launch(1, 32, (47 << 10) + 1, &Fixture::set), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFuncSetAttribute(address(&Fixture::set), attribute, 227 << 10),
            cudaErrorInvalidValue);
}

TEST_F(ApiLaunch, UnknownFunctions) {
  EXPECT_EQ(launch(1, 32, 0, &Fixture::unknown), cudaErrorInvalidDeviceFunction);
  int x = 0;
  EXPECT_EQ(cudaLaunchKernel(&x, 1, 32, nullptr, 0, nullptr), cudaErrorInvalidDeviceFunction);
  cudaFuncAttributes a;
  EXPECT_EQ(cudaFuncGetAttributes(&a, &x), cudaErrorInvalidDeviceFunction);
}

TEST_F(ApiLaunch, ConfigurationStruct) {
  int n = 3;
  void* args[] = {&p, &n};
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {1, 1, 1};
  cudaLaunchConfig_t config = {};
  config.gridDim = 1;
  config.blockDim = 32;
  config.attrs = &attribute;
  config.numAttrs = 1;
  EXPECT_EQ(cudaLaunchKernelExC(&config, address(&Fixture::add), args), cudaSuccess);
  EXPECT_EQ(value(), 3);
  attribute.val.clusterDim.x = 2;
  EXPECT_EQ(cudaLaunchKernelExC(&config, address(&Fixture::add), args), cudaErrorNotSupported);
}

TEST_F(ApiLaunch, CooperativeMustFit) {
  int blocks = 0, n = 1;
  void* args[] = {&p, &n};
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, address(&Fixture::add), 1024, 0);
  EXPECT_EQ(blocks, 2);
  const unsigned room = unsigned(blocks) * 132;
  EXPECT_EQ(cudaLaunchCooperativeKernel(address(&Fixture::add), room, 1024, args, 0, nullptr),
            cudaSuccess);
  EXPECT_EQ(cudaLaunchCooperativeKernel(address(&Fixture::add), room + 1, 1024, args, 0, nullptr),
            cudaErrorCooperativeLaunchTooLarge);
}

TEST_F(ApiLaunch, Attributes) {
  cudaFuncAttributes a;
  ASSERT_EQ(cudaFuncGetAttributes(&a, address(&Fixture::set)), cudaSuccess);
  EXPECT_EQ(a.sharedSizeBytes, 1024u);
  EXPECT_EQ(a.maxThreadsPerBlock, 256);
  EXPECT_EQ(a.numRegs, 32);
  EXPECT_EQ(a.ptxVersion, 80);
  EXPECT_EQ(a.binaryVersion, 90);
  EXPECT_EQ(a.maxDynamicSharedSizeBytes, 47 << 10);
  size_t offset = 0, size = 0;
  EXPECT_EQ(cudaFuncGetParamInfo(address(&Fixture::set), 1, &offset, &size), cudaSuccess);
  EXPECT_EQ(offset, 8u);
  EXPECT_EQ(size, 4u);
  EXPECT_EQ(cudaFuncGetParamInfo(address(&Fixture::set), 2, &offset, &size), cudaErrorInvalidValue);
  const char* name = nullptr;
  EXPECT_EQ(cudaFuncGetName(&name, address(&Fixture::set)), cudaSuccess);
  EXPECT_STREQ(name, "set");
}

TEST_F(ApiLaunch, Occupancy) {
  auto blocks = [](void (*f)(), int threads, size_t shared) {
    int n = -1;
    EXPECT_EQ(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&n, address(f), threads, shared),
              cudaSuccess);
    return n;
  };
  EXPECT_EQ(blocks(&Fixture::add, 128, 0), 16);         // 2048 threads
  EXPECT_EQ(blocks(&Fixture::add, 32, 0), 32);          // blocks per SM
  EXPECT_EQ(blocks(&Fixture::add, 128, 100 << 10), 0);  // which no launch may ask for yet
  const auto most = cudaFuncAttributeMaxDynamicSharedMemorySize;
  cudaFuncSetAttribute(address(&Fixture::add), most, 100 << 10);
  EXPECT_EQ(blocks(&Fixture::add, 128, 100 << 10), 2);  // shared memory, 1 KiB each reserved
  EXPECT_EQ(blocks(&Fixture::nothing, 128, 0), 2);      // 255 registers: 8 warps
  EXPECT_EQ(blocks(&Fixture::nothing, 512, 0), 0);
  EXPECT_EQ(blocks(&Fixture::set, 257, 0), 0);
  size_t bytes = 0;
  EXPECT_EQ(cudaOccupancyAvailableDynamicSMemPerBlock(&bytes, address(&Fixture::set), 2, 128),
            cudaSuccess);
  EXPECT_EQ(bytes, 47u << 10);
  cudaFuncSetAttribute(address(&Fixture::set), most, 200 << 10);
  EXPECT_EQ(cudaOccupancyAvailableDynamicSMemPerBlock(&bytes, address(&Fixture::set), 2, 128),
            cudaSuccess);
  EXPECT_EQ(bytes, (114u << 10) - 2048);
  EXPECT_EQ(blocks(&Fixture::set, 128, bytes), 2);
  EXPECT_EQ(blocks(&Fixture::set, 128, bytes + 128), 1);
}

TEST_F(ApiLaunch, Variables) {
  int in = 42, out = 0;
  EXPECT_EQ(cudaMemcpyToSymbol(&Fixture::number, &in, 4, 0, cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_EQ(cudaMemcpyFromSymbol(&out, &Fixture::number, 4, 0, cudaMemcpyDeviceToHost),
            cudaSuccess);
  EXPECT_EQ(out, 42);
  void* where = nullptr;
  size_t bytes = 0;
  EXPECT_EQ(cudaGetSymbolAddress(&where, &Fixture::number), cudaSuccess);
  EXPECT_EQ(cudaGetSymbolSize(&bytes, &Fixture::number), cudaSuccess);
  EXPECT_EQ(bytes, 4u);
  cudaMemcpy(&out, where, 2, cudaMemcpyDeviceToHost);
  EXPECT_EQ(cudaMemcpyToSymbol(&Fixture::number, &in, 4, 1, cudaMemcpyHostToDevice),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpyToSymbol(&Fixture::number, &in, 4, 0, cudaMemcpyDeviceToHost),
            cudaErrorInvalidMemcpyDirection);
  EXPECT_EQ(cudaGetSymbolSize(&bytes, &in), cudaErrorInvalidSymbol);
  EXPECT_EQ(cudaFree(where), cudaErrorInvalidValue);
}

TEST_F(ApiLaunch, ManagedVariables) {
  ASSERT_TRUE(__cudaInitModule(program.module.handle));
  ASSERT_NE(Fixture::managed, nullptr);
  *Fixture::managed = 3;
  program.launch(&Fixture::add, Fixture::managed, 4);
  cudaDeviceSynchronize();
  EXPECT_EQ(*Fixture::managed, 7);
  EXPECT_EQ(cudaFree(Fixture::managed), cudaErrorInvalidValue);
  EXPECT_EXIT(
      {
        cudaFree(p);
        std::exit(0);
      },
      testing::ExitedWithCode(0), "^$");  // no leak
}

}  // namespace
