// A data set, a network and a run folder small enough for a test, and a way to run a command of the
// program.
#pragma once
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "framework/data/dataset.h"
#include "models/unet/unet.h"
#include "tests/io/files.h"
#include "train/checkpoint.h"
#include "train/config.h"

namespace noisette::test {

/// 8x8 grey images in three classes: class c is a bright block in its own place, on noise. Splits
/// train (12), test (6).
void make_data(const std::filesystem::path& path, uint64_t seed = 1, int64_t channels = 1);

TrainConfig small_config(const std::filesystem::path& data);

/// An untrained network as a checkpoint.
void make_checkpoint(const std::filesystem::path& path, const TrainConfig& config,
                     uint64_t seed = 3);

/// A run folder as training leaves it, with one checkpoint and three records; no previews, no
/// summary.
std::filesystem::path make_run(const std::filesystem::path& folder,
                               const std::filesystem::path& data);

/// Runs one command line, without the program's name, and returns what it printed. Throws what the
/// command throws.
std::string run_command(std::vector<std::string> arguments);

nlohmann::ordered_json run_json(std::vector<std::string> arguments);

/// The message of the UsageError that a command line ends with (exit code 2).
std::string usage_error_of(const std::vector<std::string>& arguments);

/// Of a command line that cannot be read.
std::string parse_error_of(const std::vector<std::string>& arguments);

/// The message of the plain Error that a command line ends with (exit code 1).
std::string run_error_of(const std::vector<std::string>& arguments);

}  // namespace noisette::test
