// Recorded work, and copies beside a device's work.
#include <cstdlib>

#include "framework/core/download.h"
#include "framework/core/replay.h"
#include "framework/core/upload.h"
#include "tests/support/cuda.h"

namespace noisette {
namespace {

using testing_support::kCuda;

/// A copy of x whose first element is 7, by way of a tensor that is dropped again.
std::vector<Tensor> with_seven(const Tensor& x) {
  const Tensor between = x.clone(), y = between.clone();
  fill(y.rows(0, 1), 7);
  return {y};
}

Tensor numbers(const std::vector<float>& v) { return from_vector(v, {int64_t(v.size())}, kCuda); }

TEST(CudaReplay, GivesWhatTheWorkGives) {
  NOISETTE_NEEDS_CUDA();
  int runs = 0;
  Replay replay(
      [&](const std::vector<Tensor>& in) {
        ++runs;
        return with_seven(in[0]);
      },
      true);
  for (int i = 0; i < 6; ++i) {
    const auto got = to_vector<float>(replay({numbers({1.f, float(i), 3.f}), Tensor()})[0]);
    EXPECT_EQ(got, (std::vector<float>{7, float(i), 3})) << i;
    // What others are given meanwhile is not the recording's memory.
    const Tensor other = full({1000}, -1, DType::f32, kCuda);
  }
  EXPECT_EQ(runs, 3) << "two to warm up, one to record";
  EXPECT_EQ(replay.state().kind, Replay::State::Kind::recorded);
  EXPECT_EQ(replay.state().kernels, 1);
  EXPECT_EQ(replay.state().copies, 2);
}

TEST(CudaReplay, RecordsAnewForAnotherShape) {
  NOISETTE_NEEDS_CUDA();
  Replay replay([](const std::vector<Tensor>& in) { return with_seven(in[0]); }, true);
  for (const std::size_t n : {3u, 5u, 3u})
    for (int i = 0; i < 4; ++i) {
      const auto got = to_vector<float>(replay({numbers(std::vector<float>(n, 2.f))})[0]);
      ASSERT_EQ(got.size(), n);
      EXPECT_EQ(got[0], 7.f);
      EXPECT_EQ(got[n - 1], 2.f);
    }
}

TEST(CudaReplay, WhatCannotBeRecordedIsDoneAsBefore) {
  NOISETTE_NEEDS_CUDA();
  double first = 0;
  Replay replay(
      [&](const std::vector<Tensor>& in) {
        first = in[0].rows(0, 1).item();  // waits for the device
        return with_seven(in[0]);
      },
      true);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(to_vector<float>(replay({numbers({float(i), 5.f})})[0]), (std::vector<float>{7, 5}));
    EXPECT_EQ(first, i);
  }
  EXPECT_EQ(replay.state().kind, Replay::State::Kind::failed);
  EXPECT_NE(replay.state().why.find("copy_to_host"), std::string::npos) << replay.state().why;
}

// In a process of its own (tests/CMakeLists.txt): the variable is read once.
TEST(WaitingReplay, RecordsNothing) {
  NOISETTE_NEEDS_CUDA();
  if (std::getenv("NOISETTE_SYNC") == nullptr) GTEST_SKIP() << "NOISETTE_SYNC=1 is not set";
  Replay replay([](const std::vector<Tensor>& in) { return with_seven(in[0]); }, true);
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(to_vector<float>(replay({numbers({float(i), 5.f})})[0]), (std::vector<float>{7, 5}));
  EXPECT_EQ(replay.state().kind, Replay::State::Kind::failed);
  EXPECT_EQ(replay.state().why, "NOISETTE_SYNC=1 waits for every kernel");
}

TEST(CudaReplay, MemoryOfAPoolGoesBack) {
  NOISETTE_NEEDS_CUDA();
  Allocator& memory = Allocator::of(kCuda);
  Tensor kept;
  {
    const MemoryPool pool(kCuda);
    const MemoryPool::Use use(pool);
    kept = full({1000}, 3, DType::f32, kCuda);
    const Tensor dropped = empty({1 << 20}, DType::f32, kCuda);
  }
  EXPECT_EQ(to_vector<float>(kept)[999], 3.f);
  const int64_t reserved = memory.stats().reserved_bytes;
  const Tensor again = empty({1 << 20}, DType::f32, kCuda);
  EXPECT_EQ(memory.stats().reserved_bytes, reserved) << "the pool's memory is everybody's again";
}

TEST(CudaDownload, TakesTheValuesOfItsTime) {
  NOISETTE_NEEDS_CUDA();
  const Tensor x = numbers({1, 2, 3}), t = from_vector<int64_t>({4}, {1}, kCuda);
  Download first({x, t});
  fill(x, 9);
  Download second({x});
  EXPECT_EQ(to_vector<float>(first.get()[0]), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(to_vector<int64_t>(first.get()[1]), (std::vector<int64_t>{4}));
  EXPECT_EQ(to_vector<float>(second.get()[0]), (std::vector<float>{9, 9, 9}));
}

TEST(CudaUpload, WaitsForWhoReadsTheValuesBefore) {
  NOISETTE_NEEDS_CUDA();
  UploadBuffer buffer({empty({3}, DType::f32, kCuda)});
  std::vector<Tensor> seen;
  for (int i = 0; i < 4; ++i) {
    auto* host = static_cast<float*>(buffer.host(0));
    for (int k = 0; k < 3; ++k) host[k] = float(10 * i + k);
    buffer.start();
    seen.push_back(buffer.take()[0].clone());
    buffer.release();
  }
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(to_vector<float>(seen[std::size_t(i)])[1], float(10 * i + 1));
}

}  // namespace
}  // namespace noisette
