// A device whose memory runs out.
#include <thread>
#include <vector>

#include "framework/core/dispatch.h"
#include "kernels/matmul.h"
#include "tests/support/cuda.h"
#include "tests/support/message.h"

#ifdef NOISETTE_CUDA

namespace noisette {
namespace {

using testing_support::kCuda;
using testing_support::message_of;

/// All that is left of the device's memory.
class Rest {
 public:
  Rest() {
    cuda::use_device(kCuda.index);
    for (std::size_t bytes = std::size_t(1) << 36; bytes >= std::size_t(1) << 16; bytes /= 2)
      while (void* const data = cuda::reserve(bytes)) all_.push_back(data);
  }
  ~Rest() {
    for (void* data : all_) cuda::release(data);
  }
  Rest(const Rest&) = delete;
  Rest& operator=(const Rest&) = delete;

 private:
  std::vector<void*> all_;
};

/// Whose sum is long enough for parts, which lie in scratch.
class CudaMemory : public testing::Test {
 protected:
  void SetUp() override {
    NOISETTE_NEEDS_CUDA();
    if (!cuda::device_info(kCuda.index).name.ends_with("(simulated)"))
      GTEST_SKIP() << "would take all memory of a card that others may use";
    a_ = zeros({kM, kK}, DType::bf16, kCuda);
    b_ = zeros({kM, kK}, DType::bf16, kCuda);
    c_ = zeros({kM, kM}, DType::f32, kCuda);
  }
  /// The error of the product in a thread of its own, which begins without scratch.
  std::string error() const {
    std::string message;
    std::thread([&] {
      constexpr MatmulDims d{.m = kM, .n = kM, .k = kK, .trans_b = true};
      message = message_of([&] {
        NOISETTE_DISPATCH(a_, matmul_accumulate, a_.data<T>(), b_.data<T>(), c_.data<acc_t<T>>(),
                          false, d);
      });
    }).join();
    return message;
  }
  static constexpr int64_t kM = 128, kK = 8192;
  Tensor a_, b_, c_;
};

TEST_F(CudaMemory, ScratchRunningOutNamesTheShapesAndTheLargest) {
  a_.storage()->tag(memory_tag("embedding"));
  Allocator::of(kCuda).trim();
  const Rest rest;
  const std::string message = error();
  EXPECT_TRUE(message.starts_with("[matmul_accumulate] over ")) << message;
  for (const char* part : {"bf16 [128, 8192]", "f32 [128, 128]",
                           ": out of memory on cuda:0: wanted 1.0 MB with ", "embedding 2.1 MB"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST_F(CudaMemory, ScratchTakesWhatNoTensorUses) {
  Tensor gone = zeros({1 << 29}, DType::u8, kCuda);  // in a segment of its own
  const Rest rest;
  EXPECT_NE(error(), "no error");
  gone = Tensor();
  EXPECT_EQ(error(), "no error");
}

}  // namespace
}  // namespace noisette

#endif
