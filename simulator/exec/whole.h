// Memory accesses that other threads see whole.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sim {

/// Bytes of one lane between memory and registers, in one piece up to 16, so that threads on other
/// cores see all of them or none, as on a card: CUB keeps a sum and the word that says it is there
/// side by side.
inline void copy_whole(uint8_t* to, const uint8_t* from, size_t bytes) {
  using Pair = uint64_t __attribute__((vector_size(16), may_alias, aligned(1)));
  const auto copy = [&]<class T>(T) {
    *reinterpret_cast<volatile T*>(to) = *reinterpret_cast<const volatile T*>(from);
  };
  using Two = uint16_t __attribute__((may_alias));
  using Four = uint32_t __attribute__((may_alias));
  using Eight = uint64_t __attribute__((may_alias));
  switch (bytes) {
    case 1:
      *to = *from;
      return;
    case 2:
      return copy(Two());
    case 4:
      return copy(Four());
    case 8:
      return copy(Eight());
    default:
      for (; bytes >= 16; bytes -= 16, to += 16, from += 16) copy(Pair());
      if (bytes) std::memcpy(to, from, bytes);
  }
}

}  // namespace sim
