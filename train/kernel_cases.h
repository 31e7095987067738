// The CUDA kernels that training spends its time in, at shapes of the UNets: what `noisette bench
// kernels` counts on the software GPU and times on a card.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace noisette {

/// One call of a kernel's launcher. What a perfect kernel would do stands beside it.
struct KernelCase {
  std::string family;  // product, convolution, attention, memory, step
  std::string name;    // "conv 3x3 128 -> 128, 128 x 32 x 32, bf16, forward"
  /// Blocks of each launch that the software GPU runs, to stand for all; 0: all of them.
  int64_t sample = 0;
  /// Each input read and each result written once, in bytes.
  double least_bytes = 0;
  /// What 128 x 128 tiles move: of both factors by each tile, and the result. 0: has no tiles.
  double tile_bytes = 0;
  double flops = 0;  // that count: without padding and edges of tiles; 0: of no interest
  /// Makes the tensors on the current CUDA device, and the call on them.
  std::function<std::function<void()>()> make = {};
};

std::vector<KernelCase> kernel_cases();

}  // namespace noisette
