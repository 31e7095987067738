// What holds between the devices beyond the op suite, which runs on CUDA with
// NOISETTE_TEST_DEVICE=cuda.
#include "tests/support/cuda.h"

#include <cmath>
#include <functional>
#include <thread>

#include "framework/autograd/autograd.h"
#include "framework/core/profile.h"
#include "framework/ops/attention.h"
#include "framework/ops/conv.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/matmul.h"
#include "framework/ops/norm.h"
#include "framework/ops/random.h"
#include "kernels/cuda/scratch.h"
#include "kernels/elementwise.h"
#include "tests/support/message.h"

namespace noisette {
namespace {

using testing_support::kCuda;
using testing_support::message_of;

const RngKey kKey{77, Purpose::kNoise, 3};

Tensor index_on(Device device) {
  return from_vector<int64_t>({5, 0, (int64_t(1) << 24) | 3, 5}, {4}, device);
}

TEST(Cuda, NoiseIsTheSameBits) {
  NOISETTE_NEEDS_CUDA();
  const Tensor here = index_on(kCpu), there = index_on(kCuda);
  for (const Shape& shape : {Shape{4, 1}, Shape{4, 33, 3}, Shape{4, 1024}}) {
    EXPECT_EQ(to_vector<float>(normal(shape, DType::f32, kKey, there)),
              to_vector<float>(normal(shape, DType::f32, kKey, here)));
    EXPECT_EQ(to_vector<float>(uniform(shape, DType::f32, kKey, there)),
              to_vector<float>(uniform(shape, DType::f32, kKey, here)));
  }
  EXPECT_EQ(to_vector<int64_t>(random_integers(1000, kKey, there)),
            to_vector<int64_t>(random_integers(1000, kKey, here)));
}

TEST(Cuda, TensorsGoThereAndBack) {
  NOISETTE_NEEDS_CUDA();
  const std::vector<double> values = {0, -1.5, 1e300, NAN, 7};
  const Tensor x = from_vector(values, {5}, kCuda);
  const std::vector<double> back = to_vector<double>(x.clone());
  for (const std::size_t i : {0, 1, 2, 4}) EXPECT_EQ(back[i], values[i]);
  EXPECT_TRUE(std::isnan(back[3]));
  EXPECT_EQ(to_vector<uint8_t>(full({3}, 200, DType::u8, kCuda)),
            (std::vector<uint8_t>{200, 200, 200}));
  EXPECT_EQ(to_vector<int64_t>(zeros({0}, DType::i64, kCuda)), std::vector<int64_t>());
  EXPECT_EQ(full({}, 2.5, DType::bf16, kCuda).item(), 2.5);
}

/// What `work` makes kernels reserve of temporary memory, and what is counted of it, in a thread
/// that has none.
void expect_counted_scratch(const char* what, const std::function<void()>& work) {
  int64_t reserved = 0, counted = 0;
  std::thread([&] {
    const Profile profile;
    work();
    counted = profile.scratch_bytes();
#ifdef NOISETTE_CUDA
    reserved = int64_t(cuda::scratch_bytes());
#endif
  }).join();
  // Where a launcher's choice depends on more than the shape, the most that it may take is counted.
  EXPECT_GE(counted, reserved) << what;
  EXPECT_LE(counted, 2 * reserved) << what;
  EXPECT_GT(counted, int64_t(1) << 20) << what << ": more than the smallest block";
}

TEST(Cuda, ScratchIsWhatIsCounted) {
  NOISETTE_NEEDS_CUDA();
  const auto given = [](const Shape& shape, DType dtype) {
    return make_leaf(zeros(shape, dtype, kCuda), zeros(shape, accumulator_of(dtype), kCuda), "x");
  };
  const auto there_and_back = [](const Tensor& y) {
    backward(y, zeros(y.shape(), y.dtype(), kCuda));
  };
  for (const DType dtype : {DType::f32, DType::bf16}) {
    expect_counted_scratch("upsample_conv2d", [&] {
      const Tensor x = given({2, 32, 32, 8}, dtype), w = given({64, 3, 3, 8}, dtype);
      there_and_back(upsample_conv2d(x, w, given({64}, DType::f32)));
    });
    expect_counted_scratch("group_norm", [&] {
      const Tensor x = given({96, 1, 1024}, dtype), w = given({1024}, DType::f32);
      there_and_back(group_norm(x, w, given({1024}, DType::f32), 32));
    });
  }
  // Long sums for few weights, and many heads.
  expect_counted_scratch("conv2d", [&] {
    const Tensor x = given({1, 64, 64, 64}, DType::bf16), w = given({64, 3, 3, 64}, DType::bf16);
    there_and_back(conv2d(x, w, given({64}, DType::f32), {.padding = {1, 1, 1, 1}}));
  });
  // Few channels in, in more parts than one kernel adds up, and few out.
  expect_counted_scratch("conv2d of few", [&] {
    const Tensor x = given({8, 256, 256, 3}, DType::bf16), w = given({128, 3, 3, 3}, DType::bf16);
    there_and_back(conv2d(x, w, {}, {.padding = {1, 1, 1, 1}}));
  });
  expect_counted_scratch("conv2d to few", [&] {
    const Tensor x = given({4, 130, 130, 256}, DType::bf16), w = given({3, 3, 3, 256}, DType::bf16);
    there_and_back(conv2d(x, w, {}));
  });
  expect_counted_scratch("linear", [&] {
    const Tensor x = given({4096, 264}, DType::bf16), w = given({128, 264}, DType::bf16);
    there_and_back(linear(x, w, given({128}, DType::f32)));
  });
  // A long sum in tiles, and rows that are no whole chunks.
  for (const Shape& shape : {Shape{256, 4096}, Shape{4096, 63}})
    expect_counted_scratch("linear_geglu", [&] {
      const NoGrad none_kept;
      linear_geglu(given(shape, DType::bf16), given({256, shape.dim(1)}, DType::bf16), {});
    });
  expect_counted_scratch("attention", [&] {
    const Tensor qkv = given({16, 64, 3 * 8 * 130}, DType::bf16);
    there_and_back(self_attention(qkv, 130));
  });
}

TEST(Cuda, ErrorsSayWhatIsMissing) {
  NOISETTE_NEEDS_CUDA();
  EXPECT_NE(message_of([] {
              empty({1}, DType::f32, {DeviceType::cuda, 999});
            }).find("there is no cuda:999; CUDA devices on this machine: "),
            std::string::npos);
  const Tensor here = zeros({2, 3}, DType::f32), there = zeros({2, 3}, DType::f32, kCuda);
  const auto mixed = [&] {
    NOISETTE_DISPATCH(there, multiply, there.data<T>(), here.data<T>(), there.data<T>(), 6);
  };
  EXPECT_NE(message_of(mixed).find("[multiply] all tensors must be on one device; it runs on "
                                   "cuda:0 and got [2, 3] on cpu"),
            std::string::npos);
  const Tensor x = zeros({2}, DType::f64, kCuda);
  EXPECT_NE(
      message_of([&] { mul(x, 2); }).find("f64 exists on the cpu only; got a tensor on cuda:0"),
      std::string::npos);
}

TEST(NoCuda, SaysSo) {
  if (testing_support::has_cuda()) GTEST_SKIP() << "there is a CUDA device";
  EXPECT_NE(message_of([] { empty({1}, DType::f32, kCuda); }).find("cuda:0"), std::string::npos);
}

}  // namespace
}  // namespace noisette
