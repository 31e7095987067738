// Bytes that no one writes because a struct has nothing there.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sim {

/// Whether what nobody wrote in a range looks like the padding of an array of structs: the same
/// bytes of every element, in front of a larger member or at the element's end. `shadow` has a
/// kReady for each byte that was written. One element alone is one only where a gap is of 3, 5, 6
/// or 7 bytes: one of 1, 2, 4 could be a number that was forgotten.
bool is_padding(const uint8_t* shadow, size_t bytes);

}  // namespace sim
