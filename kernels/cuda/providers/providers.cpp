#include "kernels/cuda/providers/providers.h"

#include <atomic>
#include <exception>
#include <fstream>
#include <utility>

#include "kernels/cuda/runtime.h"
#include "kernels/cuda/stream.h"

namespace noisette::cuda::providers {
namespace {

/// Never destroyed at the end of the program, when the libraries' own state may be gone.
std::atomic<Selection*> in_use = nullptr;

}  // namespace

/// Its cards are called so, in simulator/device/model.cpp.
bool is_simulated(int device) { return device_info(device).name.ends_with("(simulated)"); }

std::vector<std::unique_ptr<Provider>> installed(
    const std::function<void(const std::string&)>& warn) {
  std::vector<std::unique_ptr<Provider>> all;
  if (is_simulated(current_device())) return all;
  for (auto* open : {open_cublaslt, open_cudnn}) {
    try {
      if (auto provider = open()) all.push_back(std::move(provider));
    } catch (const std::exception& e) {
      warn(std::string("a library that is installed cannot be used: ") + e.what());
    }
  }
  return all;
}

std::string driver_version() {
  std::string text;
  if (std::ifstream("/sys/module/nvidia/version") >> text) return text;
  int number = 0;  // of CUDA: less exact
  check(cudaDriverGetVersion(&number), "driver");
  return "for CUDA " + std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

void use(std::unique_ptr<Selection> selection) { delete in_use.exchange(selection.release()); }
Selection* selection() { return in_use; }

}  // namespace noisette::cuda::providers
