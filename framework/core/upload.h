// Tensors that are filled from the host again and again, while the device works.
#pragma once
#include <memory>
#include <vector>

#include "framework/core/tensor.h"

namespace noisette {

class UploadBuffer {
 public:
  /// Values for tensors of these shapes, dtypes and device. On the CPU nothing is copied twice.
  explicit UploadBuffer(const std::vector<Tensor>& like);
  ~UploadBuffer();
  UploadBuffer(UploadBuffer&&) noexcept;

  /// Host memory to be filled in for tensor i, before start().
  void* host(std::size_t i);
  /// Begins to copy it, once what used the values before (release) has run.
  void start();
  /// The tensors: work asked for from now on finds the new values.
  const std::vector<Tensor>& take();
  /// All work on the values that were taken has been asked for.
  void release();

 private:
  struct Pinned;
  std::vector<Tensor> tensors_;
  std::unique_ptr<Pinned> pinned_;  // of a device's
};

}  // namespace noisette
