// The one list of what PTX may ask for and a software GPU need not do: PTX ISA, sections 8 (memory
// consistency) and 9.7. Everything else that no decoder asks for is refused.
#include <algorithm>
#include <string_view>

#include "simulator/code/instruction.h"

namespace sim {
namespace {

struct Ignored {
  std::string_view modifier;
  std::string_view opcodes;  // "ld st"; "": of any
};

// clang-format off
constexpr Ignored kIgnored[] = {
    // Caches hold nothing here that memory does not: what is kept, for how long and how much is
    // fetched with it is time alone.
    {"ca", "ld ldu cp"}, {"cg", "ld st cp"}, {"cs", "ld st"}, {"lu", "ld"}, {"cv", "ld"},
    {"wb", "st"}, {"wt", "st"}, {"nc", "ld"},
    {"L1::evict_normal", ""}, {"L1::evict_unchanged", ""}, {"L1::evict_first", ""},
    {"L1::evict_last", ""}, {"L1::no_allocate", ""},
    {"L2::evict_normal", ""}, {"L2::evict_unchanged", ""}, {"L2::evict_first", ""},
    {"L2::evict_last", ""}, {"L2::cache_hint", ""},
    {"L2::64B", ""}, {"L2::128B", ""}, {"L2::256B", ""},

    // The order of memory is the host's, and every access is the whole system's: stronger than the
    // weakest of these. Where more than that is asked for, it stands in is_strong() (memory.cpp).
    {"weak", "ld st"}, {"cta", ""}, {"cluster", ""}, {"gpu", ""}, {"gl", "membar"}, {"sys", ""},
    {"relaxed", "atom red mbarrier barrier"}, {"acquire", "atom red mbarrier barrier"},
    {"release", "atom red mbarrier barrier"}, {"acq_rel", "atom red"},

    // To the nearest is how everything rounds that says nothing else.
    {"rn", ""},

    // Who executes these waits for the others, .aligned or not; only of barrier is that a choice,
    // which decode_bar() reads.
    {"sync", "shfl vote match redux elect mma wmma ldmatrix stmatrix movmatrix setmaxnreg"},
    {"aligned", "mma wmma ldmatrix stmatrix movmatrix setmaxnreg bar barrier"},

    // A promise that all lanes go the same way: they do, or they part here.
    {"uni", "bra brx call ret"},

    // Sums of 16 bits never flush subnormal numbers.
    {"noftz", "atom red"},
};
// clang-format on

bool names(std::string_view opcodes, std::string_view opcode) {
  for (size_t at = 0; at < opcodes.size();) {
    const size_t end = std::min(opcodes.find(' ', at), opcodes.size());
    if (opcodes.substr(at, end - at) == opcode) return true;
    at = end + 1;
  }
  return opcodes.empty();
}

}  // namespace

bool is_ignored(std::string_view opcode, std::string_view modifier) {
  return std::any_of(std::begin(kIgnored), std::end(kIgnored), [&](const Ignored& i) {
    return i.modifier == modifier && names(i.opcodes, opcode);
  });
}

}  // namespace sim
