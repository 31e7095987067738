// Training state on disk: one HDF5 file per checkpoint, complete or absent. Every chunk carries a
// checksum, so reading a file to its end verifies it.
//
//   /            attributes: format, version, task, update, data_fingerprint, config (TOML), and
//                extra numbers
//   /names       parameter names;  /offsets [n] i64;  /shapes [n, 4] i64, padded with -1
//   /master /ema /m /v   flat buffers of the parameter arena (framework/nn/arena.h)
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "framework/core/check.h"
#include "framework/nn/arena.h"

namespace noisette {

/// A file that is not damaged and still no checkpoint this build can use: the system lets nobody
/// read it, its format has another version, it is something else. What comes of it is for the user
/// to say; other Errors speak of damage.
class UnusableCheckpoint : public Error {
 public:
  using Error::Error;
};

/// What a checkpoint says beside its parameters.
struct CheckpointInfo {
  std::string task;                       // "ddpm"
  int64_t update = 0;                     // optimiser updates done
  std::string config;                     // the resolved configuration, TOML
  std::string data_fingerprint;           // of the training set
  std::map<std::string, double> numbers;  // running statistics that a resumed run goes on from
};

/// Writes atomically: when this returns, `path` exists and is on the disk; when it throws, `path`
/// is as it was.
void save_checkpoint(const std::filesystem::path& path, const ParameterArena& arena,
                     const CheckpointInfo& info);

CheckpointInfo read_checkpoint_info(const std::filesystem::path& path);

/// Names and shapes of what a checkpoint holds; no values are read.
struct CheckpointContents {
  std::vector<std::pair<std::string, Shape>> parameters;
  std::vector<std::string> buffers;  // of master, ema, m, v: those present
};
CheckpointContents list_checkpoint(const std::filesystem::path& path);

/// Fills the arena: weights, moments where it trains, average where it keeps one. Names and shapes
/// must match exactly; an Error lists what is missing, what is left over and what has another
/// shape. Nothing is changed when it throws.
CheckpointInfo load_checkpoint(const std::filesystem::path& path, ParameterArena& arena);

/// The first parameter of which a buffer holds a value that is not finite: "average of
/// conv_in.weight"; "" without one.
std::string first_not_finite(const ParameterArena& arena);

/// How many values of a checkpoint's buffers are not finite, and the first: "average of
/// conv_in.weight".
struct NotFinite {
  int64_t count = 0;
  std::string first;
};
NotFinite count_not_finite(const std::filesystem::path& path);

/// Reads every byte and checks it.
void verify_checkpoint(const std::filesystem::path& path);

/// A parameter of a checkpoint and the hash of its values.
struct ParameterHash {
  std::string name;
  Shape shape;
  std::string master, ema;  // XXH3-128 of the f32 values; ema empty when there is none
};
struct CheckpointHash {
  std::vector<ParameterHash> parameters;
  std::string state;  // of all buffers, moments included, and the update number
};
CheckpointHash hash_checkpoint(const std::filesystem::path& path);

/// The checkpoints of a run: NAME-00001000.h5 in one folder, oldest first.
std::filesystem::path checkpoint_path(const std::filesystem::path& folder, int64_t update);
/// None where there is no such folder; an Error where it cannot be listed.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& folder);
/// The update in a checkpoint's file name; none for other names.
std::optional<int64_t> update_of_checkpoint(const std::filesystem::path& path);
/// The newest checkpoint that verifies; what was passed over as damaged, with the reason, goes to
/// `skipped`, newest first. One that is unusable is not passed over: UnusableCheckpoint. May be
/// asked while a run is making new ones and removes old ones.
std::optional<std::filesystem::path> newest_valid_checkpoint(const std::filesystem::path& folder,
                                                             std::vector<std::string>& skipped);
/// The newest of at most `update`; none where all are later.
std::optional<std::filesystem::path> newest_checkpoint_until(const std::filesystem::path& folder,
                                                             int64_t update);
/// Deletes all but the newest `keep`, those whose update is a multiple of `keep_every` (0: none)
/// and the newest until `weaker`.
void prune_checkpoints(const std::filesystem::path& folder, int64_t keep, int64_t keep_every,
                       int64_t weaker);

}  // namespace noisette
