// The order in which training visits the images: a permutation per epoch, computed one element at a
// time.
#pragma once
#include <cstdint>

namespace noisette {

/// A keyed bijection of [0, n): an alternating Feistel network on the smallest power of two that
/// holds n, its round function Philox, repeated until the value falls below n (cycle walking; fewer
/// than two turns on average). Nothing is stored, so any place of any epoch is as cheap as any
/// other. Black & Rogaway 2002, "Ciphers with Arbitrary Finite Domains", section 3; Hoang & Rogaway
/// 2010, section 2.
class Permutation {
 public:
  Permutation(int64_t n, uint64_t seed, int64_t epoch);
  int64_t operator()(int64_t rank) const;

 private:
  uint64_t encrypt(uint64_t value) const;
  int64_t n_, epoch_;
  uint64_t seed_;
  int left_bits_, right_bits_;
};

}  // namespace noisette
