// Programs with a mistake between streams, or between a stream and the host, with "bad", and
// without it with "good". They exit with 0 where the result is right. A mistake need not show each
// time.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstring>

constexpr int kCount = 1000;
constexpr size_t kBytes = kCount * sizeof(int);

struct Program {
  Program(int argc, char** argv) : good(argc > 1 && std::strcmp(argv[1], "good") == 0) {
    for (auto* s : {&a, &b}) cudaStreamCreateWithFlags(s, cudaStreamNonBlocking);
    for (auto* e : {&event, &back}) cudaEventCreateWithFlags(e, cudaEventDisableTiming);
    for (int** p : {&x, &y}) cudaMalloc(p, kBytes);
    for (int** p : {&host, &other}) cudaMallocHost(p, kBytes);
    for (int* p : {x, y}) cudaMemset(p, 0, kBytes);
    cudaDeviceSynchronize();
    for (int i = 0; i < kCount; i++) host[i] = other[i] = -1;
  }
  /// Stream `to` goes on when `from` has come as far as now. This is what "bad" leaves out.
  void order(cudaEvent_t e, cudaStream_t from, cudaStream_t to) const {
    if (!good) return;
    cudaEventRecord(e, from);
    cudaStreamWaitEvent(to, e, 0);
  }
  /// The exit code: whether all of `p`, which the host may read, is first, first + step, ...
  int judge(const int* p, int first, int step) const {
    int wrong = 0;
    for (int i = 0; i < kCount; i++) wrong += p[i] != first + i * step;
    const cudaError_t error = cudaDeviceSynchronize();
    if (error != cudaSuccess) std::printf("%s\n", cudaGetErrorString(error));
    if (wrong) std::printf("%d of %d are wrong\n", wrong, kCount);
    for (auto s : {a, b}) cudaStreamDestroy(s);
    for (auto e : {event, back}) cudaEventDestroy(e);
    for (int* q : {x, y}) cudaFree(q);
    for (int* q : {host, other}) cudaFreeHost(q);
    return wrong != 0 || error != cudaSuccess;
  }
  const bool good;
  cudaStream_t a = nullptr, b = nullptr;
  cudaEvent_t event = nullptr, back = nullptr;
  int *x = nullptr, *y = nullptr, *host = nullptr, *other = nullptr;
};

constexpr int kBlocks = (kCount + 127) / 128, kThreads = 128;

__global__ void count_up(int* to, int first, int step) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < kCount) to[i] = first + i * step;
}
__global__ void copy(int* to, const int* from) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < kCount) to[i] = from[i];
}
