// Numbers for kernel tests.
#pragma once
#include <cmath>
#include <cstdint>
#include <random>
#include <type_traits>
#include <vector>

#include "kernels/bfloat16.h"

namespace noisette::test {

/// Normal draws that every element type holds exactly.
inline std::vector<double> random_values(int64_t n, uint64_t seed) {
  std::mt19937_64 rng(seed);
  std::normal_distribution<double> normal;
  std::vector<double> v(static_cast<size_t>(n));
  for (double& x : v) x = double(float(bfloat16(float(normal(rng)))));
  return v;
}

template <class To>
std::vector<To> cast(const std::vector<double>& v) {
  std::vector<To> out;
  out.reserve(v.size());
  for (const double x : v) {
    if constexpr (std::is_same_v<To, bfloat16>)
      out.push_back(bfloat16(float(x)));
    else
      out.push_back(To(x));
  }
  return out;
}

inline double value(bfloat16 x) { return double(float(x)); }
inline double value(double x) { return x; }

template <class T>
std::vector<double> values(const std::vector<T>& v) {
  std::vector<double> out;
  for (const T x : v) out.push_back(value(x));
  return out;
}

inline std::vector<double> magnitude(std::vector<double> v) {
  for (double& x : v) x = std::abs(x);
  return v;
}

}  // namespace noisette::test
