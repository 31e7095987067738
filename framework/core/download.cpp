#include "framework/core/download.h"

#include <cstring>
#include <map>

#include "framework/core/dispatch.h"
#include "kernels/cuda/transfer.h"

namespace noisette {

#ifdef NOISETTE_CUDA

namespace {

/// Pinned memory is slow to get, so it is kept for the next download of its size. By thread: what
/// is kept has come to an end there.
std::multimap<std::size_t, std::unique_ptr<cuda::Pinned>>& kept() {
  thread_local std::multimap<std::size_t, std::unique_ptr<cuda::Pinned>> pinned;
  return pinned;
}

std::unique_ptr<cuda::Pinned> pinned_of(std::size_t bytes) {
  if (const auto at = kept().find(bytes); at != kept().end()) {
    auto pinned = std::move(at->second);
    kept().erase(at);
    return pinned;
  }
  return std::make_unique<cuda::Pinned>(bytes);
}

}  // namespace

struct Download::Coming {
  explicit Coming(std::size_t bytes) : pinned(pinned_of(bytes)) {}
  ~Coming() { arrived.wait(); }  // the memory is being written until then
  std::unique_ptr<cuda::Pinned> pinned;
  cuda::Event arrived;
};

Download::Download(const std::vector<Tensor>& tensors) {
  const bool coming = !tensors.empty() && tensors.front().device().type == DeviceType::cuda;
  for (const Tensor& t : tensors) tensors_.push_back(coming ? t.detach() : t.clone());
  if (!coming) return;
  std::size_t bytes = 0;
  for (const Tensor& t : tensors_) bytes += t.bytes();
  const Device device = tensors_.front().device();
  const Dispatching dispatching(device, "download");
  cuda::use_device(device.index);
  coming_ = std::make_unique<Coming>(bytes);
  std::size_t offset = 0;
  for (Tensor& t : tensors_) {
    cuda::download(cuda::Queue::compute, *coming_->pinned, offset, t.raw(), t.bytes());
    offset += t.bytes();
    t = empty(t.shape(), t.dtype());  // where the values are to go
  }
  coming_->arrived.record(cuda::Queue::compute);
}

const std::vector<Tensor>& Download::get() {
  if (!coming_) return tensors_;
  coming_->arrived.wait();
  std::size_t offset = 0;
  for (const Tensor& t : tensors_) {
    std::memcpy(t.raw(), coming_->pinned->data() + offset, t.bytes());
    offset += t.bytes();
  }
  const std::size_t bytes = coming_->pinned->bytes();
  kept().emplace(bytes, std::move(coming_->pinned));
  coming_.reset();
  return tensors_;
}

#else

struct Download::Coming {};

Download::Download(const std::vector<Tensor>& tensors) {
  for (const Tensor& t : tensors) tensors_.push_back(t.clone());
}
const std::vector<Tensor>& Download::get() { return tensors_; }

#endif

Download::Download() = default;
Download::~Download() = default;
Download::Download(Download&&) noexcept = default;
Download& Download::operator=(Download&&) noexcept = default;

}  // namespace noisette
