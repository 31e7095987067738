// The host reads what a host function of a stream writes.
#include "stream.h"

int main(int argc, char** argv) {
  Program p(argc, argv);
  const auto fill = [](void* data) {
    for (int i = 0; i < kCount; i++) static_cast<int*>(data)[i] = i;
  };
  cudaLaunchHostFunc(p.a, fill, p.host);
  if (p.good) cudaStreamSynchronize(p.a);
  return p.judge(p.host, 0, 1);
}
