// Shapes of convolutions, by name.
#pragma once
#include <string>

#include "kernels/conv.h"

namespace noisette::test {

struct ConvCase {
  std::string name;
  ConvDims d;
};

/// A 3x3 kernel with padding 1 on [batch, h, w, in].
inline ConvDims same3(int64_t batch, int64_t h, int64_t w, int64_t in, int64_t out,
                      int64_t stride = 1) {
  return {batch, h, w, in, out, 3, 3, stride, 1, 1, 1, 1};
}

}  // namespace noisette::test
