// Where the marks of an axis go and what they say.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace noisette {

struct Tick {
  double value = 0;
  std::string label;
};

/// Marks at multiples of 1, 2 or 5 times a power of ten inside [lo, hi], at most `most` of them.
/// Labels carry as many decimals as the step needs; from 10,000 on they are in thousands ("20k")
/// and millions ("3M"). lo < hi, both finite; most >= 2
std::vector<Tick> linear_ticks(double lo, double hi, int most);

/// Marks inside [lo, hi] for a logarithmic axis: 1, 2, 5 of each decade, powers of ten alone where
/// those are too many, linear marks where the range is too narrow for three of them. 0 < lo < hi,
/// both finite; most >= 2
std::vector<Tick> log_ticks(double lo, double hi, int most);

/// The multiples of linear_ticks' step that enclose [lo, hi].
std::pair<double, double> enclosing_range(double lo, double hi, int most);

}  // namespace noisette
