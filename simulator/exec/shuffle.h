// Which lane a shuffle reads: PTX ISA, section 9.7.9.3 (shfl.sync).
#pragma once
#include <cstdint>

namespace sim {

enum class Shuffle { up, down, bfly, idx };

struct ShuffleSource {
  uint32_t lane;
  bool inside;  // of its segment; where not, it is the lane itself
};

/// Of lane `lane`, whose operands are b and c: c holds the clamp value and the mask of the segment.
constexpr ShuffleSource shuffle_source(Shuffle kind, uint32_t lane, uint32_t b, uint32_t c) {
  const uint32_t clamp = c & 31, segment = c >> 8 & 31, by = b & 31;
  const uint32_t max = (lane & segment) | (clamp & ~segment), min = lane & segment;
  const uint32_t from = kind == Shuffle::up     ? lane - by
                        : kind == Shuffle::down ? lane + by
                        : kind == Shuffle::bfly ? lane ^ by
                                                : min | (by & ~segment);
  const bool inside = kind == Shuffle::up ? int32_t(from) >= int32_t(max) : from <= max;
  return {inside ? from : lane, inside};
}

}  // namespace sim
