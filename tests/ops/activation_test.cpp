#include "framework/ops/activation.h"

#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using testing_support::GradCase;
using testing_support::In;
using testing_support::message_of;

// Spread 2: both tails of each function are visited. gelu_tanh: its cubic argument magnifies
// rounding in the tail.
const In kWide{Shape{7, 33}, false, 0, 2};

NOISETTE_OP_TESTS(ActivationOps, GradCase{"silu", {kWide}, [](auto in) { return silu(in[0]); }},
                  GradCase{"silu_one", {{1}}, [](auto in) { return silu(in[0]); }},
                  GradCase{"silu_empty", {{0, 3}}, [](auto in) { return silu(in[0]); }},
                  GradCase{"gelu", {kWide}, [](auto in) { return gelu(in[0]); }},
                  GradCase{"gelu_tanh", {kWide}, [](auto in) { return gelu_tanh(in[0]); }, 16},
                  GradCase{"quick_gelu", {kWide}, [](auto in) { return quick_gelu(in[0]); }},
                  GradCase{"gelu_one", {{1}}, [](auto in) { return gelu(in[0]); }},
                  GradCase{"gelu_empty", {{0, 3}}, [](auto in) { return gelu(in[0]); }},
                  GradCase{"gelu_tanh_one", {{1}}, [](auto in) { return gelu_tanh(in[0]); }},
                  GradCase{"gelu_tanh_empty", {{0, 3}}, [](auto in) { return gelu_tanh(in[0]); }},
                  GradCase{"quick_gelu_one", {{1}}, [](auto in) { return quick_gelu(in[0]); }},
                  GradCase{"quick_gelu_empty", {{0, 3}}, [](auto in) { return quick_gelu(in[0]); }},
                  GradCase{"geglu", {{3, 2, 34}}, [](auto in) { return geglu(in[0]); }},
                  GradCase{"geglu_one", {{2}}, [](auto in) { return geglu(in[0]); }},
                  GradCase{"geglu_empty", {{0, 6}}, [](auto in) { return geglu(in[0]); }});

TEST(Activation, HandComputedValues) {
  const Tensor x = from_vector<double>({0, 1, -2}, {3});
  EXPECT_DOUBLE_EQ(silu(x).span<double>()[0], 0);
  EXPECT_NEAR(silu(x).span<double>()[1], 0.7310585786300049, 1e-15);
  EXPECT_NEAR(gelu(x).span<double>()[2], -0.04550026389635842, 1e-15);  // -2 Phi(-2)
  EXPECT_NEAR(gelu_tanh(x).span<double>()[1], 0.8411919906082768, 1e-15);
  EXPECT_NEAR(quick_gelu(x).span<double>()[1], 0.8457957659328212, 1e-15);
}

TEST(Activation, GegluWantsAnEvenAxis) {
  EXPECT_EQ(message_of([] {
              geglu(zeros({2, 3}, DType::f32));
            }).substr(0, 69),
            "[geglu] the last axis must be even: values, then gates; got x [2, 3] ");
}

}  // namespace
}  // namespace noisette
