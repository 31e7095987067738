// What a run says of itself: a table before its first update and one after its last.
#pragma once
#include <filesystem>
#include <string>

#include "framework/data/dataset.h"
#include "framework/nn/arena.h"
#include "train/config.h"

namespace noisette {

/// `first` updates are done already, by the run that wrote `resumed_from`.
std::string start_table(const TrainConfig& config, const DataSplit& data,
                        const ParameterArena& arena, int64_t first,
                        const std::filesystem::path& resumed_from);

/// How a run went, in what end_table() shows.
struct RunEnd {
  int64_t first = 0, update = 0;  // updates done before and after this session
  double seconds = 0;             // of this session
  double waited = 0;              // of which for data
  double loss = 0, smoothed = 0;  // of the last update, and over about the last fifty
  bool average_moved = false;     // in this session
  std::filesystem::path checkpoint;
};
std::string end_table(const TrainConfig& config, const ParameterArena& arena, const RunEnd& end);

}  // namespace noisette
