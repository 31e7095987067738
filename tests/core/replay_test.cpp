// Pools and recorded work without a device: their memory on meta.
#include "framework/core/replay.h"

#include <gtest/gtest.h>

namespace noisette {
namespace {

constexpr int64_t kLarge = int64_t(300) << 20;  // more than a segment

int64_t reserved() { return Allocator::of(kMeta).stats().reserved_bytes; }

TEST(Replay, OnMetaIsWorkThreeTimesAndThenNothing) {
  for (const bool on : {true, false}) {
    int calls = 0;
    Replay replay(
        [&](const std::vector<Tensor>& in) -> std::vector<Tensor> {
          ++calls;
          return {empty_like(in[0])};
        },
        on);
    const Tensor x = empty({4}, DType::f32, kMeta);
    for (int i = 0; i < 2; ++i) replay({x, Tensor()});
    const Tensor third = replay({x, Tensor()})[0], fourth = replay({x, Tensor()})[0];
    EXPECT_EQ(calls, on ? 3 : 4);
    EXPECT_EQ(third.same_data(fourth), on);
    EXPECT_EQ(replay.state().kind == Replay::State::Kind::recorded, on);
    replay({empty({5}, DType::f32, kMeta), Tensor()});
    EXPECT_EQ(calls, on ? 4 : 5) << "another shape";
  }
}

TEST(MemoryPool, IsLeftToTheOneInUse) {
  Allocator::of(kMeta).trim();
  const int64_t before = reserved();
  {
    const MemoryPool outer(kMeta);
    const MemoryPool::Use use(outer);
    {
      const MemoryPool inner(kMeta);
      const MemoryPool::Use use_inner(inner);
      empty({kLarge}, DType::u8, kMeta);
    }
    const int64_t with_inner = reserved();
    EXPECT_GE(with_inner, before + kLarge);
    empty({kLarge}, DType::u8, kMeta);
    EXPECT_EQ(reserved(), with_inner) << "is taken again";
  }
  Allocator::of(kMeta).trim();
  EXPECT_EQ(reserved(), before) << "and given back by everybody's";
}

}  // namespace
}  // namespace noisette
