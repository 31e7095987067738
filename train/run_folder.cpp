#include "train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "framework/core/check.h"
#include "train/checkpoint.h"

namespace noisette {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) files.push_back(entry.path());
  return files;
}

/// What a killed writer left: nobody but the owner of a run writes into its sub-folders.
bool is_leftover(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with(".") && name.ends_with(".tmp");
}

int64_t update_of_preview(const fs::path& path) {
  const std::string name = path.filename().string();
  int64_t update = -1;
  if (name.starts_with("update-") && name.ends_with(".png"))
    std::from_chars(name.data() + 7, name.data() + name.size(), update);
  return update;
}

bool is_damaged(const fs::path& path) {
  try {
    verify_checkpoint(path);
    return false;
  } catch (const UnusableCheckpoint&) {
    return false;
  } catch (const Error&) {
    return true;
  }
}

std::vector<fs::path> checkpoints_after(const fs::path& folder, int64_t update) {
  std::vector<fs::path> later = list_checkpoints(folder);
  std::erase_if(later, [&](const fs::path& p) { return *update_of_checkpoint(p) <= update; });
  return later;
}

void delete_file(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  check_user(!error, "[run] {} cannot be removed: {}", path.string(), error.message());
}

void set_aside(const fs::path& path) {
  std::error_code error;
  fs::rename(path, path.string() + ".damaged", error);
  check_user(!error, "[run] {} cannot be renamed: {}", path.string(), error.message());
}

[[noreturn]] void refuse(const fs::path& run, const fs::path& newest) {
  throw UsageError(
      fmt::format("[train] {} holds a run already, up to {}; go on from there with --resume auto, "
                  "replace it with --overwrite, or take another --set run.name=...",
                  run.string(), newest.filename().string()));
}

[[noreturn]] void refuse_to_go_back(const fs::path& run, int64_t update, const fs::path& newest) {
  throw UsageError(fmt::format(
      "[train] {} holds a run already, up to {}, and going back to update {} removes what came "
      "later; do so with --overwrite, go on from the newest with --resume auto, or take another "
      "--set run.name=...",
      run.string(), newest.filename().string(), update));
}

/// The run's lock, held, or -1 where `flags` of open() find none. Throws Error when another process
/// holds it or it cannot be had.
int lock_of(const fs::path& run, int flags) {
  const std::string lock = (run / ".lock").string();
  const int fd = ::open(lock.c_str(), flags | O_CLOEXEC, 0644);
  if (fd < 0 && errno == ENOENT) return -1;
  check_user(fd >= 0, "[run] {} cannot be opened: {}", lock, std::strerror(errno));
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  const int reason = errno;
  ::close(fd);
  check_user(reason != EWOULDBLOCK,
             "[run] another process is training in {}; wait for it or use another run.name",
             run.string());
  throw Error(fmt::format("[run] {} cannot be locked: {}", lock, std::strerror(reason)));
}

}  // namespace

void refuse_running(const TrainConfig& config) {
  if (const int lock = lock_of(config.run_folder(), O_RDONLY); lock >= 0) ::close(lock);
}

RunFolder::RunFolder(const TrainConfig& config)
    : path_(config.run_folder()), updates_(config.run.updates) {
  std::error_code error;
  for (const fs::path& folder : {path_, checkpoints(), previews()}) {
    fs::create_directories(folder, error);
    check_user(!error, "[run] the folder {} cannot be made: {}", folder.string(), error.message());
  }
  lock_ = lock_of(path_, O_RDWR | O_CREAT);
  check_user(lock_ >= 0, "[run] {} is gone", path_.string());
}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);
}

void RunFolder::start_from(int64_t update, bool overwrite) const {
  const std::vector<fs::path> later = checkpoints_after(checkpoints(), update);
  std::vector<fs::path> damaged;
  for (const fs::path& path : later) {
    if (overwrite) continue;
    if (update < 0) refuse(path_, later.back());
    if (!is_damaged(path)) refuse_to_go_back(path_, update, later.back());
    damaged.push_back(path);
  }
  for (const fs::path& path : damaged) set_aside(path);
  if (overwrite)
    for (const fs::path& path : later) delete_file(path);
  for (const fs::path& folder : {checkpoints(), previews()})
    for (const fs::path& path : files_in(folder))
      if (is_leftover(path) || update_of_preview(path) > update) delete_file(path);
  for (const fs::path& path : files_in(path_)) {
    const std::string name = path.filename().string();
    const bool outdated = name == "summary.json" || (name == "eval.json" && update < updates_) ||
                          (name.starts_with("events.out.tfevents.") && update < 0);
    if (outdated) delete_file(path);
  }
}

void refuse_existing_run(const TrainConfig& config) {
  const auto found = list_checkpoints(config.run_folder() / "checkpoints");
  if (!found.empty()) refuse(config.run_folder(), found.back());
}

}  // namespace noisette
