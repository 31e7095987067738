// Values of a device on their way to the host, while both go on.
#pragma once
#include <memory>
#include <vector>

#include "framework/core/tensor.h"

namespace noisette {

/// Starts copying tensors when it is made; their values may be changed after that.
class Download {
 public:
  Download();  // of nothing
  /// All of one device.
  explicit Download(const std::vector<Tensor>& tensors);
  ~Download();
  Download(Download&&) noexcept;
  Download& operator=(Download&&) noexcept;

  /// The same tensors on the CPU, off the tape. Waits until they have come, not for later work.
  const std::vector<Tensor>& get();

 private:
  struct Coming;
  std::unique_ptr<Coming> coming_;
  std::vector<Tensor> tensors_;
};

}  // namespace noisette
