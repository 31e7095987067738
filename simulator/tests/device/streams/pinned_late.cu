// A pinned buffer is filled after its asynchronous copy was asked for: the copy may come first.
#include "stream.h"

int main(int argc, char** argv) {
  Program p(argc, argv);
  const auto copy_in = [&] { cudaMemcpyAsync(p.x, p.host, kBytes, cudaMemcpyHostToDevice, p.a); };
  if (!p.good) copy_in();
  for (int i = 0; i < kCount; i++) p.host[i] = i;
  if (p.good) copy_in();
  cudaMemcpyAsync(p.other, p.x, kBytes, cudaMemcpyDeviceToHost, p.a);
  cudaStreamSynchronize(p.a);
  return p.judge(p.other, 0, 1);
}
