// Stream-ordered allocation.
#include <gtest/gtest.h>

#include "simulator/report/fault.h"
#include "simulator/tests/fake_engine.h"

namespace {

using fake::Fixture;
using testing::ExitedWithCode;

class Pools : public testing::Test {
 protected:
  void SetUp() override {
    for (auto* s : {&a, &b}) cudaStreamCreateWithFlags(s, cudaStreamNonBlocking);
    cudaEventCreate(&event);
  }
  void TearDown() override {
    cudaDeviceSynchronize();
    for (auto s : {a, b}) cudaStreamDestroy(s);
    cudaEventDestroy(event);
    cudaGetLastError();
  }
  Fixture program;
  cudaStream_t a = nullptr, b = nullptr;
  cudaEvent_t event = nullptr;
  int* p = nullptr;
  void** out() { return reinterpret_cast<void**>(&p); }
};

TEST_F(Pools, OrderedByTheStream) {
  ASSERT_EQ(cudaMallocAsync(out(), 4, a), cudaSuccess);
  program.launch(&Fixture::set, p, 6, a);
  int value = 0;
  cudaMemcpyAsync(&value, p, 4, cudaMemcpyDeviceToHost, a);
  EXPECT_EQ(value, 6);
  EXPECT_EQ(cudaFreeAsync(p, a), cudaSuccess);
  EXPECT_EQ(cudaFreeAsync(nullptr, a), cudaSuccess);
  cudaStreamSynchronize(a);
}

TEST_F(Pools, FreedTwice) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto at_the_call = [&] {
    cudaMallocAsync(out(), 4, a);
    cudaFreeAsync(p, a);
    cudaStreamSynchronize(a);
    cudaFreeAsync(p, a);
  };
  const auto in_the_stream = [&] {
    cudaMallocAsync(out(), 4, a);
    cudaFreeAsync(p, a);
    cudaFreeAsync(p, b);
    cudaDeviceSynchronize();
  };
  const auto with_both = [&] {
    cudaMallocAsync(out(), 4, a);
    cudaFreeAsync(p, a);
    cudaFree(p);
    cudaDeviceSynchronize();
  };
  EXPECT_EXIT(at_the_call(), ExitedWithCode(sim::kFaultExit), "sim: double free");
  EXPECT_EXIT(in_the_stream(), ExitedWithCode(sim::kFaultExit), "sim: double free");
  EXPECT_EXIT(with_both(), ExitedWithCode(sim::kFaultExit), "sim: double free");
}

TEST_F(Pools, CudaFreeWaitsForNothing) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto too_early = [&] {
    cudaMallocAsync(out(), 4, a);
    cudaMemsetAsync(p, 0, 4, a);
    cudaFree(p);
    cudaStreamSynchronize(a);
  };
  EXPECT_EXIT(too_early(), ExitedWithCode(sim::kFaultExit), "sim: use after free");
}

TEST_F(Pools, CudaFreeTakesThemToo) {
  ASSERT_EQ(cudaMallocAsync(out(), 4, a), cudaSuccess);
  EXPECT_EQ(cudaFree(p), cudaSuccess);
}

TEST_F(Pools, PendingFreesMakeRoom) {
  size_t free = 0, total = 0;
  cudaMemGetInfo(&free, &total);
  void* q = nullptr;
  // Address space only: the shadow is written for what is allocated, so not for all of a card.
  ASSERT_EQ(cudaMallocAsync(out(), 1 << 20, a), cudaSuccess);
  ASSERT_EQ(cudaFreeAsync(p, a), cudaSuccess);
  size_t after = 0;
  cudaMemGetInfo(&after, &total);
  EXPECT_EQ(after, free - (1 << 20));
  EXPECT_EQ(cudaMalloc(&q, free + 1), cudaErrorMemoryAllocation);  // but it did wait
  cudaMemGetInfo(&after, &total);
  EXPECT_EQ(after, free);
}

TEST_F(Pools, AttributesAndOwnPools) {
  cudaMemPool_t initial = nullptr, current = nullptr, mine = nullptr;
  ASSERT_EQ(cudaDeviceGetDefaultMemPool(&initial, 0), cudaSuccess);
  uint64_t threshold = 1 << 20, got = 0;
  EXPECT_EQ(cudaMemPoolSetAttribute(initial, cudaMemPoolAttrReleaseThreshold, &threshold),
            cudaSuccess);
  EXPECT_EQ(cudaMemPoolGetAttribute(initial, cudaMemPoolAttrReleaseThreshold, &got), cudaSuccess);
  EXPECT_EQ(got, threshold);
  cudaMemPoolProps props = {};
  props.allocType = cudaMemAllocationTypePinned;
  props.location = {cudaMemLocationTypeDevice, 0};
  ASSERT_EQ(cudaMemPoolCreate(&mine, &props), cudaSuccess);
  EXPECT_EQ(cudaDeviceSetMemPool(0, mine), cudaSuccess);
  ASSERT_EQ(cudaMallocAsync(out(), 100, a), cudaSuccess);
  EXPECT_EQ(cudaMemPoolGetAttribute(mine, cudaMemPoolAttrUsedMemCurrent, &got), cudaSuccess);
  EXPECT_EQ(got, 100u);
  cudaFreeAsync(p, a);
  EXPECT_EQ(cudaMemPoolDestroy(mine), cudaSuccess);
  EXPECT_EQ(cudaDeviceGetMemPool(&current, 0), cudaSuccess);
  EXPECT_EQ(current, initial);
  EXPECT_EQ(cudaMemPoolDestroy(initial), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemPoolDestroy(mine), cudaErrorInvalidValue);
}

TEST_F(Pools, UseInAnotherStreamNeedsAnEvent) {
  auto use = [&](bool with_event) {
    cudaMallocAsync(out(), 4, a);
    cudaEventRecord(event, a);
    if (with_event) cudaStreamWaitEvent(b, event, 0);
    cudaMemsetAsync(p, 0, 4, b);
    cudaStreamSynchronize(b);
    cudaFree(p);
    _exit(0);
  };
  EXPECT_EXIT(use(true), ExitedWithCode(0), "");
  EXPECT_EXIT(use(false), ExitedWithCode(sim::kFaultExit),
              "out of bounds: cudaMemsetAsync writes 4");
}

}  // namespace
