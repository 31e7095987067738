// A kernel reads what an asynchronous copy of another stream brings.
#include "stream.h"

int main(int argc, char** argv) {
  Program p(argc, argv);
  for (int i = 0; i < kCount; i++) p.host[i] = i;
  cudaMemcpyAsync(p.x, p.host, kBytes, cudaMemcpyHostToDevice, p.a);
  p.order(p.event, p.a, p.b);
  copy<<<kBlocks, kThreads, 0, p.b>>>(p.y, p.x);
  cudaMemcpyAsync(p.other, p.y, kBytes, cudaMemcpyDeviceToHost, p.b);
  cudaStreamSynchronize(p.b);
  return p.judge(p.other, 0, 1);
}
