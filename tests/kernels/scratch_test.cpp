#include "kernels/cpu/scratch.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <thread>

namespace noisette {
namespace {

constexpr int64_t kMegabyte = int64_t(1) << 20;

/// In a thread of its own, whose memory nobody has grown.
template <class F>
void in_new_thread(const F& f) {
  std::thread thread(f);
  thread.join();
}

TEST(Scratch, KeepsTheMostThatWasTakenAtATime) {
  in_new_thread([] {
    for (const int64_t size : {1, 2, 3}) {  // each more than is kept
      cpu::Scratch scratch;
      scratch.take<std::byte>(size * kMegabyte);
    }
    EXPECT_EQ(cpu::Scratch::kept(), std::size_t(4 * kMegabyte)) << "whole large pages";
    {
      cpu::Scratch outer;
      outer.take<std::byte>(3 * kMegabyte);
      for (int i = 0; i < 2; ++i) {
        cpu::Scratch inner;
        inner.take<std::byte>(3 * kMegabyte);
      }
    }
    EXPECT_EQ(cpu::Scratch::kept(), std::size_t(6 * kMegabyte));
    {
      cpu::Scratch scratch;
      scratch.take<std::byte>(int64_t(cpu::Scratch::kLarge));
    }
    EXPECT_EQ(cpu::Scratch::kept(), std::size_t(6 * kMegabyte)) << "a large take is not kept";
  });
}

TEST(Scratch, MemoryStaysWhileItIsTaken) {
  in_new_thread([] {
    cpu::Scratch outer;
    auto* const first = outer.take<std::byte>(100);
    std::memset(first, 1, 100);
    for (const int64_t size : {3 * kMegabyte, 30 * kMegabyte}) {
      cpu::Scratch inner;
      auto* const more = inner.take<std::byte>(size);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(more) % 64, 0u);
      std::memset(more, 2, std::size_t(size));
    }
    auto* const last = outer.take<std::byte>(100);
    std::memset(last, 3, 100);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(first[i], std::byte{1});
  });
}

}  // namespace
}  // namespace noisette
