// PTX that the program loads itself, and host memory that it registers for kernels.
#include <cstdio>
#include <cstring>
#include <vector>

constexpr const char* kSource = R"(
.version 8.0
.target sm_80
.address_size 64
.visible .global .align 4 .u32 step = 3;
.visible .entry add(.param .u64 p)
{
  .reg .b32 %r<4>;
  .reg .b64 %rd<5>;
  ld.param.u64 %rd1, [p];
  cvta.to.global.u64 %rd2, %rd1;
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %rd3, %r1, 4;
  add.s64 %rd4, %rd2, %rd3;
  ld.global.u32 %r2, [%rd4];
  ld.global.u32 %r3, [step];
  add.u32 %r2, %r2, %r3;
  st.global.u32 [%rd4], %r2;
  ret;
}
)";

static int failures = 0;
static void expect(bool ok, const char* what) {
  if (ok) return;
  std::printf("%s: %s\n", what, cudaGetErrorString(cudaGetLastError()));
  failures++;
}

int main() {
  cudaLibrary_t library = nullptr;
  cudaKernel_t kernel = nullptr;
  expect(cudaLibraryLoadData(&library, kSource, nullptr, nullptr, 0, nullptr, nullptr, 0) ==
             cudaSuccess,
         "load");
  expect(cudaLibraryGetKernel(&kernel, library, "add") == cudaSuccess, "find");
  void* step = nullptr;
  size_t bytes = 0;
  expect(cudaLibraryGetGlobal(&step, &bytes, library, "step") == cudaSuccess && bytes == 4, "step");

  std::vector<int> host(3000, 5);
  int* view = nullptr;
  expect(cudaHostRegister(host.data(), host.size() * 4, cudaHostRegisterMapped) == cudaSuccess,
         "register");
  expect(cudaHostGetDevicePointer(&view, host.data(), 0) == cudaSuccess, "view");
  void* args[] = {&view};
  expect(cudaLaunchKernel(kernel, 1, 256, args, 0, nullptr) == cudaSuccess, "launch");
  expect(cudaDeviceSynchronize() == cudaSuccess, "wait");
  expect(host[0] == 8 && host[255] == 8 && host[256] == 5, "sum");
  const int seven = 7;
  cudaMemcpy(step, &seven, 4, cudaMemcpyHostToDevice);
  cudaLaunchKernel(kernel, 1, 256, args, 0, nullptr);
  cudaDeviceSynchronize();
  expect(host[0] == 15 && host[256] == 5, "second sum");
  expect(cudaHostUnregister(host.data()) == cudaSuccess, "unregister");
  expect(host[0] == 15 && host[2999] == 5, "memory is the host's again");
  expect(cudaLibraryUnload(library) == cudaSuccess, "unload");
  const char* broken = ".version 8.0\n.target sm_80\n.address_size 64\n.entry x( {";
  expect(cudaLibraryLoadData(&library, broken, nullptr, nullptr, 0, nullptr, nullptr, 0) ==
             cudaErrorInvalidPtx,
         "broken PTX");
  return failures != 0;
}
