// What was measured of libraries that stand in for our CUDA kernels (kernels/cuda/providers), kept
// from one process to the next.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "kernels/cuda/providers/choice.h"

namespace noisette {

/// One file for a card, its driver and the libraries' versions: `machine`, as in "NVIDIA H100 80GB
/// HBM3, driver 580.65.06, cuBLASLt 13.0.2". Choices hold for nothing else.
class ProviderCache {
 public:
  ProviderCache(const std::filesystem::path& folder, std::string machine);
  const std::filesystem::path& path() const { return path_; }

  /// None where there is no file; none, and a warning, where there is one that cannot be used.
  cuda::providers::Choices load() const;
  /// Adds to what the file holds by now. One warning where it cannot be written.
  void save(const cuda::providers::Choices& choices) const;

 private:
  std::filesystem::path path_;
  std::string machine_;
};

/// ${XDG_CACHE_HOME:-~/.cache}/noisette; none where the environment has neither.
std::optional<std::filesystem::path> cache_folder();

}  // namespace noisette
