// Picking the instance of a handler template by the type that an instruction names.
#pragma once
#include <cstdint>

#include "simulator/code/decoder.h"

namespace sim {

/// Calls f.template operator()<T>() for the integer type of an instruction; bits count as unsigned.
template <class F>
Handler for_integer(const Decoder& d, const Instruction& inst, ptx::Type type, F&& f) {
  using ptx::Type;
  switch (type) {
    case Type::b8:
    case Type::u8:
      return f.template operator()<uint8_t>();
    case Type::s8:
      return f.template operator()<int8_t>();
    case Type::b16:
    case Type::u16:
      return f.template operator()<uint16_t>();
    case Type::s16:
      return f.template operator()<int16_t>();
    case Type::b32:
    case Type::u32:
      return f.template operator()<uint32_t>();
    case Type::s32:
      return f.template operator()<int32_t>();
    case Type::b64:
    case Type::u64:
      return f.template operator()<uint64_t>();
    case Type::s64:
      return f.template operator()<int64_t>();
    default:
      d.unsupported(inst, "its type is not an integer");
  }
}

/// The same for unsigned integers of the size of a type, whatever it is: moves and bit operations.
template <class F>
Handler for_bits(const Decoder& d, const Instruction& inst, ptx::Type type, F&& f) {
  switch (ptx::size_of(type)) {
    case 1:
      return f.template operator()<uint8_t>();
    case 2:
      return f.template operator()<uint16_t>();
    case 4:
      return f.template operator()<uint32_t>();
    case 8:
      return f.template operator()<uint64_t>();
    default:
      d.unsupported(inst, "its type has another size than 1, 2, 4 or 8 bytes");
  }
}

}  // namespace sim
