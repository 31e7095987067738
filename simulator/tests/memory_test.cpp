#include "simulator/memory/memory.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <thread>

#include "simulator/memory/lazy_shadow.h"
#include "simulator/memory/padding.h"
#include "simulator/memory/transfer.h"
#include "simulator/report/fault.h"
#include "simulator/report/host_access.h"

namespace {

using namespace sim;
using testing::ExitedWithCode;

/// An allocation that ends with the test.
class Block {
 public:
  explicit Block(uint64_t bytes, MemoryKind kind = MemoryKind::device, bool written = false)
      : base(*allocate(bytes, 0, kind, "cudaMalloc", ~uint64_t(0), written)) {}
  ~Block() { release(base); }
  const uint64_t base;
};

std::string fault_of(auto&& body) {
  try {
    body();
  } catch (const Fault& fault) {
    return fault.kind + ": " + fault.details;
  }
  return "no fault";
}

Copy copy(uint64_t dst, uint64_t src, size_t n) {
  return {{dst, n, n}, {src, n, n}, {n}, "cudaMemcpy", nullptr};
}
uint64_t at(const void* p) { return reinterpret_cast<uint64_t>(p); }

TEST(Memory, AllocationsAreAlignedAndApart) {
  const Block a(100), b(1), c(5000);
  for (const Block* block : {&a, &b, &c}) {
    EXPECT_EQ(block->base % 512, 0u);
    EXPECT_TRUE(in_device_window(block->base));
  }
  EXPECT_GE(b.base, a.base + 100 + 512);
  EXPECT_GE(c.base, b.base + 1 + 512);
  for (int i = 1; i <= 512; i++) {
    EXPECT_EQ(*shadow(b.base - i), kUnmapped);
    EXPECT_EQ(*shadow(b.base + i), kUnmapped);
  }
}

TEST(Memory, ShadowSaysWhatWasWritten) {
  const Block plain(100), ready(100, MemoryKind::variable, true), pinned(100, MemoryKind::pinned);
  EXPECT_EQ(*shadow(plain.base + 99), kAddressable);
  EXPECT_EQ(*shadow(ready.base + 99), kReady);
  EXPECT_EQ(*shadow(pinned.base + 99), kReady);
  EXPECT_EQ(*shadow(pinned.base + 100), kUnmapped);
}

TEST(Memory, PinnedMemoryIsTheSameFromBothSides) {
  const Block pinned(4097, MemoryKind::pinned);
  auto* host = reinterpret_cast<char*>(pinned.base);
  host[4096] = 7;
  EXPECT_EQ(*raw<char>(pinned.base + 4096), 7);
  *raw<char>(pinned.base) = 9;
  EXPECT_EQ(host[0], 9);
}

TEST(Memory, ReleaseTellsMisuse) {
  const uint64_t base = *allocate(100, 0, MemoryKind::device, "cudaMalloc");
  EXPECT_EQ(release(base + 1), FreeResult::not_a_base);
  EXPECT_EQ(release(base), FreeResult::done);
  EXPECT_EQ(release(base), FreeResult::already_freed);
  EXPECT_EQ(release(base + (1 << 20)), FreeResult::unknown);
  EXPECT_EQ(*shadow(base + 50), kFreed);
}

TEST(Memory, FreedMemoryIsForgottenAndItsAddressNotUsedAgain) {
  const uint64_t base = *allocate(8192, 0, MemoryKind::device, "cudaMalloc");
  *raw(base) = 1;
  release(base);
  EXPECT_EQ(*raw(base), 0);  // its page went back
  const Block next(8192);
  EXPECT_NE(next.base, base);
}

TEST(Memory, LimitOfTheDevice) {
  const uint64_t before = live_bytes(3);
  const auto a = allocate(600, 3, MemoryKind::device, "cudaMalloc", 1000);
  ASSERT_TRUE(a);
  EXPECT_EQ(live_bytes(3), before + 600);
  EXPECT_FALSE(allocate(401, 3, MemoryKind::device, "cudaMalloc", 1000));
  const auto pinned = allocate(5000, 3, MemoryKind::pinned, "cudaMallocHost", 1000);
  EXPECT_TRUE(pinned);  // of the host
  const auto b = allocate(400, 3, MemoryKind::device, "cudaMalloc", 1000);
  EXPECT_TRUE(b);
  for (auto block : {a, pinned, b}) release(*block);
  EXPECT_EQ(live_bytes(3), before);
  EXPECT_FALSE(allocate(kWindow + 1, 3, MemoryKind::pinned, "cudaMallocHost"));
}

TEST(Memory, DescribesTheNearestAllocation) {
  const uint64_t base = *allocate(1024, 0, MemoryKind::device, "cudaMalloc");
  const std::string number = std::to_string(find_allocation(base)->number);
  EXPECT_NE(describe_address(base + 12).find("byte 12 of allocation " + number), std::string::npos);
  EXPECT_NE(describe_address(base + 1024 + 12).find("12 bytes after allocation " + number),
            std::string::npos);
  EXPECT_NE(describe_address(base - 1).find("1 byte before allocation " + number),
            std::string::npos);
  release(base);
  EXPECT_NE(describe_address(base).find("(freed)"), std::string::npos);
  EXPECT_FALSE(find_allocation(base));
}

TEST(Memory, LiveAllocationsInOrder) {
  const Block a(1), b(1);
  const auto live = live_allocations();
  ASSERT_GE(live.size(), 2u);
  EXPECT_EQ(live[live.size() - 2].base, a.base);
  EXPECT_EQ(live.back().base, b.base);
}

TEST(Memory, ManyThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++)
    threads.emplace_back([t] {
      for (int i = 1; i < 300; i++) {
        const Block block(uint64_t(i * 7), MemoryKind::device);
        std::memset(raw(block.base), t, size_t(i) * 7);
        EXPECT_EQ(*raw(block.base + uint64_t(i) * 7 - 1), t);
      }
    });
  for (auto& t : threads) t.join();
}

