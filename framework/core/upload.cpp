#include "framework/core/upload.h"

#include "framework/core/dispatch.h"
#include "kernels/cuda/transfer.h"

namespace noisette {

#ifdef NOISETTE_CUDA

struct UploadBuffer::Pinned {
  std::vector<std::unique_ptr<cuda::Pinned>> memory;
  cuda::Event arrived, used;
  Device device;
};

UploadBuffer::UploadBuffer(const std::vector<Tensor>& like) {
  for (const Tensor& t : like) tensors_.push_back(empty_like(t));
  const Device device = like.empty() ? kCpu : like.front().device();
  if (device.type != DeviceType::cuda) return;
  cuda::use_device(device.index);
  pinned_ = std::make_unique<Pinned>();
  pinned_->device = device;
  for (const Tensor& t : tensors_)
    pinned_->memory.push_back(std::make_unique<cuda::Pinned>(t.bytes()));
  pinned_->used.record(cuda::Queue::compute);  // what held the tensors' memory before
}
UploadBuffer::~UploadBuffer() {
  if (pinned_) pinned_->arrived.wait();
}

void* UploadBuffer::host(std::size_t i) {
  if (!pinned_) return tensors_[i].raw();
  pinned_->arrived.wait();
  return pinned_->memory[i]->data();
}

void UploadBuffer::start() {
  if (!pinned_) return;
  const Dispatching dispatching(pinned_->device, "upload");
  cuda::use_device(pinned_->device.index);
  pinned_->used.hold(cuda::Queue::copy);
  for (std::size_t i = 0; i < tensors_.size(); ++i)
    cuda::upload(cuda::Queue::copy, tensors_[i].raw(), *pinned_->memory[i], tensors_[i].bytes());
  pinned_->arrived.record(cuda::Queue::copy);
}

const std::vector<Tensor>& UploadBuffer::take() {
  if (pinned_) pinned_->arrived.hold(cuda::Queue::compute);
  return tensors_;
}

void UploadBuffer::release() {
  if (pinned_) pinned_->used.record(cuda::Queue::compute);
}

#else

struct UploadBuffer::Pinned {};

UploadBuffer::UploadBuffer(const std::vector<Tensor>& like) {
  for (const Tensor& t : like) tensors_.push_back(empty_like(t));
}
UploadBuffer::~UploadBuffer() = default;
void* UploadBuffer::host(std::size_t i) { return tensors_[i].raw(); }
void UploadBuffer::start() {}
const std::vector<Tensor>& UploadBuffer::take() { return tensors_; }
void UploadBuffer::release() {}

#endif

UploadBuffer::UploadBuffer(UploadBuffer&&) noexcept = default;

}  // namespace noisette
