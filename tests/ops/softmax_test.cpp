#include "framework/ops/softmax.h"

#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using testing_support::GradCase;
using testing_support::values_of;

const auto kSoftmax = [](const std::vector<Tensor>& in) { return softmax(in[0]); };

NOISETTE_OP_TESTS(SoftmaxOp, GradCase{"softmax", {{3, 5}}, kSoftmax, 16},
                  GradCase{"long_rows", {{2, 67}}, kSoftmax, 16},
                  GradCase{"three_axes", {{2, 1, 33}}, kSoftmax, 16},
                  GradCase{"one", {{2, 1}}, kSoftmax}, GradCase{"empty", {{0, 4}}, kSoftmax});

TEST(Softmax, SurvivesLargeNumbersAndMasks) {
  const float inf = std::numeric_limits<float>::infinity();
  const auto y = values_of(softmax(from_vector<float>({1e4f, 1e4f, -inf, -1e4f}, {4})));
  EXPECT_EQ(y, (std::vector<double>{0.5, 0.5, 0, 0}));
  EXPECT_EQ(values_of(softmax(from_vector<float>({3}, {1, 1}))), (std::vector<double>{1}));
}

}  // namespace
}  // namespace noisette