TEST(Transfer, CopiesAndMarks) {
  const Block a(64), b(64);
  char out[64] = {}, in[64] = "from the host";
  EXPECT_EQ(fault_of([&] { run_copy(copy(a.base, at(in), 64)); }), "no fault");
  EXPECT_EQ(*shadow(a.base + 63), kReady);
  run_copy(copy(b.base, a.base, 64));
  run_copy(copy(at(out), b.base, 64));
  EXPECT_STREQ(out, in);
}

TEST(Transfer, UninitialisedBytesMayMoveButNotLeave) {
  const Block a(64), b(64);
  char host[64] = {};
  run_copy(copy(a.base, at(host), 32));
  EXPECT_EQ(fault_of([&] { run_copy(copy(b.base, a.base, 64)); }), "no fault");
  EXPECT_EQ(*shadow(b.base + 31), kReady);
  EXPECT_EQ(*shadow(b.base + 32), kAddressable);
  EXPECT_EQ(fault_of([&] { run_copy(copy(at(host), b.base, 32)); }), "no fault");
  const std::string fault = fault_of([&] { run_copy(copy(at(host), b.base, 64)); });
  EXPECT_NE(fault.find("read of uninitialised memory"), std::string::npos);
  EXPECT_NE(fault.find("byte 32 of"), std::string::npos) << fault;
}

TEST(Transfer, OutOfBoundsAndAfterFree) {
  char host[128] = {};
  auto a = std::make_unique<Block>(64);
  const uint64_t base = a->base;
  EXPECT_NE(fault_of([&] { run_copy(copy(base, at(host), 65)); }).find("0 bytes after"),
            std::string::npos);
  a.reset();
  EXPECT_EQ(fault_of([&] { run_copy(copy(base, at(host), 8)); }).find("use after free"), 0u);
  EXPECT_EQ(
      fault_of([&] { run_copy(copy(kDeviceBase + kWindow - 4, at(host), 8)); }).find("out of"), 0u);
}

