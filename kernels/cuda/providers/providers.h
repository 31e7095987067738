// Libraries that may stand in for our kernels: cuBLASLt for matrix products, cuDNN for convolution
// and attention. They are looked for when the program runs and are nothing it is linked to.
// Compiled, but not yet run: they need a card.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/providers/provider.h"
#include "kernels/cuda/providers/selection.h"
#include "kernels/cuda/runtime.h"

namespace noisette::cuda::providers {

/// Null where the library is not installed, or the program was built without its header.
std::unique_ptr<Provider> open_cublaslt();
std::unique_ptr<Provider> open_cudnn();
/// Whether a device is the software GPU (simulator/), which runs our kernels alone.
bool is_simulated(int device);
/// Those of them that are there and can be opened, for the current device. None on the software
/// GPU.
std::vector<std::unique_ptr<Provider>> installed(
    const std::function<void(const std::string&)>& warn);

/// The version of the machine's driver, as far as it can be told.
std::string driver_version();

/// Who chooses in this process; null, as at the start: our kernels do everything. Not while another
/// thread computes.
void use(std::unique_ptr<Selection> selection);
Selection* selection();

/// A Work on elements of T.
template <class T, class Dims>
Work work(Operation operation, const Dims& dims, Addend added = Addend::none, bool bias = false,
          bool statistics = false) {
  constexpr bool kBf16 = sizeof(T) == 2;
  return {operation, dims, kBf16, !kBf16 && tf32(), bias, added, statistics};
}

/// `ours`, or what the selection has found to be better.
template <class Kernel>
void run(const Work& work, const Operands& operands, const Kernel& ours) {
  if (Selection* const s = selection()) return s->run(work, operands, ours);
  ours(operands);
}

}  // namespace noisette::cuda::providers
