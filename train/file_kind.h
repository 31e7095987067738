// What a path is, told by its content rather than by its name.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

namespace noisette {

enum class FileKind { data_set, checkpoint, safetensors, png, model_folder, run_folder };

/// Looks at the first bytes of a file (for HDF5 at its format attribute) or at what a folder holds.
/// Throws Error for everything else, saying what was found; damage behind the first bytes is left
/// to who reads the file.
///
/// command   in brackets before the message: "info"
/// wanted    what would be right, for the message
FileKind kind_of(const std::filesystem::path& path, const std::string& command,
                 const std::string& wanted =
                     "a data set, a checkpoint, a safetensors file, a "
                     "model folder, a run folder or a PNG");

/// A folder that `noisette train` made: config.toml beside metrics.jsonl or checkpoints/.
bool is_run_folder(const std::filesystem::path& path);

}  // namespace noisette
