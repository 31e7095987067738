// Loops over the lanes of a warp: what most handlers are.
//
// An operation is a struct with `static T of(T...)`. Where all lanes take part the loop is plain;
// where some do not it computes all and keeps the old value of the others, so that both vectorise.
#pragma once
#include <bit>
#include <cstdint>
#include <type_traits>

#include "simulator/exec/warp.h"

namespace sim {

/// How a value of T lies in its row: 64-bit values in 64 bits, all others in 32, upper bits zero.
template <class T>
using Cell = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

template <class T>
using Bits =
    std::conditional_t<sizeof(T) == 8, uint64_t,
                       std::conditional_t<sizeof(T) == 4, uint32_t,
                                          std::conditional_t<sizeof(T) == 2, uint16_t, uint8_t>>>;

template <class T>
inline T get(Cell<T> cell) {
  return std::bit_cast<T>(Bits<T>(cell));
}
template <class T>
inline Cell<T> put(T value) {
  return std::bit_cast<Bits<T>>(value);
}

/// c ? a : b by masks of bits: a loop over lanes with it vectorises, where a branch would not.
template <class T>
inline T choose(bool c, T a, T b) {
  const auto yes = Bits<T>(Bits<T>(0) - Bits<T>(c));
  return std::bit_cast<T>(
      Bits<T>((std::bit_cast<Bits<T>>(a) & yes) | (std::bit_cast<Bits<T>>(b) & Bits<T>(~yes))));
}

#define SIM_LANES _Pragma("GCC ivdep") for (int l = 0; l < kLanes; ++l)

/// For each lane of a mask; for what cannot be computed in lanes that do not take part.
template <class F>
inline void each_lane(uint32_t mask, F&& f) {
  for (; mask; mask &= mask - 1) f(std::countr_zero(mask));
}

template <class D, class F>
inline void write_lanes(Cell<D>* d, uint32_t mask, F&& value) {
  if (mask == kAllLanes) {
    SIM_LANES d[l] = put<D>(value(l));
  } else {
    alignas(64) Cell<D> all[kLanes];
    SIM_LANES all[l] = put<D>(value(l));
    SIM_LANES d[l] = choose<Cell<D>>(mask >> l & 1, all[l], d[l]);
  }
}

template <class D, class A, class Op>
void map1(Warp& w, const Inst& i, uint32_t mask) {
  const auto* a = w.row<Cell<A>>(i.a);
  write_lanes<D>(w.row<Cell<D>>(i.d), mask, [&](int l) { return Op::of(get<A>(a[l])); });
}

template <class D, class A, class B, class Op>
void map2(Warp& w, const Inst& i, uint32_t mask) {
  const auto* a = w.row<Cell<A>>(i.a);
  const auto* b = w.row<Cell<B>>(i.b);
  write_lanes<D>(w.row<Cell<D>>(i.d), mask,
                 [&](int l) { return Op::of(get<A>(a[l]), get<B>(b[l])); });
}

template <class D, class A, class B, class C, class Op>
void map3(Warp& w, const Inst& i, uint32_t mask) {
  const auto* a = w.row<Cell<A>>(i.a);
  const auto* b = w.row<Cell<B>>(i.b);
  const auto* c = w.row<Cell<C>>(i.c);
  write_lanes<D>(w.row<Cell<D>>(i.d), mask,
                 [&](int l) { return Op::of(get<A>(a[l]), get<B>(b[l]), get<C>(c[l])); });
}

/// The same one lane after another, only where the mask has them: divisions, library calls.
template <class D, class A, class Op>
void map1_scalar(Warp& w, const Inst& i, uint32_t mask) {
  const auto* a = w.row<Cell<A>>(i.a);
  auto* d = w.row<Cell<D>>(i.d);
  each_lane(mask, [&](int l) { d[l] = put<D>(Op::of(get<A>(a[l]))); });
}
template <class D, class A, class B, class Op>
void map2_scalar(Warp& w, const Inst& i, uint32_t mask) {
  const auto* a = w.row<Cell<A>>(i.a);
  const auto* b = w.row<Cell<B>>(i.b);
  auto* d = w.row<Cell<D>>(i.d);
  each_lane(mask, [&](int l) { d[l] = put<D>(Op::of(get<A>(a[l]), get<B>(b[l]))); });
}
template <class D, class A, class B, class C, class Op>
void map3_scalar(Warp& w, const Inst& i, uint32_t mask) {
  const auto* a = w.row<Cell<A>>(i.a);
  const auto* b = w.row<Cell<B>>(i.b);
  const auto* c = w.row<Cell<C>>(i.c);
  auto* d = w.row<Cell<D>>(i.d);
  each_lane(mask, [&](int l) { d[l] = put<D>(Op::of(get<A>(a[l]), get<B>(b[l]), get<C>(c[l]))); });
}

/// Lanes of a predicate from a condition on each lane.
template <class F>
inline uint32_t lanes_where(F&& condition) {
  uint32_t bits = 0;
  for (int l = 0; l < kLanes; ++l) bits |= uint32_t(condition(l)) << l;
  return bits;
}
inline void write_predicate(uint32_t& p, uint32_t mask, uint32_t value) {
  p = (p & ~mask) | (value & mask);
}

}  // namespace sim
