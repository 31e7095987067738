#include "tests/train/small_run.h"

#include <CLI/CLI.hpp>

#include "kernels/philox.h"
#include "train/checkpoint.h"
#include "train/commands/commands.h"

namespace noisette::test {

void make_data(const std::filesystem::path& path, uint64_t seed, int64_t channels) {
  DatasetWriter writer(path, 18, 8, 8, channels);
  for (int32_t i = 0; i < 18; ++i) {
    std::vector<uint8_t> image(std::size_t(64 * channels));
    for (std::size_t e = 0; e < image.size(); ++e) {
      const auto bits = philox_block({seed, Purpose::kTest}, uint64_t(i), uint32_t(e))[0];
      const bool block = int32_t(e) / int32_t(8 * channels) / 3 == i % 3;
      image[e] = uint8_t((block ? 200 : 20) + bits % 40);
    }
    writer.add(image, i % 3);
  }
  writer.finish("made for a test", {"top", "middle", "bottom"}, {{"train", 12}, {"test", 6}});
}

TrainConfig small_config(const std::filesystem::path& data) {
  return parse_train_config(fmt::format(R"(
[run]
updates = 10
batch = 4
[model]
sample_size = 8
in_channels = 1
out_channels = 1
block_out_channels = [8, 16]
layers_per_block = 1
attention_levels = [1]
norm_num_groups = 4
num_class_embeds = 4
[schedule]
steps = 20
beta_end = 0.3
[sampler]
steps = 10
[data]
path = "{}"
[optimizer]
ema_decay = 0.9
)",
                                        data.string()),
                            "small.toml");
}

void make_checkpoint(const std::filesystem::path& path, const TrainConfig& config, uint64_t seed) {
  UNet unet(config.model);
  ParameterArena arena(unet, {.dtype = DType::f32, .trainable = true, .ema = true});
  arena.initialize(seed);
  fill(arena.m(), 0);
  fill(arena.v(), 0);
  save_checkpoint(path, arena,
                  {.task = "ddpm",
                   .update = 10,
                   .config = config::to_toml(config),
                   .data_fingerprint = std::filesystem::exists(config.data.path)
                                           ? Dataset::open(config.data.path)->info().fingerprint
                                           : "0123456789abcdef0123456789abcdef",
                   .numbers = {{"loss_ema", 0.25}}});
}

std::filesystem::path make_run(const std::filesystem::path& folder,
                               const std::filesystem::path& data) {
  const TrainConfig config = small_config(data);
  put(folder / "config.toml", config::to_toml(config));
  put(folder / "metrics.jsonl",
      "{\"update\":1,\"loss\":1.1,\"loss_ema\":1.1,\"lr\":0.001,\"grad_norm\":0.5}\n"
      "{\"update\":5,\"loss\":0.6,\"loss_ema\":0.9,\"lr\":0.001,\"grad_norm\":0.4,"
      "\"bands\":[0.9,0.5,0.4,0.3,0.2,0.1,0.1,0.1,0.1,0.1]}\n"
      "{\"update\":10,\"loss\":0.3,\"loss_ema\":0.5,\"lr\":0.001,\"grad_norm\":0.3,"
      "\"time\":2.5,\"images_per_second\":16,"
      "\"bands\":[0.8,0.4,0.3,0.2,0.1,0.1,0.1,0.1,0.1,0.05]}\n");
  std::filesystem::create_directories(folder / "checkpoints");
  make_checkpoint(checkpoint_path(folder / "checkpoints", 10), config);
  return folder;
}

std::string run_command(std::vector<std::string> arguments) {
  CLI::App app;
  app.require_subcommand(1);
  commands::add_eval(app);
  commands::add_forward(app);
  commands::add_info(app);
  commands::add_sample(app);
  commands::add_report(app);
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  testing::internal::CaptureStdout();
  try {
    app.parse(arguments);
  } catch (...) {
    testing::internal::GetCapturedStdout();
    throw;
  }
  return testing::internal::GetCapturedStdout();
}

nlohmann::ordered_json run_json(std::vector<std::string> arguments) {
  arguments.emplace_back("--json");
  return nlohmann::ordered_json::parse(run_command(std::move(arguments)));
}

namespace {

/// The message of the E that a command line ends with; `failure` is what is said when it ends well.
template <class E>
std::string message_of_thrown(const std::vector<std::string>& arguments, const char* failure) {
  try {
    run_command(arguments);
  } catch (const E& e) {
    return e.what();
  }
  ADD_FAILURE() << failure;
  return "";
}

}  // namespace

std::string usage_error_of(const std::vector<std::string>& arguments) {
  return message_of_thrown<UsageError>(arguments, "no UsageError was thrown");
}

std::string parse_error_of(const std::vector<std::string>& arguments) {
  return message_of_thrown<CLI::ParseError>(arguments, "it was read");
}

std::string run_error_of(const std::vector<std::string>& arguments) {
  try {
    run_command(arguments);
  } catch (const UsageError& e) {
    ADD_FAILURE() << "a UsageError: " << e.what();
  } catch (const Error& e) {
    return e.what();
  }
  ADD_FAILURE() << "no Error was thrown";
  return "";
}

}  // namespace noisette::test
