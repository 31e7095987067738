// A pinned buffer is filled again before its asynchronous copy has run.
#include "stream.h"

int main(int argc, char** argv) {
  Program p(argc, argv);
  for (int i = 0; i < kCount; i++) p.host[i] = i;
  cudaMemcpyAsync(p.x, p.host, kBytes, cudaMemcpyHostToDevice, p.a);
  if (p.good) cudaStreamSynchronize(p.a);
  for (int i = 0; i < kCount; i++) p.host[i] = 2 * i;
  cudaMemcpyAsync(p.y, p.host, kBytes, cudaMemcpyHostToDevice, p.a);
  cudaMemcpyAsync(p.other, p.x, kBytes, cudaMemcpyDeviceToHost, p.a);
  cudaStreamSynchronize(p.a);
  return p.judge(p.other, 0, 1);
}
