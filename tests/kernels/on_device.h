// Device memory for kernel tests.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

#include "kernels/cuda/runtime.h"

#ifdef NOISETTE_CUDA

namespace noisette::test {

/// A copy of a vector on the device.
template <class T>
class OnDevice {
 public:
  explicit OnDevice(const std::vector<T>& v) : size_(v.size() * sizeof(T)) {
    data_ = static_cast<T*>(cuda::reserve(size_ + 256));
    cuda::copy_to_device(data_, v.data(), size_);
  }
  ~OnDevice() { cuda::release(data_); }
  OnDevice(const OnDevice&) = delete;
  T* get() const { return data_; }
  std::vector<T> back() const {
    std::vector<T> v(size_ / sizeof(T));
    cuda::copy_to_host(v.data(), data_, size_);
    return v;
  }

 private:
  std::size_t size_;
  T* data_;
};

/// A fixture that is skipped where there is no device, unless NOISETTE_REQUIRE_CUDA=1.
template <class Fixture>
class NeedsCuda : public Fixture {
 protected:
  void SetUp() override {
    if (cuda::device_count() > 0) return;
    ASSERT_EQ(std::getenv("NOISETTE_REQUIRE_CUDA"), nullptr) << "no CUDA device";
    GTEST_SKIP() << "no CUDA device";
  }
};

}  // namespace noisette::test

#endif
