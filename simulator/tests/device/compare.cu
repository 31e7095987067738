// Comparisons and selections: PTX ISA, sections 9.7.6 and 9.7.7.
#include "operands.h"

namespace {

/// a set by setp with a predicate: bit 0 its first result, bit 1 its second.
#define SETP(T, relation, ...)                                                             \
  BODY2(                                                                                   \
      u32, T, T, "setp." #relation "." #T,                                                 \
      {                                                                                    \
        u32 r;                                                                             \
        asm("{ .reg .pred p; setp." #relation "." #T " p, %1, %2; selp.u32 %0, 1, 0, p; }" \
            : "=r"(r)                                                                      \
            : ASM_##T(a), ASM_##T(b));                                                     \
        return r;                                                                          \
      },                                                                                   \
      __VA_ARGS__)

#define ORDER(T)      \
  SETP(T, eq, a == b) \
  SETP(T, ne, a != b) \
  SETP(T, lt, a < b)  \
  SETP(T, le, a <= b) \
  SETP(T, gt, a > b)  \
  SETP(T, ge, a >= b)
ORDER(u16)
ORDER(s16)
ORDER(u32)
ORDER(s32)
ORDER(u64)
ORDER(s64)
#define UNSIGNED(T)   \
  SETP(T, lo, a < b)  \
  SETP(T, ls, a <= b) \
  SETP(T, hi, a > b)  \
  SETP(T, hs, a >= b)
UNSIGNED(u16)
UNSIGNED(u32)
UNSIGNED(u64)

#define REAL(T)                   \
  SETP(T, eq, a == b)             \
  SETP(T, ne, a<b || a> b)        \
  SETP(T, lt, a < b)              \
  SETP(T, le, a <= b)             \
  SETP(T, gt, a > b)              \
  SETP(T, ge, a >= b)             \
  SETP(T, equ, !(a < b || a > b)) \
  SETP(T, neu, !(a == b))         \
  SETP(T, ltu, !(a >= b))         \
  SETP(T, leu, !(a > b))          \
  SETP(T, gtu, !(a <= b))         \
  SETP(T, geu, !(a < b))          \
  SETP(T, num, a == a && b == b)  \
  SETP(T, nan, a != a || b != b)
REAL(f32)
REAL(f64)

f32 flushed(f32 x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
#define FTZ(relation, ...)                                                                  \
  BODY2(                                                                                    \
      u32, f32, f32, "setp." #relation ".ftz.f32",                                          \
      {                                                                                     \
        u32 r;                                                                              \
        asm("{ .reg .pred p; setp." #relation ".ftz.f32 p, %1, %2; selp.u32 %0, 1, 0, p; }" \
            : "=r"(r)                                                                       \
            : "f"(a), "f"(b));                                                              \
        return r;                                                                           \
      },                                                                                    \
      __VA_ARGS__)
FTZ(eq, flushed(a) == flushed(b))
FTZ(lt, flushed(a) < flushed(b))
FTZ(geu, !(flushed(a) < flushed(b)))

// Both results, combined with a predicate and with its complement.
#define COMBINED(name, op)                                                   \
  BODY3(                                                                     \
      u32, s32, s32, u32, "setp.lt." #name,                                  \
      {                                                                      \
        u32 r;                                                               \
        asm("{ .reg .pred p, q, c; .reg .u32 t;\n"                           \
            "setp.ne.u32 c, %3, 0; setp.lt." #name                           \
            ".s32 p|q, %1, %2, c;\n"                                         \
            "selp.u32 %0, 1, 0, p; selp.u32 t, 2, 0, q; or.b32 %0, %0, t; }" \
            : "=&r"(r)                                                       \
            : "r"(a), "r"(b), "r"(c & 1));                                   \
        return r;                                                            \
      },                                                                     \
      u32((a < b) op(c & 1)) | u32(!(a < b) op(c & 1)) << 1)                 \
  BODY3(                                                                     \
      u32, f64, f64, u32, "setp.gtu." #name " !c",                           \
      {                                                                      \
        u32 r;                                                               \
        asm("{ .reg .pred p, q, c; .reg .u32 t;\n"                           \
            "setp.ne.u32 c, %3, 0; setp.gtu." #name                          \
            ".f64 p|q, %1, %2, !c;\n"                                        \
            "selp.u32 %0, 1, 0, p; selp.u32 t, 2, 0, q; or.b32 %0, %0, t; }" \
            : "=&r"(r)                                                       \
            : "d"(a), "d"(b), "r"(c & 1));                                   \
        return r;                                                            \
      },                                                                     \
      u32(!(a <= b) op !(c & 1)) | u32((a <= b) op !(c & 1)) << 1)
COMBINED(and, &)
COMBINED(or, |)
COMBINED(xor, ^)

OP2(u32, s32, s32, "set.le.u32.s32", a <= b ? ~0u : 0)
OP2(u32, f32, f32, "set.gtu.u32.f32", !(a <= b) ? ~0u : 0)
OP2(f32, f32, f32, "set.lt.f32.f32", a < b ? 1.0f : 0.0f)
OP2(f32, u64, u64, "set.hs.f32.u64", a >= b ? 1.0f : 0.0f)
OP2(s32, f64, f64, "set.nan.s32.f64", a != a || b != b ? -1 : 0)
BODY3(
    u32, s32, s32, u32, "set.lt.and",
    {
      u32 r;
      asm("{ .reg .pred c; setp.ne.u32 c, %3, 0;\n"
          "set.lt.and.u32.s32 %0, %1, %2, c; }"
          : "=r"(r)
          : "r"(a), "r"(b), "r"(c & 1));
      return r;
    },
    a < b && (c & 1) ? ~0u : 0)

#define SELECTED(T, B)                                                          \
  BODY3(                                                                        \
      T, T, T, u32, "selp." B,                                                  \
      {                                                                         \
        T r;                                                                    \
        asm("{ .reg .pred p; setp.ne.u32 p, %3, 0; selp." B " %0, %1, %2, p; }" \
            : "=" ASM_##T(r)                                                    \
            : ASM_##T(a), ASM_##T(b), "r"(c & 1));                              \
        return r;                                                               \
      },                                                                        \
      c & 1 ? a : b)
SELECTED(u16, "b16")
SELECTED(u32, "b32")
SELECTED(u64, "b64")
SELECTED(f32, "f32")
SELECTED(f64, "f64")
OP3(u32, u32, u32, s32, "slct.u32.s32", c >= 0 ? a : b)
OP3(u16, u16, u16, s32, "slct.b16.s32", c >= 0 ? a : b)
OP3(u64, u64, u64, s32, "slct.b64.s32", c >= 0 ? a : b)
OP3(f64, f64, f64, s32, "slct.f64.s32", c >= 0 ? a : b)
OP3(u32, u32, u32, f32, "slct.u32.f32", c >= 0 ? a : b)
OP3(f32, f32, f32, f32, "slct.ftz.f32.f32", flushed(c) >= 0 ? a : b)

// Predicates as values.
BODY3(
    u32, u32, u32, u32, "and not xor.pred",
    {
      u32 r;
      asm("{ .reg .pred p, q, s; setp.gt.u32 p, %1, 9;\n"
          "setp.lt.u32 q, %2, 99; and.pred s, p, q; not.pred p, p; xor.pred s, s, p; mov.pred q, "
          "s;\n"
          "@q mov.u32 %0, %3; @!q mov.u32 %0, 5; }"
          : "=r"(r)
          : "r"(a), "r"(b), "r"(c));
      return r;
    },
    ((a > 9 && b < 99) != !(a > 9)) ? c : 5)

}  // namespace

int main() { return test::run_all(); }
