// noisette bench ops: what it prints is complete and can be read by a program.
#include <nlohmann/json.hpp>

#include "tests/train/program.h"

namespace noisette {
namespace {

using namespace test;

TEST(BenchOps, PrintsEachDirectionOfEachOpAsJson) {
  const Folder folder;
  const Outcome o = noisette(folder, {"bench", "ops", "--filter", "linear 256", "--batch", "1",
                                      "--repeat", "1", "--threads", "2", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  const auto j = nlohmann::json::parse(o.out);
  EXPECT_EQ(j["threads"], 2);
  ASSERT_EQ(j["ops"].size(), 12u);  // three shapes, two dtypes, two directions
  for (const auto& op : j["ops"]) {
    EXPECT_EQ(op["family"], "linear");
    EXPECT_GT(op["seconds"], 0.0);
    EXPECT_GT(op["gflops_per_second"], 0.0);
    EXPECT_GT(op["bytes"], 0.0);
  }
  // One image of 256 tokens: y = x W needs two operations a product, its gradients twice as many.
  EXPECT_EQ(j["ops"][0]["flops"], 2.0 * 256 * 256 * 768);
  EXPECT_EQ(j["ops"][1]["flops"], 4.0 * 256 * 256 * 768);
}

TEST(BenchOps, CoversOpsThatOnlyMoveMemory) {
  const Folder folder;
  for (const char* family : {"concat", "resize", "group norm", "adamw", "attention"}) {
    const Outcome o = noisette(folder, {"bench", "ops", "--filter", family, "--batch", "1",
                                        "--repeat", "1", "--dtype", "bf16", "--json"});
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_GT(nlohmann::json::parse(o.out)["ops"].size(), 0u) << family;
  }
}

TEST(BenchOps, RefusesAFilterThatMatchesNothing) {
  const Folder folder;
  expect_one_sentence(noisette(folder, {"bench", "ops", "--filter", "conv 5x5"}), 2,
                      "no op has 'conv 5x5' in its family, name or configuration; families: "
                      "convolution, 1x1, linear, attention, group norm, concat, resize, adamw\n");
}

TEST(Bench, AStepOfSamplingIsOneEvaluationOfTheNetwork) {
  const Folder folder;
  put(folder / "run.toml", config::to_toml(small_config(folder / "set.h5")));
  const auto bench = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"bench", "sample", (folder / "run.toml").string(), "--batch",
                                     "2", "--threads", "1", "--dtype", "f32"});
    const Outcome o = noisette(folder, options);
    EXPECT_EQ(o.code, 0) << o.err;
    return o.out;
  };
  const auto two = nlohmann::json::parse(bench({"--sampling-steps", "2", "--json"})),
             ten = nlohmann::json::parse(bench({"--sampling-steps", "10", "--json"}));
  EXPECT_EQ(two["sampling_steps"], 2);
  EXPECT_NEAR(two["flops_per_step"].get<double>() / ten["flops_per_step"].get<double>(), 1, 0.01);
  const double step = ten["seconds_per_step"], image = ten["seconds_per_image"],
               rate = ten["images_per_second"];
  EXPECT_NEAR(image / (step * 10 / 2), 1, 1e-6);
  EXPECT_NEAR(image * rate, 1, 1e-6);

  const std::string text = bench({"--sampling-steps", "2"});
  EXPECT_TRUE(text.starts_with("sampling step, median")) << text;
  for (const char* part : {"all 2 steps", "batch", "dtype", "f32", "threads", "processor"})
    EXPECT_CONTAINS(text, part);
}

TEST(Bench, RefusesCountsThatMeasureNothing) {
  const Folder folder;
  const std::vector<std::tuple<const char*, const char*, const char*, const char*>> cases = {
      {"train", "--steps", "0", "at least 1"},
      {"train", "--steps", "-1", "at least 1"},
      {"train", "--warmup", "-3", "at least 0"},
      {"train", "--batch", "0", "from 1 to 16777215"},
      {"train", "--threads", "2000", "from 1 to 1024"},
      {"sample", "--sampling-steps", "0", "at least 1"},
      {"sample", "--warmup", "-1", "at least 0"}};
  for (const auto& [work, option, value, range] : cases)
    expect_one_sentence(noisette(folder, {"bench", work, "none.toml", option, value}), 2,
                        fmt::format("{}: must be {}; got {};", option, range, value));
  expect_one_sentence(noisette(folder, {"bench", "ops", "--repeat", "0"}), 2,
                      "--repeat: must be at least 1; got 0");
}

}  // namespace
}  // namespace noisette
