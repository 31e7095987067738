// Single ops whose conventions differ between libraries, against PyTorch in f64: outputs and
// gradients. The cases are those of tests/parity/make_op_fixtures.py.
#include <fstream>

#include "framework/autograd/autograd.h"
#include "framework/ops/activation.h"
#include "framework/ops/attention.h"
#include "framework/ops/conv.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/embedding.h"
#include "framework/ops/loss.h"
#include "framework/ops/matmul.h"
#include "framework/ops/norm.h"
#include "framework/ops/optimizer.h"
#include "framework/ops/shape.h"
#include "framework/ops/softmax.h"
#include "tests/support/fixture.h"

namespace noisette {
namespace {

using testing_support::distance_message;
using testing_support::Fixture;
using testing_support::fixture_path;
using testing_support::values_of;
using Json = nlohmann::json;
using Inputs = std::vector<Tensor>;
using Op = std::function<Tensor(const Inputs&, const Json&)>;

/// Both sides are f64; the sums are short, but one norm has a mean of 50 standard deviations and
/// its variance a rounding error of 50^2 eps.
constexpr double kBound = 2e-12;

Padding padding(const Json& pad) {  // PyTorch's order: left, right, top, bottom
  return {.top = pad[2], .left = pad[0], .bottom = pad[3], .right = pad[1]};
}

const std::map<std::string, Op>& ops() {
  static const std::map<std::string, Op> table = {
      {"conv2d",
       [](const Inputs& in, const Json& c) {
         return conv2d(in[0], in[1], in[2], {.stride = c["stride"], .padding = padding(c["pad"])});
       }},
      {"group_norm",
       [](const Inputs& in, const Json& c) {
         return group_norm(in[0], in[1], in[2], c["groups"], {.eps = c["eps"]});
       }},
      {"group_norm_silu",
       [](const Inputs& in, const Json& c) {
         return group_norm(in[0], in[1], in[2], c["groups"], {.eps = c["eps"], .silu = true});
       }},
      {"layer_norm",
       [](const Inputs& in, const Json& c) { return layer_norm(in[0], in[1], in[2], c["eps"]); }},
      {"silu", [](const Inputs& in, const Json&) { return silu(in[0]); }},
      {"gelu", [](const Inputs& in, const Json&) { return gelu(in[0]); }},
      {"gelu_tanh", [](const Inputs& in, const Json&) { return gelu_tanh(in[0]); }},
      {"quick_gelu", [](const Inputs& in, const Json&) { return quick_gelu(in[0]); }},
      {"geglu", [](const Inputs& in, const Json&) { return geglu(in[0]); }},
      {"softmax", [](const Inputs& in, const Json&) { return softmax(in[0]); }},
      {"attention",
       [](const Inputs& in, const Json& c) {
         return attention(in[0], in[1], in[2], c["heads"], {.causal = c["causal"], .scale = {}});
       }},
      {"upsample",
       [](const Inputs& in, const Json& c) { return resize_nearest(in[0], c["factor"]); }},
      {"average_pool",
       [](const Inputs& in, const Json& c) { return average_pool(in[0], c["size"]); }},
      {"sinusoid",
       [](const Inputs& in, const Json& c) {
         return timestep_embedding(
             in[0], c["channels"], DType::f64,
             {.flip_sin_to_cos = c["flip_sin_to_cos"], .freq_shift = c["freq_shift"]});
       }},
      {"embedding", [](const Inputs& in, const Json&) { return embedding(in[0], in[1]); }},
      {"cross_entropy",
       [](const Inputs& in, const Json&) { return mean(cross_entropy(in[0], in[1])); }},
      {"linear", [](const Inputs& in, const Json&) { return linear(in[0], in[1], in[2]); }}};
  return table;
}

const Json& cases() {
  static const Json all = [] {
    std::ifstream file(fixture_path("ops/ops.json"));
    return Json::parse(file)["cases"];
  }();
  return all;
}

std::vector<std::string> names() {
  std::vector<std::string> list;
  for (const auto& [name, c] : cases().items())
    if (c["op"] != "adamw") list.push_back(name);
  return list;
}

class TorchParity : public testing::TestWithParam<std::string> {};

TEST_P(TorchParity, OutputAndGradients) {
  static const Fixture f("ops/ops.safetensors");
  const std::string name = GetParam() + ".";
  const Json& c = cases()[GetParam()];
  ASSERT_TRUE(ops().contains(c["op"])) << c["op"];
  Inputs in;
  std::vector<std::string> differentiable;
  for (const std::string key : c["inputs"]) {
    const bool wanted = f.has(name + "d" + key);
    in.push_back(f.tensor(name + key, key == "timestep" || key == "index" || key == "target"
                                          ? DType::i64
                                          : DType::f64));
    if (wanted) in.back().requires_grad();
    differentiable.push_back(wanted ? "d" + key : "");
  }
  const Tensor y = ops().at(c["op"])(in, c);
  EXPECT_EQ(distance_message("y", values_of(y), f.ours(name + "y"), kBound), "");
  if (!f.has(name + "dy")) return;
  backward(y, f.tensor(name + "dy", DType::f64));
  for (size_t i = 0; i < in.size(); ++i) {
    const std::string& grad = differentiable[i];
    if (grad.empty()) continue;
    EXPECT_EQ(distance_message(grad, values_of(in[i].grad()), f.ours(name + grad), kBound), "");
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, TorchParity, testing::ValuesIn(names()),
                         [](const auto& info) { return info.param; });

/// Two parameters, which PyTorch keeps apart and clips by their common norm, as one flat buffer.
TEST(AdamWParity, FollowsTorch) {
  const Fixture f("ops/ops.safetensors");
  const Json& c = cases()["adamw"];
  const auto both = [&](const std::string& first, const std::string& second) {
    std::vector<double> all = f.values("adamw." + first);
    for (const double v : f.values("adamw." + second)) all.push_back(v);
    const auto n = int64_t(all.size());
    return from_vector(std::move(all), {n});
  };
  OptimizerBuffers b{
      .weight = both("p0", "p1"), .grad = {}, .m = {}, .v = {}, .average = {}, .compute = {}};
  b.m = zeros(b.weight.shape(), DType::f64);
  b.v = zeros(b.weight.shape(), DType::f64);
  const AdamWOptions options{.beta1 = c["betas"][0],
                             .beta2 = c["betas"][1],
                             .eps = c["eps"],
                             .weight_decay = c["weight_decay"],
                             .clip_norm = c["clip"]};
  const auto norms = f.values("adamw.grad_norm");
  for (int k = 0; k < int(c["steps"]); ++k) {
    const std::string at = "." + std::to_string(k);
    b.grad = both("g0" + at, "g1" + at);
    const Tensor numbers = make_update_numbers({.learning_rate = c["lr"], .step = double(k + 1)});
    gradient_squares(b.grad, numbers);
    adamw_step(b, numbers, options);
    EXPECT_NEAR(std::sqrt(numbers.span<double>()[3]), norms[size_t(k)], 1e-13);
    EXPECT_EQ(distance_message("weights" + at, values_of(b.weight),
                               values_of(both("p0" + at, "p1" + at)), kBound),
              "");
  }
}

}  // namespace
}  // namespace noisette
