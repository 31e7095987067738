// A stream that does not block does not wait for cudaMemset, which goes to the default stream.
#include "stream.h"

int main(int argc, char** argv) {
  Program p(argc, argv);
  cudaMemset(p.x, 1, kBytes);
  if (p.good) cudaStreamSynchronize(nullptr);
  copy<<<kBlocks, kThreads, 0, p.a>>>(p.y, p.x);
  cudaMemcpyAsync(p.host, p.y, kBytes, cudaMemcpyDeviceToHost, p.a);
  cudaStreamSynchronize(p.a);
  return p.judge(p.host, 0x01010101, 0);
}
