// The shadow of large allocations takes memory of the host only where the program writes.
#pragma once
#include <cstdint>

namespace sim {

/// From so many bytes on: less is filled at once, which is quicker to use.
inline constexpr uint64_t kLazyShadow = 64 << 20;

/// `bytes` of the shadow from `address` on, whole pages, are `state`. False: the host has no
/// mappings left, and nothing has changed.
bool show_state(uint64_t address, uint64_t bytes, uint8_t state);
/// Any bytes of an allocation become kReady; many at once without taking memory.
void mark_written(uint64_t address, uint64_t bytes);
/// They are kUnmapped, and take no memory.
void show_nothing(uint64_t address, uint64_t bytes);

}  // namespace sim