TEST(Transfer, RowsLeaveGapsAlone) {
  const Block a(4 * 16);
  run_fill({{a.base, 16, 64}, {16, 4}, 1, 1, "cudaMemset2D"});
  run_fill({{a.base + 4, 16, 64}, {8, 3}, 2, 1, "cudaMemset2D"});
  EXPECT_EQ(*raw(a.base + 3), 1);
  EXPECT_EQ(*raw(a.base + 4), 2);
  EXPECT_EQ(*raw(a.base + 2 * 16 + 11), 2);
  EXPECT_EQ(*raw(a.base + 2 * 16 + 12), 1);
  EXPECT_EQ(*raw(a.base + 3 * 16 + 4), 1);
  char out[8] = {};
  run_copy({{at(out), 2, 6}, {a.base + 3, 16, 64}, {2, 3}, "cudaMemcpy2D", nullptr});
  EXPECT_EQ(std::memcmp(out, "\1\2\1\2\1\2\0\0", 8), 0);
}

TEST(Transfer, WideElements) {
  const Block a(8);
  run_fill({{a.base, 8, 8}, {8}, 0x01020304, 4, "cudaMemset"});
  EXPECT_EQ(*raw<uint32_t>(a.base + 4), 0x01020304u);
}

TEST(HostAccess, IsReported) {
  const Block a(64);
  EXPECT_EXIT(
      {
        watch_host_access();
        *reinterpret_cast<volatile int*>(a.base + 8) = 1;
      },
      ExitedWithCode(kFaultExit), "host access to device memory.*byte 8 of allocation");
}

TEST(HostAccess, OthersGoToTheFormerHandler) {
  EXPECT_EXIT(
      {
        signal(SIGSEGV, [](int) { _exit(3); });
        watch_host_access();
        raise(SIGSEGV);
      },
      ExitedWithCode(3), "");
}

TEST(Fault, TextSaysWhatAndWhere) {
  Fault fault;
  fault.kind = "out of bounds";
  fault.details = "a store.";
  EXPECT_EQ(text_of(fault), "sim: out of bounds: a store.\n");
  fault.kernel = "_Z4axpyf";
  fault.block = {3, 0, 0};
  fault.thread = {31, 1, 0};
  fault.ptx_line = 40;
  fault.ptx_text = "st.global.f32 [%rd4], %f1;";
  EXPECT_EQ(text_of(fault),
            "sim: out of bounds: a store.\n  in axpy(float), block (3,0,0), thread (31,1,0)\n"
            "  at PTX line 40: st.global.f32 [%rd4], %f1;\n");
  fault.source_file = "axpy.cu";
  fault.source_line = 12;
  EXPECT_NE(text_of(fault).find("  at axpy.cu:12, PTX line 40: st."), std::string::npos);
}

long resident_pages() {
  long all = 0, resident = 0;
  FILE* file = std::fopen("/proc/self/statm", "r");
  if (!file || std::fscanf(file, "%ld %ld", &all, &resident) != 2) resident = 0;
  if (file) std::fclose(file);
  return resident;
}

TEST(LargeAllocation, TakesNothingBeforeItIsWritten) {
  constexpr uint64_t kBytes = 300 * 1024 * 1024 + 100;
  const long before = resident_pages();
  const auto base = allocate(kBytes, 0, MemoryKind::device, "cudaMalloc");
  ASSERT_TRUE(base);
  EXPECT_LT(resident_pages() - before, 64 * 256);  // the patterns; 64 MiB
  for (const uint64_t at : {uint64_t(0), kBytes / 2, kBytes - 1}) {
    EXPECT_EQ(*shadow(*base + at), kAddressable);
    EXPECT_EQ(*raw(*base + at), 0);
  }
  EXPECT_EQ(*shadow(*base + kBytes), kUnmapped);
  EXPECT_EQ(*shadow(*base - 1), kUnmapped);

  *shadow(*base + 5000) = kReady;
  EXPECT_EQ(*shadow(*base + 5001), kAddressable);
  EXPECT_EQ(*shadow(*base + 5000 + kLazyShadow), kAddressable);
  mark_written(*base + 10, 200 * 1024 * 1024);
  EXPECT_EQ(*shadow(*base + 9), kAddressable);
  EXPECT_EQ(*shadow(*base + 10), kReady);
  EXPECT_EQ(*shadow(*base + 9 + 200 * 1024 * 1024), kReady);
  EXPECT_EQ(*shadow(*base + 10 + 200 * 1024 * 1024), kAddressable);
  EXPECT_LT(resident_pages() - before, 128 * 256);

  EXPECT_EQ(release(*base), FreeResult::done);
  EXPECT_FALSE(*shadow(*base + kBytes / 2) & kAddressable && *shadow(*base) != kFreed);
  EXPECT_NE(*shadow(*base + 10), kReady);
}

