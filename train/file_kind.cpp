#include "train/file_kind.h"

#include <fstream>

#include "framework/core/check.h"
#include "framework/io/hdf5.h"
#include "train/checkpoint.h"
#include "train/model_source.h"

namespace noisette {
namespace {

namespace fs = std::filesystem;

std::string first_bytes(const fs::path& path, const std::string& command) {
  std::ifstream in(path, std::ios::binary);
  check_user(in.is_open(), "[{}] {} cannot be opened", command, path.string());
  std::string bytes(16, '\0');
  in.read(bytes.data(), std::streamsize(bytes.size()));
  bytes.resize(std::size_t(in.gcount()));
  return bytes;
}

FileKind kind_of_hdf5(const fs::path& path, const std::string& command) {
  const hdf5::File file = hdf5::File::open(path);
  const std::string format =
      file.has("/", "format") ? file.get_string("/", "format") : std::string();
  if (format == "noisette data") return FileKind::data_set;
  if (format == "noisette checkpoint") return FileKind::checkpoint;
  throw Error(
      fmt::format("[{}] {} is an HDF5 file, but neither a data set nor a checkpoint of "
                  "noisette",
                  command, path.string()));
}

FileKind kind_of_folder(const fs::path& path, const std::string& command) {
  if (is_model_folder(path)) return FileKind::model_folder;
  if (is_run_folder(path) || !list_checkpoints(path).empty()) return FileKind::run_folder;
  throw Error(
      fmt::format("[{}] {} is a folder, but neither a run (config.toml, checkpoints/) nor a model "
                  "(config.json)",
                  command, path.string()));
}

/// Eight bytes of header length, then the JSON header.
bool looks_like_safetensors(const std::string& bytes) {
  return bytes.size() > 8 && bytes[8] == '{' && bytes.substr(5, 3) == std::string(3, '\0');
}

}  // namespace

bool is_run_folder(const fs::path& path) {
  return fs::exists(path / "config.toml") &&
         (fs::exists(path / "metrics.jsonl") || fs::exists(path / "checkpoints"));
}

FileKind kind_of(const fs::path& path, const std::string& command, const std::string& wanted) {
  check_user(fs::exists(path), "[{}] {} does not exist; wanted {}", command, path.string(), wanted);
  if (fs::is_directory(path)) return kind_of_folder(path, command);
  const std::string bytes = first_bytes(path, command);
  check_user(!bytes.empty(), "[{}] {} is empty", command, path.string());
  if (bytes.starts_with("\x89HDF\r\n\x1a\n")) return kind_of_hdf5(path, command);
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return FileKind::png;
  if (path.extension() == ".safetensors" || looks_like_safetensors(bytes) ||
      path.string().ends_with(".safetensors.index.json"))
    return FileKind::safetensors;
  const bool pickle = bytes.starts_with("PK\x03\x04") || bytes.starts_with("\x80\x02");
  throw Error(fmt::format("[{}] {} is none of {}{}", command, path.string(), wanted,
                          pickle ? "; if it is a PyTorch file: those hold pickled code, which is "
                                   "never read; save the weights as safetensors"
                                 : ""));
}

}  // namespace noisette
