// What a UNet consists of, and that every part of it takes part.
#include "framework/autograd/autograd.h"
#include "framework/config/config.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/loss.h"
#include "tests/unet/small_unet.h"

namespace noisette {
namespace {

using testing_support::message_of;
using testing_support::norm_of;
using testing_support::normals;
using testing_support::tensor_of;
using testing_support::values_of;
using unet_test::Inputs;
using unet_test::Model;
using unet_test::small_config;

/// The [model] table of one of configs/.
UNetConfig model_of(const std::string& file) {
  const auto path = std::filesystem::path(NOISETTE_SOURCE_DIR) / "configs" / file;
  const config::Table all = config::load_file(path);
  return config::from_table<UNetConfig>(*all.at("model").as<config::Table>(), path.string());
}

std::map<std::string, Shape> shapes_of(const UNet& net) {
  std::map<std::string, Shape> shapes;
  for (const Slot& s : net.slots()) shapes[s.name] = s.shape();
  return shapes;
}

TEST(UNetStructure, HasThePublishedNumberOfParameters) {
  const UNet cifar(unet_preset("ddpm-cifar10")), large(unet_preset("ddpm-256"));
  EXPECT_EQ(cifar.parameter_count(), 35'746'307);
  EXPECT_EQ(cifar.slots().size(), 328u);
  EXPECT_EQ(large.parameter_count(), 113'673'219);
  EXPECT_EQ(large.slots().size(), 450u);
}

TEST(UNetStructure, HasTheNumberOfParametersItsConfigurationsSay) {
  EXPECT_EQ(UNet(model_of("unet-28.toml")).parameter_count(), 4'435'393);
  EXPECT_EQ(UNet(model_of("fashion-mnist.toml")).parameter_count(), 1'114'209);  // 11 labels
}

TEST(UNetStructure, KeysAreThoseOfDiffusers) {
  const UNet net(unet_preset("ddpm-cifar10"));
  const auto shapes = shapes_of(net);
  const std::vector<std::pair<std::string, Shape>> want = {
      {"conv_in.weight", {128, 3, 3, 3}},
      {"time_embedding.linear_1.weight", {512, 128}},
      {"time_embedding.linear_2.bias", {512}},
      {"down_blocks.0.resnets.1.conv1.weight", {128, 3, 3, 128}},
      {"down_blocks.0.downsamplers.0.conv.bias", {128}},
      {"down_blocks.1.resnets.0.conv_shortcut.weight", {256, 1, 1, 128}},
      {"down_blocks.1.attentions.1.to_k.weight", {256, 256}},
      {"down_blocks.1.attentions.0.group_norm.weight", {256}},
      {"mid_block.attentions.0.to_out.0.weight", {256, 256}},
      {"mid_block.resnets.1.time_emb_proj.weight", {256, 512}},
      {"up_blocks.0.resnets.2.conv1.weight", {256, 3, 3, 512}},
      {"up_blocks.2.attentions.2.to_v.bias", {256}},
      {"up_blocks.2.upsamplers.0.conv.weight", {256, 3, 3, 256}},
      {"up_blocks.3.resnets.0.norm1.weight", {384}},
      {"up_blocks.3.resnets.2.conv_shortcut.weight", {128, 1, 1, 256}},
      {"conv_norm_out.bias", {128}},
      {"conv_out.weight", {3, 3, 3, 128}}};
  for (const auto& [name, shape] : want) {
    ASSERT_TRUE(shapes.contains(name)) << name;
    EXPECT_EQ(shapes.at(name), shape) << name;
  }
  for (const char* name :
       {"down_blocks.3.downsamplers.0.conv.weight", "up_blocks.3.upsamplers.0.conv.weight",
        "down_blocks.0.attentions.0.to_q.weight", "class_embedding.weight"})
    EXPECT_FALSE(shapes.contains(name)) << name;
  EXPECT_EQ(shapes_of(UNet(small_config())).at("class_embedding.weight"), (Shape{3, 32}));
}

Tensor loss_of(const Model& m, const Inputs& in, const ForwardContext& context) {
  const Tensor out = m.net(in.x, in.t, in.labels, context);
  return sum(weighted_mse(out, in.target, full({out.dim(0)}, 1, accumulator_of(out.dtype()))));
}

/// `init` is PyTorch's: the paper's makes the last layer of each block almost silent.
TEST(UNetStructure, EveryParameterReceivesAGradient) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    Model m(small_config(), {.dtype = dtype});
    const Inputs in(m.config, 3, 8, 8, dtype);
    m.arena.reset_grads();
    backward(loss_of(m, in, {.training = true, .seed = 4, .sample_index = in.sample_index}));
    EXPECT_TRUE(m.arena.finish_grads().empty());
    double largest = 0;
    for (const auto& e : m.arena.entries())
      largest = std::max(largest, norm_of(values_of(ParameterArena::view(m.arena.grad(), e))));
    for (const auto& e : m.arena.entries()) {
      const double norm = norm_of(values_of(ParameterArena::view(m.arena.grad(), e)));
      const double least = dtype == DType::f64 ? 1e-15 : 1e-6;
      if (e.name.ends_with("to_k.bias"))  // truly 0: softmax ignores what all keys share
        EXPECT_LT(norm, (dtype == DType::bf16 ? 1e-2 : least) * largest) << e.name;
      else
        EXPECT_GT(norm, 1e-5 * largest) << e.name << " in " << name_of(dtype);
    }
  }
}