/// A shadow of `elements` like this one: 'w' for a byte that was written, '.' for another.
std::vector<uint8_t> shadow_of(const std::string& element, size_t elements) {
  std::vector<uint8_t> out;
  for (size_t k = 0; k < elements; ++k)
    for (const char c : element) out.push_back(c == 'w' ? kReady : kAddressable);
  return out;
}

TEST(Padding, IsInEveryElementBesideALargerMember) {
  for (const char* element : {"w...wwww", "wwwwwwwwwwww....", "w.ww", "www.", "ww..wwwwww..",
                              "w.......wwwwwwww", "wwwwwwwwww......wwwwwwwwwwwwwwww", "www.wwww"})
    for (const size_t n : {2, 3, 100}) {
      const auto s = shadow_of(element, n);
      EXPECT_TRUE(is_padding(s.data(), s.size())) << element << " x " << n;
    }
}

TEST(Padding, IsNoElementThatWasForgotten) {
  for (const char* element : {"ww..", "wwww....", "wwwwwwww........", "w.", "....", "ww......"})
    for (const size_t n : {2, 3, 100}) {
      const auto s = shadow_of(element, n);
      EXPECT_FALSE(is_padding(s.data(), s.size())) << element << " x " << n;
    }
  auto s = shadow_of("wwww", 100);
  std::fill_n(s.begin() + 44, 4, uint8_t(kAddressable));
  EXPECT_FALSE(is_padding(s.data(), s.size()));
  s = shadow_of("w...wwww", 100);
  s[84] = kAddressable;
  EXPECT_FALSE(is_padding(s.data(), s.size()));
  s[84] = kReady, s[81] = kPending;
  EXPECT_FALSE(is_padding(s.data(), s.size()));
}

TEST(Padding, OfASingleElementIsWhatCanBeNoNumber) {
  const auto one = [](const char* element) {
    const auto s = shadow_of(element, 1);
    return is_padding(s.data(), s.size());
  };
  EXPECT_TRUE(one("w...wwww"));
  EXPECT_TRUE(one("wwwwwwwww......."));
  EXPECT_FALSE(one("wwwwwwwwwwww...."));
  EXPECT_FALSE(one("wwwwww.."));
}

TEST(Fault, TextSaysByWhichCalls) {
  Fault fault{"leak", "x"};
  const auto lines = [&] {
    const std::string text = text_of(fault);
    return text.substr(text.find('\n') + 1);
  };
  fault.calls = {"a.h:1", "a.cu:2"};
  EXPECT_EQ(lines(), "  called at a.h:1\n  called at a.cu:2\n");
  fault.calls = {"1", "2", "3", "4", "5", "6", "7", "8"};
  EXPECT_EQ(lines().find("more"), std::string::npos);
  fault.calls.insert(fault.calls.begin() + 4, {"x", "y"});
  EXPECT_EQ(lines(),
            "  called at 1\n  called at 2\n  called at 3\n  called at 4\n"
            "  (2 calls more between these)\n"
            "  called at 5\n  called at 6\n  called at 7\n  called at 8\n");
}

}  // namespace
