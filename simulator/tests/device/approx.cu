// Approximate instructions: inside the error that the PTX ISA (9.7.3) documents, whatever
// SIM_APPROX says; and exact where it says so: zeros, infinities, NaN, wrong signs.
#include <cstdlib>

#include "operands.h"

namespace {

enum Op { ex2, lg2, sine, cosine, tanh_, rcp, rsqrt_, sqrt_, div_, full, kOps };
const char* const kNames[] = {"ex2", "lg2",   "sin",  "cos", "tanh",
                              "rcp", "rsqrt", "sqrt", "div", "div.full"};

#define UNARY(op, text) \
  if (Which == op) asm(text " %0, %1;" : "=f"(r) : "f"(a));
#define BINARY(op, text) \
  if (Which == op) asm(text " %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));

template <int Which>
__device__ f32 approximated(f32 a, f32 b) {
  f32 r = 0;
  UNARY(ex2, "ex2.approx.f32")
  UNARY(lg2, "lg2.approx.f32")
  UNARY(sine, "sin.approx.f32")
  UNARY(cosine, "cos.approx.f32")
  UNARY(tanh_, "tanh.approx.f32")
  UNARY(rcp, "rcp.approx.f32")
  UNARY(rsqrt_, "rsqrt.approx.f32")
  UNARY(sqrt_, "sqrt.approx.f32")
  BINARY(div_, "div.approx.f32")
  BINARY(full, "div.full.f32")
  return r;
}

template <int Which>
__global__ void compute(const f32* a, const f32* b, f32* r, u32 count) {
  const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) r[i] = approximated<Which>(a[i], b[i]);
}

f64 exact(int op, f64 a, f64 b) {
  switch (op) {
    case ex2:
      return std::exp2(a);
    case lg2:
      return std::log2(a);
    case sine:
      return std::sin(a);
    case cosine:
      return std::cos(a);
    case tanh_:
      return std::tanh(a);
    case rcp:
      return 1 / a;
    case rsqrt_:
      return 1 / std::sqrt(a);
    case sqrt_:
      return std::sqrt(a);
    case div_:  // by a reciprocal that is zero beyond 2^126
      return std::fabs(b) > 0x1p126 && !std::isinf(b) ? a * std::copysign(0.0, b) : a / b;
    default:
      return a / b;
  }
}

/// The documented error.
f64 allowed(int op, f64 a, f64 want) {
  const f64 size = std::fabs(want),
            ulp = std::max(std::exp2(std::floor(std::log2(size)) - 23), 0x1p-149);
  switch (op) {
    case lg2:
      return a > 0.5 && a < 2 ? 0x1p-22 : size * 0x1p-22;
    case sine:
    case cosine:
      return std::fabs(a) <= 6.2831854 ? 0x1.6a0ap-21 : 0x1.3b3p-15;
    case tanh_:
      return size * 0x1p-11;
    case rsqrt_:
      return size * 0x1.125p-23;
    case rcp:
      return ulp;
    case sqrt_:
      return size < 0x1p-126 ? ulp : size * 0x1p-23;
    default:  // ex2, div, div.full
      return 2 * ulp;
  }
}
/// By the manual's tables, of a zero or an infinity.
bool is_exact(int op, f64 a) {
  return (a == 0 && (op == ex2 || op == cosine)) || (std::isinf(a) && op == tanh_);
}

bool in_range(int op, f32 a, f32 b) {
  if (op == sine || op == cosine) return std::fabs(a) <= 314;
  if (op == div_) return std::fabs(b) >= 0x1p-126;
  return true;
}

template <int Which>
void check() {
  constexpr u32 kCount = 20000;
  std::vector<f32> a(kCount), b(kCount);
  for (u32 i = 0; i < kCount; ++i) {
    a[i] = i % 2 ? test::operand<f32>(i / 2, 0) : f32(s32(test::mixed(i))) * 0x1p-24f;
    b[i] = test::operand<f32>(i / 2, 1);
  }
  test::Array<f32> da(a), db(b), dr(kCount);
  compute<Which><<<(kCount + 255) / 256, 256>>>(da.device, db.device, dr.device, kCount);
  dr.fetch();
  u32 moved = 0;
  for (u32 i = 0; i < kCount; ++i) {
    if (!in_range(Which, a[i], b[i])) continue;
    const f64 want = exact(Which, a[i], b[i]);
    const f32 got = dr.host[i], rounded = f32(want);
    const bool special =
        std::isnan(want) || std::isinf(rounded) || want == 0 || is_exact(Which, a[i]);
    const bool good =
        special ? test::same(got, test::canonical(rounded)) ||
                      (std::isinf(rounded) && std::fabs(got) == std::numeric_limits<f32>::max())
                : std::fabs(got - want) <= allowed(Which, a[i], want);
    moved += !special && got != rounded;
    if (good) continue;
    if (++test::failures < 50)
      std::printf("%s.approx(%a, %a): got %a, exactly %a\n", kNames[Which], a[i], b[i], got, want);
  }
  const char* asked = std::getenv("SIM_APPROX");
  if (asked && std::strcmp(asked, "perturb") == 0 && moved < kCount / 20) {
    ++test::failures;
    std::printf("%s: only %u of %u results are not the best rounded one\n", kNames[Which], moved,
                kCount);
  }
}

template <int... Which>
void check_all(std::integer_sequence<int, Which...>) {
  (check<Which>(), ...);
}

}  // namespace

int main() {
  check_all(std::make_integer_sequence<int, kOps>());
  return test::finish();
}
