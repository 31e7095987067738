// expects: cudaCreateTextureObject is not simulated
// bad: a texture; what only describes its elements is there.
#include "check.h"

int main(int argc, char** argv) {
  const cudaChannelFormatDesc format = cudaCreateChannelDesc<float2>();
  const bool right = format.x == 32 && format.y == 32 && format.z == 0 && format.w == 0 &&
                     format.f == cudaChannelFormatKindFloat;
  cudaResourceDesc resource = {};
  resource.resType = cudaResourceTypeLinear;
  resource.res.linear.desc = format;
  const cudaTextureDesc texture = {};
  cudaTextureObject_t object = 0;
  if (asked_for_bad(argc, argv)) cudaCreateTextureObject(&object, &resource, &texture, nullptr);
  return finish() || !right;
}
