// Elements of the matrices that the tensor cores' tests multiply.
#pragma once
#include <cstdlib>

/// The value of an element of any type.
template <class T>
double number(T x) {
  return double(float(x));
}
inline double number(double x) { return x; }
inline double number(int x) { return x; }

/// Small multiples of 1/8, whose products and sums are exact; any value of a byte.
template <class T>
T random_of() {
  if constexpr (sizeof(T) == 1)
    return T(std::rand());
  else
    return T(float(std::rand() % 33 - 16) / 8);
}
