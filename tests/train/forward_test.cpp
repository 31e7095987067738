// noisette forward: timesteps as they are written, labels within their range.
#include "framework/autograd/autograd.h"
#include "framework/io/safetensors.h"
#include "models/unet/diffusers.h"
#include "tests/train/program.h"
#include "train/model_source.h"

namespace noisette {
namespace {

using namespace test;

class Forward : public testing::Test {
 protected:
  Forward() { make_checkpoint(folder / "model.h5", small_config(folder / "set.h5")); }

  /// Runs the program on two images.
  template <class Time, class Label>
  Outcome forward(const char* time_type, const std::vector<Time>& t, const char* label_type,
                  const std::vector<Label>& labels, const std::vector<std::string>& options = {}) {
    write_safetensors(
        folder / "in.safetensors",
        {{"sample", "F32", {2, 1, 8, 8}, std::as_bytes(std::span(pixels))},
         {"timestep", time_type, {int64_t(t.size())}, std::as_bytes(std::span(t))},
         {"class_labels", label_type, {int64_t(labels.size())}, std::as_bytes(std::span(labels))}});
    std::vector<std::string> arguments{"forward",  (folder / "model.h5").string(),
                                       "--input",  (folder / "in.safetensors").string(),
                                       "--output", (folder / "out.safetensors").string()};
    arguments.insert(arguments.end(), options.begin(), options.end());
    return noisette(output, arguments);
  }
  std::vector<float> result() const {
    return as_f32(SafetensorsFile::open(folder / "out.safetensors").at("sample"));
  }

  std::vector<float> pixels = std::vector<float>(128, 0.5f);
  Folder folder, output;
};

TEST_F(Forward, TimestepsWithAFractionAreTakenAsTheyAre) {
  const auto run = [&](const Outcome& o) {
    EXPECT_EQ(o.code, 0) << o.err;
    return result();
  };
  const std::vector<float> got =
      run(forward<float, int64_t>("F32", {1.5f, 17.25f}, "I64", {0, 3}, {"--threads", "1"}));
  const LoadedModel m = open_model(folder / "model.h5");
  const NoGrad no_grad;
  const Tensor want =
      (*m.unet)(from_vector<float>(pixels, {2, 8, 8, 1}), from_vector<float>({1.5f, 17.25f}, {2}),
                from_vector<int64_t>({0, 3}, {2}));
  EXPECT_EQ(got, to_vector<float>(want));  // one channel: NHWC is NCHW
  const std::vector<float> whole = run(forward<int64_t, float>("I64", {1, 17}, "F32", {0, 3}));
  EXPECT_NE(whole, got);
  EXPECT_EQ(run(forward<float, int32_t>("F32", {1, 17}, "I32", {0, 3})), whole);
}

// Models and tensors of diffusers, with several channels and a map that is not square: what a
// person who checks a port would run.
TEST_F(Forward, GivesWhatDiffusersGives) {
  for (const char* name : {"unet_paper", "unet_rectangle"}) {
    const std::string model = std::string(NOISETTE_SOURCE_DIR "/tests/parity/fixtures/") + name;
    const auto expected = SafetensorsFile::open(model + "/expected.safetensors");
    const SafetensorsEntry &x = expected.at("sample"), &t = expected.at("timestep");
    write_safetensors(folder / "in.safetensors", {{"sample", x.dtype, x.shape, x.bytes},
                                                  {"timestep", t.dtype, t.shape, t.bytes}});
    const Outcome o =
        noisette(output, {"forward", model, "--input", (folder / "in.safetensors").string(),
                          "--output", (folder / "out.safetensors").string()});
    ASSERT_EQ(o.code, 0) << o.err;
    const auto want = as_f32(expected.at("output")), got = result();
    ASSERT_EQ(got.size(), want.size());
    double error = 0, norm = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      error += std::pow(double(got[i]) - double(want[i]), 2);
      norm += std::pow(double(want[i]), 2);
    }
    EXPECT_LE(std::sqrt(error / norm), 1e-5) << name;  // measured 1.6e-6: sums in another order
  }
}

TEST_F(Forward, WhatTheInputLacksIsSaidWithoutALineOfOurSource) {
  const auto refused = [&](const Shape& shape, const std::string& sentence) {
    const std::vector<float> x(std::size_t(shape.numel()), 0.5f);
    const std::vector<int64_t> t{1};
    write_safetensors(folder / "in.safetensors",
                      {{"sample", "F32", shape, std::as_bytes(std::span(x))},
                       {"timestep", "I64", {1}, std::as_bytes(std::span(t))}});
    expect_one_sentence(noisette(output, {"forward", (folder / "model.h5").string(), "--input",
                                          (folder / "in.safetensors").string(), "--output",
                                          (folder / "out.safetensors").string()}),
                        1, sentence + "\n");
  };
  refused({1, 1, 7, 8},
          "'sample' must be [N, 1, H, W] with H and W multiples of 2; got [1, 1, 7, 8]");
  refused({1, 1, 8, 8}, "no tensor 'class_labels'; it holds 2 tensors: 'sample', 'timestep'");
}

TEST_F(Forward, LabelsForANetworkWithoutClassesAreRefused) {
  TrainConfig c = small_config(folder / "set.h5");
  c.model.num_class_embeds = 0;
  make_checkpoint(folder / "model.h5", c);
  expect_one_sentence(forward<int64_t, int64_t>("I64", {1}, "I64", {0}), 1,
                      "holds 'class_labels', and " + (folder / "model.h5").string() +
                          " has no classes; leave them out\n");
}

TEST_F(Forward, LabelsOutOfRangeAreRefused) {
  const std::string rule = "[forward] 'class_labels' must be whole numbers from 0 to 3; got ";
  const auto expect_refused = [&](const Outcome& o, const std::string& value) {
    expect_one_sentence(o, 1, rule + value + "\n");
    EXPECT_FALSE(std::filesystem::exists(folder / "out.safetensors"));
  };
  expect_refused(forward<int64_t, int64_t>("I64", {1}, "I64", {0, 4}), "4");
  expect_refused(forward<int64_t, int64_t>("I64", {1}, "I64", {-1}), "-1");
  expect_refused(forward<int64_t, int32_t>("I64", {1}, "I32", {1'000'000'000, 0}), "1000000000");
  expect_refused(forward<int64_t, float>("I64", {1}, "F32", {1.5f}), "1.5");
  expect_refused(forward<int64_t, float>("I64", {1}, "F32", {NAN}), "nan");
  expect_refused(forward<int64_t, float>("I64", {1}, "F32", {1e20f}), "1e+20");
  expect_one_sentence(forward<int64_t, uint8_t>("I64", {1}, "U8", {1}), 1,
                      "'class_labels' is U8; wanted I64, I32");
}

}  // namespace
}  // namespace noisette
