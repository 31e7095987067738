#include "framework/core/tensor.h"

#include <algorithm>
#include <cstring>

#include "framework/core/dispatch.h"
#include "kernels/accumulate.h"

namespace noisette {
namespace {

thread_local Dispatching* running = nullptr;

/// Runs `on_host` or `on_device` for a tensor's bytes; neither where it has none.
template <class Host, class Card>
void on_bytes(const Tensor& x, const char* name, const Host& on_host, const Card& on_card) {
  if (x.raw() != nullptr && x.numel() > 0) dispatch_kernel(x.device(), name, on_host, on_card);
}

}  // namespace

Storage::Storage(std::size_t bytes, Device device)
    : data_(Allocator::of(device).allocate(bytes, 0)), bytes_(bytes), device_(device) {}

Storage::~Storage() { Allocator::of(device_).free(data_, bytes_, tag_); }

void Storage::tag(MemoryTag tag) {
  Allocator::of(device_).retag(bytes_, tag_, tag);
  tag_ = tag;
}

Dispatching::Dispatching(Device device, const char* kernel)
    : device_(device), kernel_(kernel), before_(running) {
  running = this;
}
Dispatching::~Dispatching() { running = before_; }

void Dispatching::note(const Tensor& x) {
  if (count_++ >= seen_.size()) return;
  Seen& s = seen_[count_ - 1];
  s.dtype = x.dtype();
  s.axes = std::min(x.shape().dims().size(), s.dims.size());
  std::copy_n(x.shape().begin(), s.axes, s.dims.begin());
}

void Dispatching::rethrow(const std::runtime_error& e) const {
  if (dynamic_cast<const Error*>(&e) != nullptr) throw;
  std::string tensors;
  for (std::size_t i = 0; i < std::min(count_, seen_.size()); ++i) {
    const Seen& s = seen_[i];
    tensors += fmt::format("{}{} [{}]", i > 0 ? ", " : "", s.dtype,
                           fmt::join(s.dims.begin(), s.dims.begin() + s.axes, ", "));
  }
  if (count_ > seen_.size()) tensors += ", ...";
  std::string text = e.what();
#ifdef NOISETTE_CUDA
  if (const auto* short_of = dynamic_cast<const cuda::OutOfMemory*>(&e))
    text = Allocator::of(device_).shortage(short_of->bytes);
#endif
  throw Error(fmt::format("[{}] over {}: {}", kernel_, tensors, text));
}

void* Tensor::raw() const {
  check(defined(), "[tensor] data of an undefined tensor was asked for");
  if (running != nullptr) {
    check(running->device_ == device(),
          "[{}] all tensors must be on one device; it runs on {} and got {} on {}",
          running->kernel_, running->device_, shape_, device());
    running->note(*this);
  }
  if (storage_->data() == nullptr || device().is_meta()) return nullptr;
  return static_cast<std::byte*>(storage_->data()) + std::size_t(offset_) * size_of(dtype_);
}

double Tensor::item() const {
  check(numel_ == 1 && !device().is_meta(), "[tensor] item() needs one element; got shape {} on {}",
        shape_, device());
  if (!device().is_cpu()) return to_device(*this, kCpu).item();
  switch (dtype_) {
    case DType::f32:
      return double(*data<float>());
    case DType::bf16:
      return double(float(*data<bfloat16>()));
    case DType::f64:
      return *data<double>();
    case DType::i32:
      return double(*data<int32_t>());
    case DType::i64:
      return double(*data<int64_t>());
    case DType::u8:
      return double(*data<uint8_t>());
    case DType::f16:
      break;
  }
  fail("[tensor] item() does not read {} tensors", dtype_);
}

Tensor Tensor::view(const Shape& shape) const {
  check(node_ == nullptr,
        "[view] tensor {} is on the tape and would lose its gradient; use reshape()", shape_);
  std::vector<int64_t> dims = shape.dims();
  int64_t known = 1, unknown = -1;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] != -1) {
      known *= dims[i];
      continue;
    }
    check(unknown < 0, "[view] at most one extent may be -1; got {}", shape);
    unknown = int64_t(i);
  }
  if (unknown >= 0 && known > 0) dims[std::size_t(unknown)] = numel_ / known;
  Tensor y = *this;
  y.shape_ = Shape(std::move(dims));
  check(y.shape_.numel() == numel_, "[view] shape {} with {} elements does not fit {}", shape_,
        numel_, shape);
  return y;
}

