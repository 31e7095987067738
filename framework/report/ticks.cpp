#include "framework/report/ticks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace noisette {
namespace {

/// The smallest 1, 2 or 5 times a power of ten of which at most `most` multiples lie in an interval
/// this wide.
double nice_step(double width, int most) {
  const double least = width / double(most - 1);
  const double decade = std::pow(10.0, std::floor(std::log10(least)));
  for (double factor : {1.0, 2.0, 5.0})
    if (factor * decade >= least * (1 - 1e-9)) return factor * decade;
  return 10 * decade;
}

int decimals_of(double step) {
  return std::clamp(-int(std::floor(std::log10(step) + 1e-9)), 0, 15);
}

std::string linear_label(double v, double step, double largest) {
  if (std::abs(v) < step / 2) return "0";  // a multiple that missed zero by rounding
  const auto in_units = [v, step](double unit, const char* suffix) {
    return fmt::format("{:.{}f}{}", v / unit, decimals_of(step / unit), suffix);
  };
  if (largest >= 1e6) return in_units(1e6, "M");
  if (largest >= 1e4) return in_units(1e3, "k");
  if (largest < 1e-3) {
    const double exponent = std::floor(std::log10(largest) + 1e-9);
    return in_units(std::pow(10.0, exponent), fmt::format("e{:.0f}", exponent).c_str());
  }
  return in_units(1, "");
}

std::string log_label(double v) {
  if (v >= 1e-3 && v < 1e4) return fmt::format("{:.6g}", v);
  const double exponent = std::floor(std::log10(v) + 1e-9);
  return fmt::format("{:.0f}e{:.0f}", v / std::pow(10.0, exponent), exponent);
}

}  // namespace

std::vector<Tick> linear_ticks(double lo, double hi, int most) {
  const double step = nice_step(hi - lo, most);
  const double slack = 1e-9 * step;
  std::vector<Tick> ticks;
  const double largest = std::max(std::abs(lo), std::abs(hi));
  for (double n = std::ceil((lo - slack) / step); n * step <= hi + slack; ++n)
    ticks.push_back({n * step, linear_label(n * step, step, largest)});
  return ticks;
}

std::vector<Tick> log_ticks(double lo, double hi, int most) {
  std::vector<Tick> fine, powers;
  for (double e = std::floor(std::log10(lo)); e <= std::ceil(std::log10(hi)); ++e)
    for (double factor : {1.0, 2.0, 5.0}) {
      const double v = factor * std::pow(10.0, e);
      if (v < lo * (1 - 1e-9) || v > hi * (1 + 1e-9)) continue;
      fine.push_back({v, log_label(v)});
      if (factor == 1.0) powers.push_back(fine.back());
    }
  if (fine.size() < 3) return linear_ticks(lo, hi, most);
  if (int(fine.size()) <= most) return fine;
  const std::size_t every = (powers.size() + std::size_t(most) - 1) / std::size_t(most);
  std::vector<Tick> thinned;
  for (std::size_t i = 0; i < powers.size(); i += every) thinned.push_back(powers[i]);
  return thinned;
}

std::pair<double, double> enclosing_range(double lo, double hi, int most) {
  const double step = nice_step(hi - lo, most);
  return {std::floor(lo / step + 1e-9) * step, std::ceil(hi / step - 1e-9) * step};
}

}  // namespace noisette
