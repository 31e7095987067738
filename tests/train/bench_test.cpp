// noisette bench and plan: what they print is complete and can be read by a program.
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

TEST(Bench, ATrainingStepIsReportedWhole) {
  const Folder folder;
  put(folder / "run.toml", config::to_toml(small_config(folder / "set.h5")));
  const Outcome o =
      noisette(folder, {"bench", "train", (folder / "run.toml").string(), "--dtype", "f32",
                        "--batch", "6", "--steps", "3", "--threads", "1", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  const auto j = nlohmann::json::parse(o.out);
  EXPECT_EQ(j["all_seconds"].size(), 3u);
  const double seconds = j["seconds_per_step"];
  EXPECT_NEAR(j["images_per_second"].get<double>() * seconds, 6, 1e-6);
  EXPECT_NEAR(j["gflops_per_second"].get<double>() * seconds,
              j["flops_per_step"].get<double>() * 1e-9, 1e-6);
  EXPECT_GE(j["over_products"].get<double>(), 1.0);
  double shares = 0;
  for (const auto& [family, share] : j["share"].items()) shares += share.get<double>();
  EXPECT_NEAR(shares, 1, 1e-6);

  const Outcome planned =
      noisette(folder, {"plan", (folder / "run.toml").string(), "--set", "run.batch=6", "--set",
                        "run.precision=f32", "--no-measure", "--json"});
  ASSERT_EQ(planned.code, 0) << planned.err;
  const auto plan = nlohmann::json::parse(planned.out);
  // What is planned on the meta device is what a step then takes, but for its images and labels.
  EXPECT_NEAR(plan["peak_bytes"].get<double>() / j["peak_bytes"].get<double>(), 1, 0.01);
  EXPECT_NEAR(plan["flops_per_image_step"].get<double>() * 6 / j["flops_per_step"].get<double>(), 1,
              1e-6);
}

// 35.7 million parameters, Ho et al. 2020, appendix B; the exact number and the arithmetic are
// those of the same network in diffusers.
TEST(Plan, CountsThePapersNetwork) {
  const Folder folder;
  const auto plan = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"plan", NOISETTE_SOURCE_DIR "/configs/ddpm-cifar10.toml",
                                     "--no-measure", "--json"});
    const Outcome o = noisette(folder, options);
    EXPECT_EQ(o.code, 0) << o.err;
    return nlohmann::json::parse(o.out);
  };
  const auto j = plan({});
  EXPECT_EQ(j["parameters"], 35'746'307);
  int64_t blocks = 0;
  for (const auto& [name, count] : j["parameters_by_block"].items()) blocks += count.get<int64_t>();
  EXPECT_EQ(blocks, 35'746'307);
  EXPECT_NEAR(j["flops_per_image"].get<double>(), 12.44e9, 0.1e9);
  EXPECT_GT(j["peak_bytes"].get<int64_t>(), j["forward_bytes"].get<int64_t>());
  EXPECT_FALSE(j.contains("seconds"));
  const auto half = plan({"--set", "run.micro_batch=64"});
  EXPECT_EQ(half["flops_per_image_step"], j["flops_per_image_step"]);
  EXPECT_LT(half["peak_bytes"].get<int64_t>(), j["peak_bytes"].get<int64_t>());
}

TEST(Plan, SaysWhatFitsOnACard) {
  const Folder folder;
  const auto plan = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"plan", NOISETTE_SOURCE_DIR "/configs/ddpm-cifar10.toml",
                                     "--no-measure", "--json", "--device", "cuda"});
    const Outcome o = noisette(folder, options);
    EXPECT_EQ(o.code, 0) << o.err;
    return nlohmann::json::parse(o.out);
  };
  const auto j = plan({});
  const auto& cuda = j["cuda"];
  int64_t sum = 0;
  for (const char* part : {"tensor_bytes", "batch_bytes", "scratch_bytes", "library_bytes",
                           "segment_bytes", "preview_bytes", "allowance_bytes"}) {
    EXPECT_GT(cuda[part].get<int64_t>(), 0) << part;
    sum += cuda[part].get<int64_t>();
  }
  EXPECT_EQ(sum, cuda["bytes"].get<int64_t>());
  EXPECT_NEAR(cuda["tensor_bytes"].get<double>() / j["peak_bytes"].get<double>(), 1, 0.01);
  // Two sets of 128 images of 3072 bytes and what the recording reads.
  EXPECT_NEAR(cuda["batch_bytes"].get<double>(), 3 * 128 * (3072 + 8), 1000);
  ASSERT_EQ(cuda["cards"].size(), 4u);
  int64_t before = 1;
  for (const auto& card : cuda["cards"]) {
    const int64_t fits = card["micro_batch"], blocks = card["micro_batch_recompute_blocks"];
    EXPECT_GE(fits, before) << card["gib"];
    EXPECT_GE(blocks, fits) << card["gib"];
    before = fits;
  }
  EXPECT_EQ(before, 128) << "80 GiB have room for the recipe as it is";
  // The first card: what is said to fit does, and twice as much does not.
  const auto& card = cuda["cards"][0];
  const int64_t fits = card["micro_batch"], room = card["gib"].get<int64_t>() << 30;
  const auto needs = [&](int64_t micro) {
    return plan({"--set", fmt::format("run.micro_batch={}", micro)})["cuda"]["bytes"]
        .get<int64_t>();
  };
  EXPECT_LE(needs(fits), room);
  if (fits < 128) {
    EXPECT_GT(needs(2 * fits), room);
  }
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
