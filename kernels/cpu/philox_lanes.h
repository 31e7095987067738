// Philox for many consecutive blocks at once, one block a vector lane. The same numbers as
// philox_block().
#pragma once
#include <cstdint>

#include "kernels/philox.h"

namespace noisette::cpu {

inline constexpr int kLanes = 64;  // blocks a call; four draws each

/// word[j][i] = draw j of block first + i of item `index`.
struct PhiloxLanes {
  alignas(64) uint32_t word[4][kLanes];

  PhiloxLanes(const RngKey& key, uint64_t index, uint32_t first) {
    uint32_t* const c0 = word[0];
    uint32_t* const c1 = word[1];
    uint32_t* const c2 = word[2];
    uint32_t* const c3 = word[3];
    uint32_t k0 = uint32_t(key.seed), k1 = uint32_t(key.seed >> 32);
    const uint32_t stream = key.stream(), low = uint32_t(index), high = uint32_t(index >> 32);
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) {
      c0[i] = first + uint32_t(i);
      c1[i] = stream;
      c2[i] = low;
      c3[i] = high;
    }
    for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
#pragma omp simd
      for (int i = 0; i < kLanes; ++i) {
        const uint64_t p0 = uint64_t(0xD2511F53u) * c0[i];
        const uint64_t p1 = uint64_t(0xCD9E8D57u) * c2[i];
        const uint32_t next0 = uint32_t(p1 >> 32) ^ c1[i] ^ k0;
        const uint32_t next2 = uint32_t(p0 >> 32) ^ c3[i] ^ k1;
        c1[i] = uint32_t(p1);
        c3[i] = uint32_t(p0);
        c0[i] = next0;
        c2[i] = next2;
      }
    }
  }
};

}  // namespace noisette::cpu
