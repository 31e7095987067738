#include "framework/data/permutation.h"

#include <bit>

#include "framework/core/check.h"
#include "kernels/philox.h"

namespace noisette {
namespace {
constexpr uint32_t kRounds = 10;
}

Permutation::Permutation(int64_t n, uint64_t seed, int64_t epoch)
    : n_(n), epoch_(epoch), seed_(seed) {
  check(n > 0 && n <= (int64_t(1) << 40) && epoch >= 0,
        "[data] a permutation needs 1 to 2^40 elements; got {} in epoch {}", n, epoch);
  const int bits = std::bit_width(uint64_t(n - 1));
  left_bits_ = bits / 2;
  right_bits_ = bits - left_bits_;
}

uint64_t Permutation::encrypt(uint64_t value) const {
  const uint32_t left_mask = uint32_t((uint64_t(1) << left_bits_) - 1);
  const uint32_t right_mask = uint32_t((uint64_t(1) << right_bits_) - 1);
  uint32_t left = uint32_t(value >> right_bits_), right = uint32_t(value) & right_mask;
  for (uint32_t round = 0; round < kRounds; ++round) {
    const RngKey key{seed_, Purpose::kPermutation, round};
    if (round % 2 == 0)
      right ^= philox_block(key, uint64_t(epoch_), left)[0] & right_mask;
    else
      left ^= philox_block(key, uint64_t(epoch_), right)[0] & left_mask;
  }
  return uint64_t(left) << right_bits_ | right;
}

int64_t Permutation::operator()(int64_t rank) const {
  check(rank >= 0 && rank < n_, "[data] a permutation of {} elements has no element {}", n_, rank);
  uint64_t value = uint64_t(rank);
  do value = encrypt(value);
  while (value >= uint64_t(n_));
  return int64_t(value);
}

}  // namespace noisette