Tensor Tensor::rows(int64_t begin, int64_t end) const {
  check(node_ == nullptr, "[rows] tensor {} is on the tape and would lose its gradient", shape_);
  check(ndim() > 0 && begin >= 0 && begin <= end && end <= dim(0),
        "[rows] rows {} to {} do not exist in a tensor of shape {}", begin, end, shape_);
  std::vector<int64_t> dims = shape_.dims();
  const int64_t row = dims[0] == 0 ? 0 : numel_ / dims[0];
  dims[0] = end - begin;
  Tensor y = *this;
  y.shape_ = Shape(std::move(dims));
  y.offset_ += begin * row;
  y.numel_ = (end - begin) * row;
  return y;
}

Tensor Tensor::detach() const {
  Tensor y = *this;
  y.node_ = nullptr;
  return y;
}

Tensor Tensor::clone() const {
  Tensor y = empty(shape_, dtype_, device());
  copy(*this, y);
  return y;
}

Tensor empty(const Shape& shape, DType dtype, Device device) {
  for (int64_t d : shape) check(d >= 0, "[empty] shape {} has a negative extent", shape);
  Tensor x;
  x.shape_ = shape;
  x.dtype_ = dtype;
  x.numel_ = shape.numel();
  x.storage_ = std::make_shared<Storage>(std::size_t(x.numel_) * size_of(dtype), device);
  return x;
}

Tensor zeros(const Shape& shape, DType dtype, Device device) {
  const Tensor x = empty(shape, dtype, device);
  on_bytes(
      x, "zeros", [&] { std::memset(x.raw(), 0, x.bytes()); },
      [&] { NOISETTE_CUDA_CALL(set_bytes, x.raw(), 0, x.bytes()); });
  return x;
}

Tensor full(const Shape& shape, double value, DType dtype, Device device) {
  Tensor x = empty(shape, dtype, device);
  fill(x, value);
  return x;
}

void fill(const Tensor& x, double value) {
  if (x.raw() == nullptr) return;
  const auto set = [&]<class T>(T v) {
    NOISETTE_KERNEL(x.device(), fill, x.data<T>(), v, x.numel());
  };
  switch (x.dtype()) {
    case DType::f32:
      return set(float(value));
    case DType::bf16:
      return set(bfloat16(float(value)));
    case DType::f64:
      return set(value);
    case DType::i32:
      return set(int32_t(value));
    case DType::i64:
      return set(int64_t(value));
    case DType::u8:
      return set(uint8_t(value));
    case DType::f16:
      break;
  }
  fail("[fill] does not write {} tensors", x.dtype());
}

void copy(const Tensor& from, const Tensor& to) {
  check(from.shape() == to.shape() && from.dtype() == to.dtype() && from.device() == to.device(),
        "[copy] both sides must agree; got {} {} on {} and {} {} on {}", from.dtype(), from.shape(),
        from.device(), to.dtype(), to.shape(), to.device());
  on_bytes(
      from, "copy", [&] { std::memcpy(to.raw(), from.raw(), from.bytes()); },
      [&] { NOISETTE_CUDA_CALL(copy_on_device, to.raw(), from.raw(), from.bytes()); });
}

Tensor to_device(const Tensor& x, Device device) {
  if (x.device() == device) return x.detach();
  const Tensor y = empty(x.shape(), x.dtype(), device);
  if (device.is_meta()) return y;
  check(!x.device().is_meta(), "[to_device] a tensor {} on meta has no data to copy", x.shape());
  check(x.device().is_cpu() || device.is_cpu(),
        "[to_device] one side must be the cpu; got {} to {}", x.device(), device);
  if (x.device().is_cpu())
    copy_in(x.raw(), y);
  else
    copy_out(x, y.raw());
  return y;
}

void copy_in(const void* from, const Tensor& to) {
  on_bytes(
      to, "copy_in", [&] { std::memcpy(to.raw(), from, to.bytes()); },
      [&] { NOISETTE_CUDA_CALL(copy_to_device, to.raw(), from, to.bytes()); });
}

void copy_out(const Tensor& from, void* to) {
  on_bytes(
      from, "copy_out", [&] { std::memcpy(to, from.raw(), from.bytes()); },
      [&] { NOISETTE_CUDA_CALL(copy_to_host, to, from.raw(), from.bytes()); });
}

}  // namespace noisette
