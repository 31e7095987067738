#include "train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "framework/core/check.h"

namespace noisette {

RunFolder::RunFolder(const TrainConfig& config) : path_(config.run_folder()) {
  namespace fs = std::filesystem;
  std::error_code error;
  for (const fs::path& folder : {path_, checkpoints(), previews()}) {
    fs::create_directories(folder, error);
    check_user(!error, "[run] the folder {} cannot be made: {}", folder.string(), error.message());
  }
  const std::string lock = (path_ / ".lock").string();
  lock_ = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  check_user(lock_ >= 0, "[run] {} cannot be written: {}", lock, std::strerror(errno));
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    ::close(lock_);
    check_user(reason != EWOULDBLOCK,
               "[run] another process is training in {}; wait for it or use another run.name",
               path_.string());
    check_user(false, "[run] {} cannot be locked: {}", lock, std::strerror(reason));
  }
}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);
}

}  // namespace noisette
