// Weights that are not finite, or overflow: every command that computes with them says so and
// writes nothing.
#include <limits>

#include "framework/io/safetensors.h"
#include "tests/train/program.h"

namespace noisette {
namespace {

namespace fs = std::filesystem;
using namespace test;

class BadWeights : public testing::Test {
 protected:
  BadWeights() {
    make_data(folder / "set.h5");
    const std::vector<float> pixels(64, 0.5f);
    const std::vector<int64_t> zero{0};
    write_safetensors(folder / "in.safetensors",
                      {{"sample", "F32", {1, 1, 8, 8}, std::as_bytes(std::span(pixels))},
                       {"timestep", "I64", {1}, std::as_bytes(std::span(zero))},
                       {"class_labels", "I64", {1}, std::as_bytes(std::span(zero))}});
  }

  std::string at(const std::string& name) const { return (folder / name).string(); }

  /// A checkpoint with one value of conv_in.weight, or all of them, replaced in weights and
  /// average.
  void make_model(float value, bool all) {
    const TrainConfig config = small_config(folder / "set.h5");
    UNet unet(config.model);
    ParameterArena arena(unet, {.dtype = DType::f32, .trainable = true, .ema = true});
    arena.initialize(3);
    fill(arena.m(), 0);
    fill(arena.v(), 0);
    for (const ParameterArena::Entry& e : arena.entries()) {
      if (e.name != "conv_in.weight") continue;
      for (const Tensor& flat : {arena.master(), arena.ema()}) {
        Tensor x = ParameterArena::view(flat, e);
        std::fill_n(x.data<float>(), all ? x.numel() : 1, value);
      }
    }
    save_checkpoint(folder / "model.h5", arena,
                    {.task = "ddpm",
                     .update = 10,
                     .config = config::to_toml(config),
                     .data_fingerprint = Dataset::open(folder / "set.h5")->info().fingerprint,
                     .numbers = {}});
  }
  void expect_refused(const std::vector<std::string>& arguments, const std::string& part) {
    const Outcome o = noisette(output, arguments);
    EXPECT_EQ(o.code, 1) << arguments[0];
    EXPECT_CONTAINS(o.err, part);
    EXPECT_EQ(o.out, "") << arguments[0];
    for (const char* name : {"a.png", "out.safetensors", "converted"})
      EXPECT_FALSE(fs::exists(folder / name)) << arguments[0];
  }
  std::vector<std::string> sample() const {
    return {"sample", at("model.h5"), "--n", "2", "--steps", "3", "-o", at("a.png")};
  }
  std::vector<std::string> eval() const {
    return {"eval", at("model.h5"), "--images", "2", "--timesteps", "4"};
  }
  std::vector<std::string> forward() const {
    return {"forward",  at("model.h5"),       "--input", at("in.safetensors"),
            "--output", at("out.safetensors")};
  }

  Folder folder, output;
};

TEST_F(BadWeights, TheFirstTensorIsNamed) {
  make_model(NAN, false);
  const std::string sentence =
      "has values that are not finite, first in the value of conv_in.weight";
  for (const auto& arguments :
       {sample(), eval(), forward(), {"convert", at("model.h5"), at("converted")}})
    expect_refused(arguments, sentence);
  const auto j = run_json({"info", at("model.h5"), "--verify"});
  EXPECT_EQ(j["not_finite"], 2);
  EXPECT_CONTAINS(run_command({"info", at("model.h5"), "--verify"}),
                  "2, first in the value of conv_in.weight");
}

TEST_F(BadWeights, ResultsThatOverflowAreNotWritten) {
  make_model(std::numeric_limits<float>::max(), true);
  EXPECT_EQ(run_json({"info", at("model.h5"), "--verify"})["not_finite"], 0);
  expect_refused(sample(), "[sample] image 0 has values that are not finite");
  expect_refused(eval(), "[eval] the figures of");
  expect_refused(forward(), "[forward] the output of image 0 has values that are not finite");
}

}  // namespace
}  // namespace noisette
