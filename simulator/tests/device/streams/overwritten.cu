// Two stages share a buffer: the second must have read it before the first writes the next round.
#include "stream.h"

__global__ void add(int* sum, const int* x) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < kCount) sum[i] += x[i];
}

int main(int argc, char** argv) {
  Program p(argc, argv);
  const bool back = p.good;
  for (int round = 0; round < 4; round++) {
    if (back && round > 0) cudaStreamWaitEvent(p.a, p.back, 0);
    count_up<<<kBlocks, kThreads, 0, p.a>>>(p.x, round, 1);
    cudaEventRecord(p.event, p.a);
    cudaStreamWaitEvent(p.b, p.event, 0);
    add<<<kBlocks, kThreads, 0, p.b>>>(p.y, p.x);
    cudaEventRecord(p.back, p.b);
  }
  cudaMemcpyAsync(p.host, p.y, kBytes, cudaMemcpyDeviceToHost, p.b);
  cudaDeviceSynchronize();
  return p.judge(p.host, 0 + 1 + 2 + 3, 4);
}
