// Allocation, copies and sets: results, error codes, and the faults of SIM_CHECKS=on.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "simulator/report/fault.h"
#include "simulator/tests/fake_engine.h"

namespace {

using testing::ExitedWithCode;

class ApiMemory : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(cudaMalloc(&p, 1024), cudaSuccess); }
  void TearDown() override {
    cudaFree(p);
    cudaGetLastError();
  }
  void* at(size_t offset) { return static_cast<char*>(p) + offset; }
  void* p = nullptr;
};

TEST_F(ApiMemory, RoundTrip) {
  std::vector<int> in(256), out(256);
  for (int i = 0; i < 256; i++) in[size_t(i)] = i * i;
  EXPECT_EQ(cudaMemcpy(p, in.data(), 1024, cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_EQ(cudaMemcpy(out.data(), p, 1024, cudaMemcpyDefault), cudaSuccess);
  EXPECT_EQ(in, out);
}

TEST_F(ApiMemory, SetIsLazyAndBytesOnly) {
  EXPECT_EQ(cudaMemset(p, 0x1ff, 1024), cudaSuccess);
  unsigned char out[4] = {};
  cudaMemcpy(out, at(1020), 4, cudaMemcpyDeviceToHost);
  EXPECT_EQ(out[3], 0xff);
}

TEST_F(ApiMemory, PageableSourceIsTakenAtOnce) {
  cudaStream_t s = nullptr;
  cudaStreamCreate(&s);
  int value = 1;
  cudaMemcpyAsync(p, &value, 4, cudaMemcpyHostToDevice, s);
  value = 2;
  int out = 0;
  cudaMemcpyAsync(&out, p, 4, cudaMemcpyDeviceToHost, s);  // to pageable memory: waits
  EXPECT_EQ(out, 1);
  cudaStreamDestroy(s);
}

TEST_F(ApiMemory, PinnedSourceIsReadWhenTheCopyRuns) {
  cudaStream_t s = nullptr;
  cudaStreamCreate(&s);
  int* pinned = nullptr;
  ASSERT_EQ(cudaMallocHost(reinterpret_cast<void**>(&pinned), 8), cudaSuccess);
  pinned[0] = 1;
  cudaMemcpyAsync(p, pinned, 4, cudaMemcpyHostToDevice, s);
  pinned[0] = 2;
  pinned[1] = 0;
  cudaMemcpyAsync(pinned + 1, p, 4, cudaMemcpyDeviceToHost, s);
  EXPECT_EQ(pinned[1], 0);  // nothing waited yet
  cudaStreamSynchronize(s);
  EXPECT_EQ(pinned[1], 2);
  cudaStreamDestroy(s);
  EXPECT_EQ(cudaFreeHost(pinned), cudaSuccess);
}

TEST_F(ApiMemory, TwoDimensions) {
  void* q = nullptr;
  size_t pitch = 0;
  ASSERT_EQ(cudaMallocPitch(&q, &pitch, 10, 3), cudaSuccess);
  EXPECT_EQ(pitch, 512u);
  char in[30], out[30] = {};
  for (int i = 0; i < 30; i++) in[i] = char(i);
  EXPECT_EQ(cudaMemcpy2D(q, pitch, in, 10, 10, 3, cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_EQ(cudaMemset2D(static_cast<char*>(q) + pitch, pitch, 99, 2, 1), cudaSuccess);
  EXPECT_EQ(cudaMemcpy2D(out, 10, q, pitch, 10, 3, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(out[10], 99);
  EXPECT_EQ(out[12], 12);
  EXPECT_EQ(out[29], 29);
  EXPECT_EQ(cudaMemcpy2D(out, 9, q, pitch, 10, 3, cudaMemcpyDeviceToHost),
            cudaErrorInvalidPitchValue);
  cudaFree(q);
}

TEST_F(ApiMemory, ThreeDimensions) {
  cudaPitchedPtr q = {};
  ASSERT_EQ(cudaMalloc3D(&q, {4, 3, 2}), cudaSuccess);
  char in[24], out[8] = {};
  for (int i = 0; i < 24; i++) in[i] = char(i);
  cudaMemcpy3DParms c = {};
  c.srcPtr = {in, 4, 4, 3};
  c.dstPtr = q;
  c.extent = {4, 3, 2};
  c.kind = cudaMemcpyHostToDevice;
  EXPECT_EQ(cudaMemcpy3D(&c), cudaSuccess);
  c = {};
  c.srcPtr = q;
  c.srcPos = {1, 1, 0};
  c.dstPtr = {out, 2, 2, 2};
  c.extent = {2, 2, 2};
  c.kind = cudaMemcpyDeviceToHost;
  EXPECT_EQ(cudaMemcpy3D(&c), cudaSuccess);
  EXPECT_EQ(std::memcmp(out, "\x5\x6\x9\xa\x11\x12\x15\x16", 8), 0);
  cudaFree(q.ptr);
}

TEST_F(ApiMemory, WrongDirectionsAndPointers) {
  char host[8] = {};
  EXPECT_EQ(cudaMemcpy(host, host, 8, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(p, p, 8, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(host, host, 8, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(p, host, 8, cudaMemcpyKind(7)), cudaErrorInvalidMemcpyDirection);
  EXPECT_EQ(cudaMemcpy(nullptr, p, 8, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(nullptr, p, 0, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(cudaMemset(host, 0, 8), cudaErrorInvalidValue);
}

TEST_F(ApiMemory, LastErrorIsKeptUntilRead) {
  cudaMemset(nullptr, 0, 8);
  EXPECT_EQ(cudaGetErrorName(cudaPeekAtLastError()), std::string("cudaErrorInvalidValue"));
  int count = 0;
  cudaGetDeviceCount(&count);  // a success does not clear it
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_STREQ(cudaGetErrorString(cudaErrorInvalidValue), "invalid argument");
  EXPECT_STREQ(cudaGetErrorString(cudaError_t(12345)), "unrecognized error code");
}

TEST_F(ApiMemory, FreeOfWhatIsNone) {
  char host[8];
  EXPECT_EQ(cudaFree(nullptr), cudaSuccess);
  EXPECT_EQ(cudaFreeHost(nullptr), cudaSuccess);
  EXPECT_EQ(cudaFree(host), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(at(8)), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFreeHost(p), cudaErrorInvalidValue);
  void* nothing = p;
  EXPECT_EQ(cudaMalloc(&nothing, 0), cudaSuccess);
  EXPECT_EQ(nothing, nullptr);
  EXPECT_EQ(cudaMalloc(nullptr, 8), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMallocManaged(&nothing, 0), cudaErrorInvalidValue);
}

TEST_F(ApiMemory, MoreThanTheCardHas) {
  size_t free = 0, total = 0;
  cudaMemGetInfo(&free, &total);
  EXPECT_EQ(total - free, 1024u);
  void* q = nullptr;
  EXPECT_EQ(cudaMalloc(&q, free + 1), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
}

TEST_F(ApiMemory, ManagedMemoryIsBoths) {
  int* m = nullptr;
  ASSERT_EQ(cudaMallocManaged(reinterpret_cast<void**>(&m), 8), cudaSuccess);
  m[0] = 5;
  EXPECT_EQ(cudaMemcpy(p, m, 4, cudaMemcpyDefault), cudaSuccess);
  EXPECT_EQ(cudaMemcpy(m + 1, p, 4, cudaMemcpyDeviceToDevice), cudaSuccess);
  cudaDeviceSynchronize();
  EXPECT_EQ(m[1], 5);
  EXPECT_EQ(cudaFree(m), cudaSuccess);
}

TEST_F(ApiMemory, PointerAttributes) {
  cudaPointerAttributes a;
  EXPECT_EQ(cudaPointerGetAttributes(&a, at(1)), cudaSuccess);
  EXPECT_EQ(a.type, cudaMemoryTypeDevice);
  EXPECT_EQ(a.devicePointer, at(1));
  EXPECT_EQ(a.hostPointer, nullptr);
  char host[64];
  cudaPointerGetAttributes(&a, host);
  EXPECT_EQ(a.type, cudaMemoryTypeUnregistered);
  EXPECT_EQ(cudaHostRegister(host, 64, cudaHostRegisterDefault), cudaSuccess);
  EXPECT_EQ(cudaHostRegister(host + 8, 8, 0), cudaErrorHostMemoryAlreadyRegistered);
  cudaPointerGetAttributes(&a, host + 63);
  EXPECT_EQ(a.type, cudaMemoryTypeHost);
  EXPECT_EQ(cudaHostUnregister(host), cudaSuccess);
  EXPECT_EQ(cudaHostUnregister(host), cudaErrorHostMemoryNotRegistered);
  void* pinned = nullptr;
  cudaHostAlloc(&pinned, 16, cudaHostAllocPortable);
  unsigned flags = 0;
  EXPECT_EQ(cudaHostGetFlags(&flags, pinned), cudaSuccess);
  EXPECT_EQ(flags, unsigned(cudaHostAllocPortable | cudaHostAllocMapped));
  void* device = nullptr;
  EXPECT_EQ(cudaHostGetDevicePointer(&device, pinned, 0), cudaSuccess);
  EXPECT_EQ(device, pinned);
  EXPECT_EQ(cudaHostAlloc(&device, 16, 64), cudaErrorInvalidValue);
  cudaFreeHost(pinned);
}

using ApiMemoryDeath = ApiMemory;

TEST_F(ApiMemoryDeath, CopyOutOfBounds) {
  char host[2048] = {};
  EXPECT_EXIT(cudaMemcpy(p, host, 1025, cudaMemcpyHostToDevice), ExitedWithCode(sim::kFaultExit),
              "out of bounds: cudaMemcpy writes 1025 bytes at .*0 bytes after allocation");
}

TEST_F(ApiMemoryDeath, ReadOfWhatNothingWrote) {
  char host[16] = {};
  EXPECT_EXIT(cudaMemcpy(host, p, 16, cudaMemcpyDeviceToHost), ExitedWithCode(sim::kFaultExit),
              "read of uninitialised memory: cudaMemcpy reads 16 bytes");
}

TEST_F(ApiMemoryDeath, DoubleFree) {
  EXPECT_EXIT(
      {
        cudaFree(p);
        cudaFree(p);
      },
      ExitedWithCode(sim::kFaultExit), "double free: cudaFree of what was freed before");
}

TEST_F(ApiMemoryDeath, UseAfterFree) {
  char host[16] = {};
  EXPECT_EXIT(
      {
        cudaFree(p);
        cudaMemcpy(p, host, 16, cudaMemcpyHostToDevice);
      },
      ExitedWithCode(sim::kFaultExit), "use after free: cudaMemcpy writes .*\\(freed\\)");
}

TEST_F(ApiMemoryDeath, LeakAtExit) {
  EXPECT_EXIT(std::exit(0), ExitedWithCode(sim::kFaultExit),
              "leak: 1024 bytes were not freed.*by cudaMalloc");
  EXPECT_EXIT(std::exit(3), ExitedWithCode(3), "^$");  // it failed anyway
  EXPECT_EXIT(
      {
        cudaFree(p);
        std::exit(0);
      },
      ExitedWithCode(0), "^$");
}

TEST_F(ApiMemoryDeath, PendingWorkRunsAtExit) {
  auto say = [](void*) { std::fputs("ran late\n", stderr); };
  EXPECT_EXIT(
      {
        cudaFree(p);
        cudaLaunchHostFunc(nullptr, say, nullptr);
        std::exit(0);
      },
      ExitedWithCode(0), "ran late");
}

}  // namespace