/// Along a random direction in each parameter, and in the images, the loss changes by what the
/// gradient says.
TEST(UNetStructure, DirectionalDerivativesAreThoseOfTheGradient) {
  Model m(small_config(), {.dtype = DType::f64});
  Inputs in(m.config, 2, 4, 4, DType::f64);
  in.x.requires_grad();
  const ForwardContext context{.training = true, .seed = 4, .sample_index = in.sample_index};
  m.arena.reset_grads();
  backward(loss_of(m, in, context));
  const NoGrad no_grad;
  std::mt19937 engine(3);
  const double h = std::cbrt(std::numeric_limits<double>::epsilon());
  const auto expect = [&](const std::string& name, const Tensor& value, const Tensor& grad) {
    const auto direction = normals(value.numel(), engine, 0, 1 / std::sqrt(double(value.numel())));
    const auto before = to_vector<double>(value), g = to_vector<double>(grad);
    const auto at = [&](double step) {
      for (size_t i = 0; i < before.size(); ++i)
        value.data<double>()[i] = before[i] + step * direction[i];
      return loss_of(m, in, context).item();
    };
    const double numeric = (at(h) - at(-h)) / (2 * h);
    at(0);
    double analytic = 0, size = 0;
    for (size_t i = 0; i < g.size(); ++i) {
      analytic += g[i] * direction[i];
      size += std::abs(g[i] * direction[i]);
    }
    EXPECT_NEAR(analytic, numeric, 1e-8 + 1e-7 * size) << name;
  };
  expect("x", in.x, in.x.grad());
  for (const auto& e : m.arena.entries())
    expect(e.name, ParameterArena::view(m.arena.master(), e),
           ParameterArena::view(m.arena.grad(), e));
}

/// A network with more input channels, whose extra weights are zero, is the network without them:
/// how inpainting starts.
TEST(UNetStructure, ZeroExtraInputChannelsChangeNothing) {
  UNetConfig narrow = small_config(), wide = narrow;
  narrow.in_channels = 4;
  wide.in_channels = 9;
  Model four(narrow, {.dtype = DType::f64}), nine(wide, {.dtype = DType::f64}, 2);
  for (const auto& e : nine.arena.entries()) {
    const Tensor to = ParameterArena::view(nine.arena.master(), e);
    const auto& source = *four.arena.find(e.name);
    const Tensor from = ParameterArena::view(four.arena.master(), source);
    if (e.name != "conv_in.weight") {
      copy(from, to);
      continue;
    }
    fill(to, 0);
    for (int64_t row = 0; row < from.numel() / 4; ++row)
      std::copy_n(from.data<double>() + row * 4, 4, to.data<double>() + row * 9);
  }
  const Inputs in4(narrow, 2, 4, 8, DType::f64), in9(wide, 2, 4, 8, DType::f64);
  for (int64_t pixel = 0; pixel < in4.x.numel() / 4; ++pixel)
    std::copy_n(in4.x.data<double>() + pixel * 4, 4, in9.x.data<double>() + pixel * 9);
  const auto want = values_of(four.net(in4.x, in4.t, in4.labels)),
             got = values_of(nine.net(in9.x, in9.t, in9.labels));
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-12);
}

TEST(UNetStructure, ImagesDoNotDependOnTheirBatch) {
  const Model m(small_config());
  const Inputs in(m.config, 3, 8, 8, DType::f32);
  const auto all = values_of(m.net(in.x, in.t, in.labels));
  const auto second = values_of(m.net(in.x.rows(1, 2), in.t.rows(1, 2), in.labels.rows(1, 2)));
  for (size_t i = 0; i < second.size(); ++i) EXPECT_NEAR(second[i], all[second.size() + i], 1e-5);
}

TEST(UNetStructure, RefusesNonsense) {
  UNetConfig none = small_config(), heads = small_config(), flat = small_config();
  none.norm_num_groups = 0;
  heads.attention_head_dim = 0;
  flat.block_out_channels.clear();
  EXPECT_NE(message_of([&] { UNet{none}; }).find("norm_num_groups must be from 1"),
            std::string::npos);
  EXPECT_NE(message_of([&] { UNet{heads}; }).find("attention_head_dim must be from 1"),
            std::string::npos);
  EXPECT_NE(message_of([&] { UNet{flat}; }).find("levels of block_out_channels must be"),
            std::string::npos);
}

TEST(UNetStructure, ErrorsNameBothSides) {
  const Model m(small_config());
  const Inputs in(m.config, 2, 8, 8, DType::f32), odd(m.config, 2, 7, 8, DType::f32);
  const auto text = [&](const Tensor& x, const Tensor& t, const Tensor& labels) {
    return message_of([&] { m.net(x, t, labels); });
  };
  EXPECT_NE(text(odd.x, in.t, in.labels).find("multiples of 2; got [2, 7, 8, 2]"),
            std::string::npos);
  EXPECT_NE(text(in.target, in.t, in.labels).find("[N, H, W, 2]"), std::string::npos);
  EXPECT_NE(text(in.x, in.t.rows(0, 1), in.labels).find("timesteps of shape [2]; got [1]"),
            std::string::npos);
  EXPECT_NE(text(in.x, in.t, {}).find("has 3 classes; got no labels"), std::string::npos);
}

}  // namespace
}  // namespace noisette
