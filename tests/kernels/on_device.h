// Device memory for kernel tests.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
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
  /// Another copy.
  OnDevice(const OnDevice& other) : OnDevice(other.back()) {}
  ~OnDevice() { cuda::release(data_); }
  OnDevice& operator=(const OnDevice&) = delete;
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

/// Every got[i] is want[i] within relative * |want[i]| + absolute.
template <class T>
void expect_close(const std::vector<T>& got, const std::vector<double>& want, double relative,
                  double absolute, const char* what) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < want.size(); ++i)
    ASSERT_NEAR(double(float(got[i])), want[i], relative * std::abs(want[i]) + absolute)
        << what << " at " << i;
}

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
