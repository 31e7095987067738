// What the compiler is known to get wrong, so that a change of flags cannot bring it back.
#include <gtest/gtest.h>

#include <vector>

namespace noisette {
namespace {

// g++ 12 with AVX-512 stored {a, a, 0, 0} as {a, a, a, a}; see cmake/NoisetteCompiler.cmake.
TEST(Compiler, KeepsTheZerosOfAConstant) {
  const std::vector<double> y = [] {
    std::vector<double> v;
    for (const double x : {0.5, 0.5, 0.0, 0.0}) v.push_back(x);
    return v;
  }();
  EXPECT_EQ(y, (std::vector<double>{0.5, 0.5, 0, 0}));
}

}  // namespace
}  // namespace noisette
