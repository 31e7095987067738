// The host reads managed memory that a kernel writes.
#include "stream.h"

int main(int argc, char** argv) {
  Program p(argc, argv);
  int* shared = nullptr;
  cudaMallocManaged(&shared, kBytes);
  std::memset(shared, 0, kBytes);
  count_up<<<kBlocks, kThreads, 0, p.a>>>(shared, 1, 1);
  if (p.good) cudaDeviceSynchronize();
  std::memcpy(p.host, shared, kBytes);
  cudaFree(shared);
  return p.judge(p.host, 1, 1);
}
