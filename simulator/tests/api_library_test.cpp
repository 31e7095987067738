// Libraries that the program loads itself, copies in batches, registered memory, refusals.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "simulator/memory/memory.h"
#include "simulator/report/fault.h"
#include "simulator/tests/fake_engine.h"

namespace {

using fake::Fixture;

constexpr const char* kText = "kernel add 0 32 1024 8 4\nkernel other 0 32 1024\nvariable v 8\n";

TEST(Libraries, KernelsAndVariables) {
  Fixture program;
  cudaLibrary_t library = nullptr;
  ASSERT_EQ(cudaLibraryLoadData(&library, kText, nullptr, nullptr, 0, nullptr, nullptr, 0),
            cudaSuccess);
  unsigned count = 0;
  EXPECT_EQ(cudaLibraryGetKernelCount(&count, library), cudaSuccess);
  EXPECT_EQ(count, 2u);
  cudaKernel_t kernel = nullptr, again = nullptr, all[3] = {};
  EXPECT_EQ(cudaLibraryGetKernel(&kernel, library, "none"), cudaErrorSymbolNotFound);
  ASSERT_EQ(cudaLibraryGetKernel(&kernel, library, "add"), cudaSuccess);
  cudaLibraryGetKernel(&again, library, "add");
  EXPECT_EQ(kernel, again);
  EXPECT_EQ(cudaLibraryEnumerateKernels(all, 3, library), cudaSuccess);
  EXPECT_EQ(all[0], kernel);
  EXPECT_EQ(all[2], nullptr);
  const char* name = nullptr;
  EXPECT_EQ(cudaFuncGetName(&name, kernel), cudaSuccess);
  EXPECT_STREQ(name, "add");

  void* v = nullptr;
  size_t bytes = 0;
  ASSERT_EQ(cudaLibraryGetGlobal(&v, &bytes, library, "v"), cudaSuccess);
  EXPECT_EQ(bytes, 8u);
  EXPECT_EQ(cudaLibraryGetGlobal(&v, &bytes, library, "w"), cudaErrorSymbolNotFound);
  cudaMemset(v, 0, 8);
  int n = 3;
  void* args[] = {&v, &n};
  EXPECT_EQ(cudaLaunchKernel(kernel, 1, 32, args, 0, nullptr), cudaSuccess);
  int out = 0;
  cudaMemcpy(&out, v, 4, cudaMemcpyDeviceToHost);
  EXPECT_EQ(out, 3);
  EXPECT_EQ(cudaLibraryUnload(library), cudaSuccess);
  EXPECT_EQ(cudaLibraryUnload(library), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaLaunchKernel(kernel, 1, 32, args, 0, nullptr), cudaErrorInvalidDeviceFunction);
  EXPECT_FALSE(sim::find_allocation(reinterpret_cast<uint64_t>(v)));
  cudaGetLastError();
}

TEST(Libraries, Files) {
  Fixture program;
  cudaLibrary_t library = nullptr;
  auto load = [&](const char* path) {
    return cudaLibraryLoadFromFile(&library, path, nullptr, nullptr, 0, nullptr, nullptr, 0);
  };
  EXPECT_EQ(load("/none.ptx"), cudaErrorFileNotFound);
  char path[] = "/tmp/sim_library_XXXXXX";
  close(mkstemp(path));
  std::ofstream(path) << kText;
  EXPECT_EQ(load(path), cudaSuccess);
  EXPECT_EQ(cudaLibraryUnload(library), cudaSuccess);
  std::ofstream(path) << "\x7f"
                         "ELF machine code";
  EXPECT_EQ(load(path), cudaErrorNoKernelImageForDevice);
  unlink(path);
  cudaGetLastError();
}

TEST(Libraries, VariablesOfAnUnloadedModuleGo) {
  void* address = nullptr;
  {
    Fixture program;
    cudaGetSymbolAddress(&address, &Fixture::number);
    EXPECT_TRUE(sim::find_allocation(reinterpret_cast<uint64_t>(address)));
  }
  EXPECT_FALSE(sim::find_allocation(reinterpret_cast<uint64_t>(address)));
}

TEST(Batches, Copies) {
  cudaStream_t stream = nullptr;
  cudaStreamCreate(&stream);
  int *d = nullptr, sources[2] = {4, 5}, out[2] = {};
  cudaMalloc(reinterpret_cast<void**>(&d), 8);
  void* to[] = {d, d + 1};
  const void* from[] = {&sources[0], &sources[1]};
  const size_t sizes[] = {4, 4};
  size_t first[] = {0};
  cudaMemcpyAttributes attributes = {};
  auto copy = [&](size_t count, cudaStream_t s) {
    return cudaMemcpyBatchAsync(to, from, sizes, count, &attributes, first, 1, s);
  };
  EXPECT_EQ(copy(2, stream), cudaErrorInvalidValue);  // no order of access
  attributes.srcAccessOrder = cudaMemcpySrcAccessOrderDuringApiCall;
  EXPECT_EQ(copy(2, nullptr), cudaErrorInvalidValue);
  EXPECT_EQ(copy(2, stream), cudaSuccess);
  sources[0] = sources[1] = 0;
  cudaMemcpyAsync(out, d, 8, cudaMemcpyDeviceToHost, stream);
  cudaStreamSynchronize(stream);
  EXPECT_EQ(out[0], 4);
  EXPECT_EQ(out[1], 5);

  cudaMemcpy3DBatchOp op = {};
  op.src.type = op.dst.type = cudaMemcpyOperandTypePointer;
  op.src.op.ptr.ptr = d;
  op.dst.op.ptr.ptr = out;
  op.extent = {4, 2, 1};
  op.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
  cudaMemset(d, 1, 8);
  EXPECT_EQ(cudaMemcpy3DBatchAsync(1, &op, 0, stream), cudaSuccess);
  cudaStreamSynchronize(stream);
  EXPECT_EQ(out[1], 0x01010101);
  op.dst.type = cudaMemcpyOperandTypeArray;
  EXPECT_EQ(cudaMemcpy3DBatchAsync(1, &op, 0, stream), cudaErrorNotSupported);
  cudaFree(d);
  cudaStreamDestroy(stream);
  cudaGetLastError();
}

TEST(Batches, ManagedMemoryStays) {
  cudaStream_t stream = nullptr;
  cudaStreamCreate(&stream);
  int* m = nullptr;
  cudaMallocManaged(reinterpret_cast<void**>(&m), 8, cudaMemAttachGlobal);
  m[0] = 3;
  void* list[] = {m};
  size_t sizes[] = {8}, first[] = {0};
  cudaMemLocation where = {cudaMemLocationTypeDevice, 0};
  EXPECT_EQ(cudaMemPrefetchBatchAsync(list, sizes, 1, &where, first, 1, 0, stream), cudaSuccess);
  EXPECT_EQ(cudaMemDiscardBatchAsync(list, sizes, 1, 0, stream), cudaSuccess);
  sizes[0] = 9;
  EXPECT_EQ(cudaMemDiscardBatchAsync(list, sizes, 1, 0, stream), cudaErrorInvalidValue);
  cudaStreamSynchronize(stream);
  EXPECT_EQ(m[0], 3);
  cudaFree(m);
  cudaStreamDestroy(stream);
  cudaGetLastError();
}

TEST(RegisteredMemory, KernelsReachIt) {
  Fixture program;
  constexpr size_t kBytes = 3 * 4096;
  void* pages = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char* all = static_cast<char*>(pages);
  std::memset(all, 7, kBytes);
  int* x = reinterpret_cast<int*>(all + 100);
  *x = 40;
  ASSERT_EQ(cudaHostRegister(x, 5000, cudaHostRegisterMapped), cudaSuccess);
  EXPECT_EQ(cudaHostRegister(all, 4096 * 3, 0), cudaErrorHostMemoryAlreadyRegistered);
  int* view = nullptr;
  ASSERT_EQ(cudaHostGetDevicePointer(reinterpret_cast<void**>(&view), x, 0), cudaSuccess);
  EXPECT_NE(view, x);
  program.launch(&Fixture::add, view, 2);
  cudaDeviceSynchronize();
  EXPECT_EQ(*x, 42);
  *x = 50;
  program.launch(&Fixture::add, view, 2);
  int out = 0;
  cudaMemcpy(&out, x, 4, cudaMemcpyDefault);
  EXPECT_EQ(out, 52);
  cudaPointerAttributes a;
  EXPECT_EQ(cudaPointerGetAttributes(&a, x + 1), cudaSuccess);
  EXPECT_EQ(a.devicePointer, view + 1);
  EXPECT_EQ(cudaFreeHost(x), cudaErrorInvalidValue);
  EXPECT_EQ(cudaHostUnregister(x), cudaSuccess);
  EXPECT_EQ(*x, 52);
  EXPECT_EQ(all[0], 7);
  EXPECT_EQ(all[kBytes - 1], 7);
  *x = 1;
  EXPECT_FALSE(sim::find_allocation(reinterpret_cast<uint64_t>(view)));
  munmap(pages, kBytes);
  cudaGetLastError();
}

TEST(Refusals, BetweenProcesses) {
  int can = -1;
  cudaDeviceGetAttribute(&can, cudaDevAttrIpcEventSupport, 0);
  EXPECT_EQ(can, 0);
  cudaIpcMemHandle_t handle;
  void* p = nullptr;
  cudaMalloc(&p, 4);
  EXPECT_EQ(cudaIpcGetMemHandle(&handle, p), cudaErrorNotSupported);
  cudaFree(p);
  cudaGetLastError();
}

}  // namespace
