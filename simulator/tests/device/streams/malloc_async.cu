// Memory is used in a stream that may come to it before it is there.
#include "stream.h"

int main(int argc, char** argv) {
  Program p(argc, argv);
  int* pool = nullptr;
  cudaMallocAsync(&pool, kBytes, p.a);
  p.order(p.event, p.a, p.b);
  count_up<<<kBlocks, kThreads, 0, p.b>>>(pool, 2, 2);
  cudaMemcpyAsync(p.host, pool, kBytes, cudaMemcpyDeviceToHost, p.b);
  cudaStreamSynchronize(p.b);
  p.order(p.back, p.b, p.a);
  cudaFreeAsync(pool, p.a);
  return p.judge(p.host, 2, 2);
}
