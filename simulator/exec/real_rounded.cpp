// Arithmetic in other rounding directions than to the nearest, a lane at a time. Compiled so that
// the compiler leaves the direction alone, which keeps it from vectorising.
#include <cfenv>

#include "simulator/exec/real.h"

namespace sim::real {
namespace {

template <class T, class Op, int N, int Mode, bool Ftz, bool Sat>
void rounded(Warp& w, const Inst& i, uint32_t mask) {
  std::fesetround(Mode);
  using W = With<T, Op, Ftz, Sat>;
  if constexpr (N == 1) map1_scalar<T, T, W>(w, i, mask);
  if constexpr (N == 2) map2_scalar<T, T, T, W>(w, i, mask);
  if constexpr (N == 3) map3_scalar<T, T, T, T, W>(w, i, mask);
  std::fesetround(FE_TONEAREST);
}

}  // namespace

template <class T, class Op, int N, bool Ftz, bool Sat>
Handler in_direction(const Instruction& inst) {
  if (inst.has("rz")) return rounded<T, Op, N, FE_TOWARDZERO, Ftz, Sat>;
  if (inst.has("rm")) return rounded<T, Op, N, FE_DOWNWARD, Ftz, Sat>;
  if (inst.has("rp")) return rounded<T, Op, N, FE_UPWARD, Ftz, Sat>;
  return nullptr;
}

#define IN_DIRECTION(OP, N)                                                       \
  template Handler in_direction<double, OP, N, false, false>(const Instruction&); \
  template Handler in_direction<float, OP, N, false, false>(const Instruction&);  \
  template Handler in_direction<float, OP, N, false, true>(const Instruction&);   \
  template Handler in_direction<float, OP, N, true, false>(const Instruction&);   \
  template Handler in_direction<float, OP, N, true, true>(const Instruction&);
IN_DIRECTION(Add, 2)
IN_DIRECTION(Sub, 2)
IN_DIRECTION(Mul, 2)
IN_DIRECTION(Div, 2)
IN_DIRECTION(Fma, 3)
IN_DIRECTION(Sqrt, 1)
IN_DIRECTION(Rcp, 1)
#undef IN_DIRECTION

}  // namespace sim::real
