// What holds between the devices beyond the op suite, which runs on CUDA with
// NOISETTE_TEST_DEVICE=cuda.
#include "tests/support/cuda.h"

#include <cmath>

#include "framework/ops/elementwise.h"
#include "framework/ops/random.h"
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
