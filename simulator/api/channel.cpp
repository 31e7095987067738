// What describes the elements of a texture: a struct that is filled in. Textures are not simulated.
#include "simulator/api/api.h"

SIM_API cudaChannelFormatDesc cudaCreateChannelDesc(int x, int y, int z, int w,
                                                    cudaChannelFormatKind f) {
  return {x, y, z, w, f};
}
