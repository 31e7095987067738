// Small networks for the UNet's tests: one made up here, and those of tests/parity/fixtures.
#pragma once
#include <memory>

#include "kernels/philox.h"
#include "models/unet/diffusers.h"
#include "models/unet/unet.h"
#include "tests/support/conv_mode.h"
#include "tests/support/fixture.h"

namespace noisette::unet_test {

/// Every part the network can have: classes, heads, both attention places, a change of width, two
/// levels, a scale.
inline UNetConfig small_config() {
  UNetConfig c;
  c.sample_size = 8;
  c.in_channels = 2;
  c.out_channels = 3;
  c.block_out_channels = {8, 12};
  c.layers_per_block = 1;
  c.attention_levels = {1};
  c.attention_head_dim = 4;
  c.norm_num_groups = 4;
  c.dropout = 0.25;
  c.mid_block_scale_factor = 1.5;
  c.num_class_embeds = 3;
  c.init = WeightInit::torch;
  return c;
}

struct Model {
  UNetConfig config;
  UNet net;
  ParameterArena arena;

  explicit Model(const UNetConfig& c, const ArenaOptions& options = {}, uint64_t seed = 1)
      : config(c), net(c), arena(net, options) {
    arena.initialize(seed);
  }
  /// A folder of tests/parity/fixtures.
  Model(const std::string& fixture, const ArenaOptions& options)
      : config(read_unet_config(testing_support::fixture_path(fixture) / "config.json")),
        net(config),
        arena(net, options) {
    read_weights(SafetensorsModel::open(testing_support::fixture_path(fixture) /
                                        "diffusion_pytorch_model.safetensors"),
                 arena);
  }
};

/// Inputs of a network, drawn once and rounded so that every dtype holds them.
struct Inputs {
  Tensor x, t, labels, target, sample_index;

  Inputs(const UNetConfig& c, int64_t n, int64_t height, int64_t width, DType dtype) {
    using namespace testing_support;
    std::mt19937 engine(42);
    const auto draw = [&](int64_t channels, DType d) {
      const Shape shape{n, height, width, channels};
      return tensor_of(normals(shape.numel(), engine, 0, 1), shape, d);
    };
    x = draw(c.in_channels, dtype);
    target = draw(c.out_channels, accumulator_of(dtype));
    std::vector<int64_t> times, classes, index;
    for (int64_t i = 0; i < n; ++i) {
      times.push_back((i * 387) % 1000);
      classes.push_back(i % std::max<int64_t>(c.num_class_embeds, 1));
      index.push_back(noisette::sample_index(3, i));
    }
    t = from_vector(times, {n});
    if (c.num_class_embeds > 0) labels = from_vector(classes, {n});
    sample_index = from_vector(index, {n});
  }
};

}  // namespace noisette::unet_test
