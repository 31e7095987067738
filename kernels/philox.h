// Philox4x32-10, the counter-based generator behind every random number of noisette, on every
// device. A draw is a pure function of (seed, stream, index, element): no state, no order, no
// thread. Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3", section 3.3; known
// answers in tests/kernels.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>

#include "kernels/device.h"

namespace noisette {

using PhiloxBlock = std::array<uint32_t, 4>;

NOISETTE_BOTH inline PhiloxBlock philox4x32_10(PhiloxBlock counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t(0xD2511F53u) * counter[0];
    const uint64_t p1 = uint64_t(0xCD9E8D57u) * counter[2];
    counter = {uint32_t(p1 >> 32) ^ counter[1] ^ key[0], uint32_t(p1),
               uint32_t(p0 >> 32) ^ counter[3] ^ key[1], uint32_t(p0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

/// What a stream of draws is for; two purposes never share numbers.
enum class Purpose : uint32_t {
  kInit = 1,         // index: hash of the parameter's name
  kNoise = 2,        // training noise; index: sample_index(update, position)
  kTimestep = 3,     // training timestep; index: sample_index(update, position)
  kLabelDrop = 4,    // classifier-free guidance; index: sample_index(update, position)
  kDropout = 5,      // layer = hash of the layer's name; index: sample_index(update, position)
  kPermutation = 6,  // data order; index: epoch
  kFlip = 7,         // augmentation; index: epoch << 40 | image
  kSample = 8,       // initial noise of a generated image; index: image number
  kSampleStep = 9,   // noise added while sampling; layer = step, index: image number
  kEval = 10,        // held-out noise; index: image number, layer = timestep
  kTest = 255,
};

/// Names one stream of draws.
struct RngKey {
  uint64_t seed = 0;
  Purpose purpose = Purpose::kTest;
  uint32_t layer = 0;  // 24 bits: tells apart streams of one purpose

  NOISETTE_BOTH uint32_t stream() const { return uint32_t(purpose) | (layer << 8); }
};

/// Index of the sample at `position` of the global batch of optimiser update `update`.
inline int64_t sample_index(int64_t update, int64_t position) { return (update << 24) | position; }

/// The four 32-bit draws number 4*block .. 4*block+3 of item `index`.
NOISETTE_BOTH inline PhiloxBlock philox_block(const RngKey& key, uint64_t index, uint32_t block) {
  return philox4x32_10({block, key.stream(), uint32_t(index), uint32_t(index >> 32)},
                       {uint32_t(key.seed), uint32_t(key.seed >> 32)});
}

/// Uniform in (0, 1]: never 0, so that its logarithm is finite. 24 bits.
NOISETTE_BOTH inline float uniform_open(uint32_t bits) { return float((bits >> 8) + 1) * 0x1p-24f; }

/// Uniform in [0, 1). 24 bits.
NOISETTE_BOTH inline float uniform(uint32_t bits) { return float(bits >> 8) * 0x1p-24f; }

/// One 64-bit draw of item `index`, for integers.
NOISETTE_BOTH inline uint64_t philox_u64(const RngKey& key, uint64_t index, uint32_t block = 0) {
  const PhiloxBlock b = philox_block(key, index, block);
  return uint64_t(b[0]) | (uint64_t(b[1]) << 32);
}

/// Uniform integer in [0, n) (multiply-shift; bias below n / 2^32).
NOISETTE_BOTH inline uint32_t bounded(uint32_t bits, uint32_t n) {
  return uint32_t((uint64_t(bits) * n) >> 32);
}

}  // namespace noisette
