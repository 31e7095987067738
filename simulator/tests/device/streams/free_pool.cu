// cudaFree of stream-ordered memory waits for nothing.
#include "stream.h"

int main(int argc, char** argv) {
  Program p(argc, argv);
  int* pool = nullptr;
  cudaMallocAsync(&pool, kBytes, p.a);
  count_up<<<kBlocks, kThreads, 0, p.a>>>(pool, 2, 2);
  cudaMemcpyAsync(p.host, pool, kBytes, cudaMemcpyDeviceToHost, p.a);
  if (p.good) cudaStreamSynchronize(p.a);
  cudaFree(pool);
  cudaDeviceSynchronize();
  return p.judge(p.host, 2, 2);
}
