#include "simulator/profile/estimate.h"

#include <algorithm>

namespace sim {
namespace {

// Of an SM and clock, the same on all three cards. CUDA programming guide, "Compute Capability 8.x"
// and "9.0", "Architecture": 4 warp schedulers that issue an instruction each, 64 INT32 cores, 16
// special function units. What the guide's table of throughputs has slower (popc, clz and brev,
// conversions to and from 64 bits: 16 lanes; shuffles: 32) counts here as if it were not.
constexpr double kIssues = 4;
constexpr double kIntegerWarps = 2;
constexpr double kSpecialWarps = 0.5;
// Not documented for these cards: bytes between L2 and an SM; atomics that L2 does at one address.
constexpr double kSmBytes = 64;
constexpr double kSameAddress = 1;

double per_nanosecond(const DeviceModel& m, Unit unit) {
  switch (unit) {
    case Unit::f32:
      return m.f32_tflops * 1e3;
    case Unit::f64:
      return m.f64_tflops * 1e3;
    case Unit::f16:
      return m.f16_tflops * 1e3;
    case Unit::tensor_f16:
      return m.tensor_bf16_tflops * 1e3;
    case Unit::tensor_tf32:
      return m.tensor_tf32_tflops * 1e3;
    case Unit::tensor_f64:
      return m.tensor_f64_tflops * 1e3;
    case Unit::tensor_int8:
      return m.tensor_int8_tops * 1e3;
    case Unit::none:
      break;
  }
  return 1;
}

}  // namespace

std::string_view name_of(Bound bound) {
  constexpr std::array<std::string_view, kBounds> names = {"dram",    "l2",     "issue",  "integer",
                                                           "special", "f32",    "f64",    "f16",
                                                           "tensor",  "shared", "atomics"};
  return names[size_t(bound)];
}

Bound Estimate::bound() const {
  return Bound(std::max_element(parts.begin(), parts.end()) - parts.begin());
}

double tail(const DeviceModel& m, uint64_t blocks) {
  if (blocks == 0) return 1;
  const auto sms = uint64_t(m.sms);
  return double((blocks + sms - 1) / sms * sms) / double(blocks);
}

Estimate estimate(const DeviceModel& m, const Demand& d) {
  const double clock = m.clock_khz * 1e-6;  // clocks in a nanosecond
  const double slower = tail(m, d.blocks), sms = m.sms;
  const double busiest = slower * double(d.blocks) / sms;  // blocks of the SM that has the most
  const double schedulers = std::min(kIssues, std::max(1.0, busiest * double(d.warps_of_block)));
  Estimate e;
  const auto set = [&](Bound b, double ns) { e.parts[size_t(b)] += ns; };
  const auto of_sms = [&](double amount, double each_clock) {
    return amount * slower / (sms * each_clock * clock);
  };
  const auto arithmetic = [&](Unit unit) {
    return double(d.operations[size_t(unit)]) * slower / per_nanosecond(m, unit);
  };
  set(Bound::dram, double(d.dram_bytes) / m.memory_gbs);
  const double used = std::min(sms, double(d.blocks));
  if (d.l2_bytes) set(Bound::l2, double(d.l2_bytes) / std::min(m.l2_gbs, used * kSmBytes * clock));
  set(Bound::issue, of_sms(double(d.slots), schedulers));
  set(Bound::integer, of_sms(double(d.integer), kIntegerWarps));
  set(Bound::special, of_sms(double(d.special), kSpecialWarps));
  set(Bound::f32, arithmetic(Unit::f32));
  set(Bound::f64, arithmetic(Unit::f64));
  set(Bound::f16, arithmetic(Unit::f16));
  for (const Unit u : {Unit::tensor_f16, Unit::tensor_tf32, Unit::tensor_f64, Unit::tensor_int8})
    set(Bound::tensor, arithmetic(u));
  set(Bound::shared, of_sms(double(d.wavefronts), 1));
  set(Bound::atomics, double(d.hottest) / (kSameAddress * clock));
  e.time = kStartTime + e.parts[size_t(e.bound())];
  return e;
}

}  // namespace sim
