// Any bytes as the configuration file of a run: either an error, or a TrainConfig whose resolved
// file reads back to itself and whose training step is planned on the meta device.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "framework/core/check.h"
#include "train/config.h"
#include "train/measure.h"

namespace {

using namespace noisette;

/// Networks of more blocks only take time.
constexpr int64_t kMostBlocks = 200;

void run(const std::string& file) {
  const TrainConfig read = parse_train_config(file, "fuzz.toml");
  const std::string resolved = config::to_toml(read, true);
  const TrainConfig back = parse_train_config(resolved, "resolved.toml");
  if (config::to_toml(back, true) != resolved || !config::diff(read, back).empty()) std::abort();
  check_run(read);
  const auto levels = int64_t(read.model.block_out_channels.size());
  if (levels * read.model.layers_per_block > kMostBlocks) return;
  if (plan_step(read).parameters <= 0) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    run(std::string(reinterpret_cast<const char*>(data), size));
  } catch (const Error&) {
  }
  return 0;
}
