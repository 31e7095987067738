// Tensor: contiguous, row-major, a reference-counted storage with an offset, a shape, a dtype and a
// device.
//
// Copying a Tensor copies the handle, not the data. There are no strides: a view is another shape
// over the same elements, or a range of the first axis. Whatever else would need strides is an
// argument of a kernel.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "framework/core/allocator.h"
#include "framework/core/check.h"
#include "framework/core/device.h"
#include "framework/core/dtype.h"
#include "framework/core/shape.h"

namespace noisette {

struct Node;  // framework/autograd/autograd.h: the place of a tensor on the tape

/// A block of memory on one device, freed with its last owner.
class Storage {
 public:
  Storage(std::size_t bytes, Device device);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  /// Accounts for this block under the name of the op that made it.
  void tag(MemoryTag tag);

 private:
  void* data_;
  std::size_t bytes_;
  Device device_;
  MemoryTag tag_ = 0;
};

class Tensor {
 public:
  Tensor() = default;  // no tensor: defined() is false

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int64_t ndim() const { return shape_.ndim(); }
  int64_t dim(int64_t axis) const { return shape_.dim(axis); }
  int64_t numel() const { return numel_; }
  std::size_t bytes() const { return std::size_t(numel_) * size_of(dtype_); }
  DType dtype() const { return dtype_; }
  Device device() const { return storage_ ? storage_->device() : kCpu; }

  /// First element. Throws unless T is the tensor's element type. nullptr on meta.
  template <class T>
  T* data() const {
    check(dtype_ == dtype_of<T>, "[tensor] data of type {} was asked of a {} tensor {}",
          dtype_of<T>, dtype_, shape_);
    return static_cast<T*>(raw());
  }
  void* raw() const;

  /// The elements as host memory. CPU tensors only.
  template <class T>
  std::span<T> span() const {
    check(device().is_cpu(), "[tensor] host access to a tensor on {}", device());
    return {data<T>(), std::size_t(numel_)};
  }
  /// The only element of a one-element tensor, as double; waits for a device. Never called inside a
  /// training step.
  double item() const;

  /// Same elements under another shape of equal size; one extent may be -1. Not for tensors on the
  /// tape, which would silently lose their gradient: use reshape() of framework/ops/shape.h there.
  Tensor view(const Shape& shape) const;
  /// Rows [begin, end) of the first axis, sharing memory. Not for tensors on the tape.
  Tensor rows(int64_t begin, int64_t end) const;
  /// The same data, off the tape.
  Tensor detach() const;
  /// A copy of the data in new memory, off the tape.
  Tensor clone() const;
  /// Whether both handles refer to the same elements.
  bool same_data(const Tensor& other) const {
    return storage_ == other.storage_ && offset_ == other.offset_ && numel_ == other.numel_;
  }
  /// Whether nobody else holds the storage, so that it may be overwritten.
  bool sole_owner() const { return storage_.use_count() == 1; }
  const std::shared_ptr<Storage>& storage() const { return storage_; }

  /// Makes this tensor a leaf whose gradient backward() keeps; returns itself.
  Tensor& requires_grad();
  bool needs_grad() const { return node_ != nullptr; }
  /// Gradient of a leaf after backward(); undefined before. Throws for a tensor that is not a leaf.
  Tensor grad() const;

  const std::shared_ptr<Node>& node() const { return node_; }
  void set_node(std::shared_ptr<Node> node) { node_ = std::move(node); }

  friend Tensor empty(const Shape& shape, DType dtype, Device device);

 private:
  std::shared_ptr<Storage> storage_;
  int64_t offset_ = 0;  // elements
  int64_t numel_ = 0;
  Shape shape_;
  DType dtype_ = DType::f32;
  std::shared_ptr<Node> node_;
};

Tensor empty(const Shape& shape, DType dtype, Device device = kCpu);  // uninitialised
inline Tensor empty_like(const Tensor& x) { return empty(x.shape(), x.dtype(), x.device()); }
Tensor zeros(const Shape& shape, DType dtype, Device device = kCpu);
Tensor full(const Shape& shape, double value, DType dtype, Device device = kCpu);

/// Sets every element. Works on any dtype but f16; does nothing on meta.
void fill(const Tensor& x, double value);
/// Copies the bytes of `from` into `to`: equal shape, dtype and device.
void copy(const Tensor& from, const Tensor& to);

/// A copy on another device, off the tape; the tensor itself where it is there already.
Tensor to_device(const Tensor& x, Device device);
/// Host memory into a tensor, and back, which waits for all work before it. Nothing on meta.
void copy_in(const void* from, const Tensor& to);
void copy_out(const Tensor& from, void* to);

template <class T>
Tensor from_span(std::span<const T> values, const Shape& shape, Device device = kCpu) {
  check(int64_t(values.size()) == shape.numel(), "[tensor] shape {} needs {} values; got {}", shape,
        shape.numel(), values.size());
  Tensor x = empty(shape, dtype_of<T>, device);
  copy_in(values.data(), x);
  return x;
}
template <class T>
Tensor from_vector(const std::vector<T>& values, const Shape& shape, Device device = kCpu) {
  return from_span<T>(std::span<const T>(values), shape, device);
}
template <class T>
std::vector<T> to_vector(const Tensor& x) {
  check(!x.device().is_meta() && dtype_of<T> == x.dtype(),
        "[tensor] values of type {} were asked of a {} tensor {} on {}", dtype_of<T>, x.dtype(),
        x.shape(), x.device());
  std::vector<T> values(std::size_t(x.numel()));
  copy_out(x, values.data());
  return values;
}

}  // namespace noisette
