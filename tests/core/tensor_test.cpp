#include "framework/core/tensor.h"

#include <gtest/gtest.h>

#include "kernels/cpu/scratch.h"
#include "tests/support/message.h"

namespace noisette {
namespace {

using testing_support::message_of;

TEST(Tensor, ViewsShareMemory) {
  const Tensor x = from_vector<float>({0, 1, 2, 3, 4, 5}, {3, 2});
  x.rows(1, 3).data<float>()[0] = 20;
  EXPECT_EQ(x.view({-1}).data<float>()[2], 20);
  EXPECT_EQ(x.view({2, -1}).shape(), (Shape{2, 3}));
  EXPECT_EQ(x.rows(1, 1).numel(), 0);
}

TEST(Tensor, MistakesNameBothSides) {
  const Tensor x = zeros({3, 2}, DType::f32);
  EXPECT_NE(message_of([&] {
              x.view({4, 2});
            }).find("[3, 2] with 6 elements does not fit [4, 2]"),
            std::string::npos);
  EXPECT_NE(message_of([&] { x.data<double>(); }).find("f64 was asked of a f32 tensor [3, 2]"),
            std::string::npos);
  EXPECT_NE(message_of([&] { x.rows(2, 5); }).find("rows 2 to 5 do not exist"), std::string::npos);
  EXPECT_NE(message_of([&] {
              copy(x, zeros({2, 3}, DType::f32));
            }).find("[3, 2]"),
            std::string::npos);
  EXPECT_NE(message_of([] { empty({2, -1}, DType::f32); }).find("negative"), std::string::npos);
}

TEST(Tensor, EmptyAndScalar) {
  EXPECT_EQ(zeros({0, 4}, DType::bf16).numel(), 0);
  EXPECT_EQ(full({}, 2.5, DType::f64).item(), 2.5);
}

TEST(Tensor, MetaHasASizeButNoData) {
  Allocator& meta = Allocator::of(kMeta);
  const int64_t before = meta.stats().live_bytes;
  const Tensor x = empty({1 << 20, 1 << 20}, DType::f32, kMeta);
  EXPECT_EQ(x.raw(), nullptr);
  EXPECT_EQ(meta.stats().live_bytes - before, int64_t(4) << 40);
}

TEST(Tensor, MetaReservesAsADeviceWould) {
  Allocator& meta = Allocator::of(kMeta);
  constexpr int64_t kSegment = int64_t(1) << 28;
  const auto reserved = [&] { return meta.stats().reserved_bytes; };
  const int pool = meta.new_pool(), before = meta.use_pool(pool);
  const int64_t start = reserved();
  meta.reset_peak();
  {
    const Tensor x = empty({1000}, DType::f32, kMeta), y = empty({kSegment / 2}, DType::u8, kMeta);
    EXPECT_EQ(reserved() - start, kSegment);
    const Tensor z = empty({kSegment / 2}, DType::u8, kMeta);
    EXPECT_EQ(reserved() - start, 2 * kSegment) << "of the first segment too little is left";
    const Tensor large = empty({2 * kSegment + 1}, DType::u8, kMeta);
    EXPECT_EQ(reserved() - start, 4 * kSegment + (int64_t(2) << 20));
  }
  meta.trim();
  EXPECT_EQ(reserved(), start);
  EXPECT_EQ(meta.stats().peak_reserved_bytes - start, 4 * kSegment + (int64_t(2) << 20));
  meta.use_pool(before);
  meta.drop_pool(pool);
}

TEST(Allocator, CountsLiveAndPeakByName) {
  Allocator& cpu = Allocator::of(kCpu);
  cpu.reset_peak();
  const int64_t before = cpu.stats().live_bytes;
  {
    const Tensor a = empty({1000, 16}, DType::f32);
    a.storage()->tag(memory_tag("test_op"));
    const Tensor b = empty({500, 16}, DType::f32);
  }
  const MemoryStats s = cpu.stats();
  EXPECT_EQ(s.live_bytes, before);
  EXPECT_EQ(s.peak_bytes - before, 96'000);
  EXPECT_EQ(s.peak_by_tag.front(), std::pair(std::string("test_op"), int64_t(64'000)));
}

TEST(Allocator, ReusesWhatWasFreed) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP()
      << "with AddressSanitizer nothing is reused, so that it sees every use after the end";
#endif
  void* first = empty({1 << 20}, DType::f32).raw();
  EXPECT_EQ(empty({1 << 20}, DType::f32).raw(), first);
}

TEST(Allocator, LendsKernelsWhatTensorsLeft) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "with AddressSanitizer nothing is reused";
#endif
  constexpr int64_t kNumel = 1 << 21;  // 8 MB: lent from Scratch::kLarge on
  Allocator& cpu = Allocator::of(kCpu);
  std::byte* begin = nullptr;
  {
    const Tensor gone = empty({kNumel}, DType::f32);
    begin = static_cast<std::byte*>(gone.raw());
  }
  cpu.reset_peak();
  const int64_t live = cpu.stats().live_bytes;
  cpu::Scratch scratch;
  std::byte* const lent = scratch.take<std::byte>(kNumel * 4);
  EXPECT_EQ(lent, begin);
  const Tensor next = empty({kNumel}, DType::f32);
  auto* const other = static_cast<std::byte*>(next.raw());
  EXPECT_TRUE(other + kNumel * 4 <= lent || lent + kNumel * 4 <= other);
  EXPECT_EQ(cpu.stats().peak_bytes, live + kNumel * 4) << "a kernel's memory is not a tensor's";
}

TEST(Allocator, RunningOutNamesTheLargest) {
  Allocator& cpu = Allocator::of(kCpu);
  const Tensor a = empty({1 << 20}, DType::f32);
  a.storage()->tag(memory_tag("conv2d"));
  cpu.set_limit(std::size_t(cpu.stats().live_bytes) + 1024);
  const std::string message = message_of([] { empty({1 << 20}, DType::f32); });
  cpu.set_limit(0);
  EXPECT_NE(message.find("wanted 4.2 MB"), std::string::npos) << message;
  EXPECT_NE(message.find("conv2d 4.2 MB"), std::string::npos) << message;
}

TEST(Shape, PrintsAndCompares) {
  EXPECT_EQ((Shape{2, 8, 8, 30}).str(), "[2, 8, 8, 30]");
  EXPECT_EQ((Shape{2, 3}).dim(-1), 3);
  EXPECT_NE((Shape{2}), (Shape{2, 1}));
}

}  // namespace
}  // namespace noisette
