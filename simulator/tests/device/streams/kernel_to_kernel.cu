// A kernel reads what a kernel of another stream writes.
#include "stream.h"

int main(int argc, char** argv) {
  Program p(argc, argv);
  count_up<<<kBlocks, kThreads, 0, p.a>>>(p.x, 5, 3);
  p.order(p.event, p.a, p.b);
  copy<<<kBlocks, kThreads, 0, p.b>>>(p.y, p.x);
  cudaMemcpyAsync(p.host, p.y, kBytes, cudaMemcpyDeviceToHost, p.b);
  cudaDeviceSynchronize();
  return p.judge(p.host, 5, 3);
}
