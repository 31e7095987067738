// What of a result is undefined, against all values that the undefined bits may have.
#include "simulator/exec/undefined_bits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <random>
#include <sstream>
#include <vector>

namespace sim {
namespace {

using Value = std::vector<uint64_t>;
using Result = std::function<uint64_t(const Value&)>;

ptx::Instruction written(const std::string& name) {
  ptx::Instruction text;
  std::istringstream in(name);
  std::getline(in, text.opcode, '.');
  for (std::string m; std::getline(in, m, '.');) text.modifiers.push_back(m);
  return text;
}

/// Bits of the result that differ for some of the values that `in` may have.
uint64_t varying(const Result& f, const std::vector<Partly>& in) {
  std::vector<std::pair<size_t, uint64_t>> bits;
  for (size_t k = 0; k < in.size(); ++k)
    for (uint64_t rest = in[k].undefined; rest; rest &= rest - 1)
      bits.emplace_back(k, rest & -rest);
  Value v;
  for (const Partly& p : in) v.push_back(p.value & ~p.undefined);
  const uint64_t first = f(v);
  uint64_t out = 0;
  for (uint64_t n = 0; n < uint64_t(1) << bits.size(); ++n) {
    Value w = v;
    for (size_t k = 0; k < bits.size(); ++k)
      if (n >> k & 1) w[bits[k].first] |= bits[k].second;
    out |= f(w) ^ first;
  }
  return out;
}

struct Case {
  const char* name;
  int operands, width, result;  // bits of the operands and of the result
  Result f;
  bool exact = true;
  int by_amount = 0;  // operands from this one on are small numbers
};

uint64_t field(uint64_t a, uint64_t from, uint64_t length) {
  return from >= 32 ? 0 : (uint32_t(a) >> from) & low_bits(std::min<uint64_t>(length, 32));
}

uint64_t permuted(const Value& v) {
  const uint64_t both = v[1] << 32 | uint32_t(v[0]);
  uint64_t out = 0;
  for (uint64_t k = 0; k < 4; ++k) {
    const uint64_t choice = v[2] >> 4 * k & 0xf;
    auto byte = uint8_t(both >> 8 * (choice & 7));
    if (choice & 8) byte = byte >> 7 ? 0xff : 0;
    out |= uint64_t(byte) << 8 * k;
  }
  return out;
}

const std::vector<Case>& cases() {
  using V = const Value&;
  static const std::vector<Case> all = {
      {"mov.b32", 1, 32, 32, [](V v) { return v[0]; }},
      {"not.b64", 1, 64, 64, [](V v) { return ~v[0]; }},
      {"and.b32", 2, 32, 32, [](V v) { return v[0] & v[1]; }},
      {"or.b64", 2, 64, 64, [](V v) { return v[0] | v[1]; }},
      {"xor.b32", 2, 32, 32, [](V v) { return v[0] ^ v[1]; }},
      {"shl.b32", 2, 32, 32, [](V v) { return v[1] >= 32 ? 0 : v[0] << v[1]; }, true, 1},
      {"shr.u32", 2, 32, 32, [](V v) { return v[1] >= 32 ? 0 : v[0] >> v[1]; }, true, 1},
      {"shr.s32", 2, 32, 32,
       [](V v) { return uint64_t(int64_t(int32_t(v[0])) >> std::min<uint64_t>(v[1], 63)); }, true,
       1},
      {"shr.u64", 2, 64, 64, [](V v) { return v[0] >> v[1]; }, true, 1},
      {"shf.l.wrap.b32", 3, 32, 32, [](V v) { return ((v[1] << 32 | v[0]) << (v[2] & 31)) >> 32; },
       true, 2},
      {"shf.r.clamp.b32", 3, 32, 32,
       [](V v) { return (v[1] << 32 | v[0]) >> std::min<uint64_t>(v[2], 32); }, true, 2},
      {"bfe.u32", 3, 32, 32, [](V v) { return field(v[0], v[1], v[2]); }, true, 1},
      {"bfi.b32", 4, 32, 32,
       [](V v) {
         if (v[2] >= 32) return v[1];
         const uint64_t m = low_bits(v[3]) << v[2];
         return ((v[0] << v[2]) & m) | (v[1] & ~m);
       },
       true, 2},
      {"prmt.b32", 3, 32, 32, permuted, true, 2},
      {"cvt.u64.u32", 1, 32, 64, [](V v) { return v[0]; }},
      {"cvt.s64.s32", 1, 32, 64, [](V v) { return uint64_t(int64_t(int32_t(v[0]))); }},
      {"cvt.s32.s8", 1, 32, 32, [](V v) { return uint64_t(int64_t(int8_t(v[0]))); }},
      {"cvt.u8.u32", 1, 32, 32, [](V v) { return v[0] & 0xff; }},
      {"add.u32", 2, 32, 32, [](V v) { return v[0] + v[1]; }, false},
      {"sub.s32", 2, 32, 32, [](V v) { return v[0] - v[1]; }, false},
      {"mul.lo.u32", 2, 32, 32, [](V v) { return v[0] * v[1]; }, false},
      {"mad.lo.s32", 3, 32, 32, [](V v) { return v[0] * v[1] + v[2]; }, false},
      {"mul.hi.u32", 2, 32, 32, [](V v) { return (v[0] * v[1]) >> 32; }, false},
      {"popc.b32", 1, 32, 32, [](V v) { return uint64_t(std::popcount(v[0])); }, false},
      {"min.u32", 2, 32, 32, [](V v) { return std::min(v[0], v[1]); }, false},
      {"add.u16x2", 2, 32, 32,
       [](V v) {
         return ((v[0] + v[1]) & 0xffff) | ((((v[0] >> 16) + (v[1] >> 16)) & 0xffff) << 16);
       },
       false},
  };
  return all;
}

TEST(UndefinedBits, HoldAllThatVaries) {
  std::mt19937_64 random(1);
  for (const Case& c : cases()) {
    const ptx::Instruction text = written(c.name);
    for (int round = 0; round < 2000; ++round) {
      std::vector<Partly> in(size_t(c.operands));
      for (size_t k = 0; k < in.size(); ++k) {
        const bool amount = c.by_amount && int(k) >= c.by_amount;
        in[k].value = random() & low_bits(uint64_t(c.width));
        if (amount) in[k].value = text.opcode == "prmt" ? random() & 0xffff : random() % 40;
        for (int bit = 0; bit < 3 && !amount; ++bit)
          if (random() % 2) in[k].undefined |= uint64_t(1) << random() % uint64_t(c.width);
      }
      const uint64_t mask = low_bits(uint64_t(c.result));
      const uint64_t said = undefined_result(text, in) & mask, is = varying(c.f, in) & mask;
      ASSERT_EQ(is & ~said, 0u) << c.name << " round " << round;
      if (c.exact) {
        ASSERT_EQ(is, said) << c.name << " round " << round;
      }
    }
  }
}

TEST(UndefinedBits, OfAChoiceBySuchABitAreAll) {
  for (const char* name :
       {"shl.b32", "shr.s32", "shf.l.wrap.b32", "bfe.u32", "prmt.b32", "bfi.b32"})
    EXPECT_EQ(uint32_t(undefined_result(written(name),
                                        std::vector<Partly>{{1, 0}, {1, 1}, {1, 1}, {1, 1}})),
              ~0u)
        << name;
}

TEST(UndefinedRegisters, ForgetWhatIsDefined) {
  UndefinedRegisters r;
  EXPECT_TRUE(r.empty());
  r.set(7, 3, 0xff00), r.set(7, 31, 1), r.set(9, 0, 0);
  EXPECT_EQ(r.lanes(7), 1u << 3 | 1u << 31);
  EXPECT_EQ(r.of(7, 3), 0xff00u);
  EXPECT_EQ(r.of(7, 4), 0u);
  EXPECT_EQ(r.lanes(9), 0u);
  r.set(7, 3, 0), r.set(7, 31, 0);
  EXPECT_TRUE(r.empty());
}

}  // namespace
}  // namespace sim
