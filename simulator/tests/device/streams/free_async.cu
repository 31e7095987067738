// Memory is freed in one stream while another may still use it.
#include "stream.h"

int main(int argc, char** argv) {
  Program p(argc, argv);
  int* pool = nullptr;
  cudaMallocAsync(&pool, kBytes, p.a);
  count_up<<<kBlocks, kThreads, 0, p.a>>>(pool, 2, 2);
  cudaEventRecord(p.event, p.a);
  cudaStreamWaitEvent(p.b, p.event, 0);
  copy<<<kBlocks, kThreads, 0, p.b>>>(p.y, pool);
  p.order(p.back, p.b, p.a);
  cudaFreeAsync(pool, p.a);
  cudaMemcpyAsync(p.host, p.y, kBytes, cudaMemcpyDeviceToHost, p.b);
  cudaDeviceSynchronize();
  return p.judge(p.host, 2, 2);
}
