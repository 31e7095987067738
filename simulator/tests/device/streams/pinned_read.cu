// The host reads the result of an asynchronous copy.
#include "stream.h"

int main(int argc, char** argv) {
  Program p(argc, argv);
  count_up<<<kBlocks, kThreads, 0, p.a>>>(p.x, 1, 1);
  cudaMemcpyAsync(p.host, p.x, kBytes, cudaMemcpyDeviceToHost, p.a);
  if (p.good) cudaStreamSynchronize(p.a);
  return p.judge(p.host, 1, 1);
}
