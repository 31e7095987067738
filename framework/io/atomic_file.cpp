#include "framework/io/atomic_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "framework/core/check.h"

namespace noisette {
namespace fs = std::filesystem;
namespace {

std::string reason() { return std::strerror(errno); }

std::string host_name() {
  std::array<char, 65> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "host";
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// Hidden files of the same name whose process on this host has gone: what a killed writer left.
void remove_leftovers(const fs::path& path, const std::string& prefix) {
  std::error_code error;
  for (fs::directory_iterator it(folder_of(path), error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(prefix) || !name.ends_with(".tmp")) continue;
    int pid = 0;
    const char* first = name.data() + prefix.size();
    const auto parsed = std::from_chars(first, name.data() + name.size(), pid);
    const bool ours = parsed.ec == std::errc() && pid > 0 && *parsed.ptr == '.';
    std::error_code ignored;
    if (ours && kill(pid, 0) != 0 && errno == ESRCH) fs::remove(it->path(), ignored);
  }
}

/// Makes a rename durable. Some file systems cannot sync a folder; the rename itself has happened
/// by then.
void sync_folder(const fs::path& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

struct Descriptor {
  int fd;
  ~Descriptor() { close(fd); }
};

}  // namespace

AtomicFile::AtomicFile(const fs::path& path) : path_(path) {
  std::error_code error;
  if (fs::is_symlink(path, error)) path_ = fs::weakly_canonical(path, error);
  const fs::file_status status = fs::status(path_, error);
  check_user(!path_.filename().empty() && !fs::is_directory(status),
             "[file] cannot write {}: it is a folder", path.string());
  check_user(!fs::exists(status) || fs::is_regular_file(status),
             "[file] cannot write {}: it exists and is no regular file", path.string());

  static std::atomic<int> serial = 0;
  const std::string prefix = "." + path_.filename().string() + "." + host_name() + ".";
  remove_leftovers(path_, prefix);
  do {  // a process of the same number may have been killed here: containers number from 1
    temporary_ = folder_of(path_) /
                 (prefix + std::to_string(getpid()) + "." + std::to_string(serial++) + ".tmp");
    fd_ = open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (fd_ < 0 && errno == EEXIST);
  check_user(fd_ >= 0, "[file] cannot write {}: {}", path.string(), reason());
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  // A library may still hold the file open; give its space back now.
  [[maybe_unused]] const int ignored = ftruncate(fd_, 0);
  close(fd_);
  unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    check_user(n >= 0, "[file] cannot write {}: {}", path_.string(), reason());
    bytes = bytes.subspan(std::size_t(n));
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::commit() {
  check(fd_ >= 0, "[file] {} is already complete", path_.string());
  check_user(fsync(fd_) == 0, "[file] cannot write {}: {}", path_.string(), reason());
  check_user(rename(temporary_.c_str(), path_.c_str()) == 0, "[file] cannot rename {} to {}: {}",
             temporary_.string(), path_.string(), reason());
  close(fd_);
  fd_ = -1;
  sync_folder(folder_of(path_));
}

void write_file(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

std::vector<std::byte> read_file(const fs::path& path, int64_t max_bytes) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  check_user(file.fd >= 0, "[file] cannot read {}: {}", path.string(), reason());
  struct stat info {};
  check_user(fstat(file.fd, &info) == 0, "[file] cannot read {}: {}", path.string(), reason());
  check_user(S_ISREG(info.st_mode), "[file] cannot read {}: it is no regular file", path.string());
  check_user(info.st_size <= max_bytes, "[file] {} is too long; got {} bytes with a limit of {}",
             path.string(), int64_t(info.st_size), max_bytes);

  std::vector<std::byte> bytes(std::size_t(info.st_size));
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::read(file.fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    check_user(n >= 0, "[file] cannot read {}: {}", path.string(), reason());
    check_user(n > 0, "[file] {} became shorter while it was read; got {} of {} bytes",
               path.string(), done, bytes.size());
    done += std::size_t(n);
  }
  return bytes;
}

std::string read_text(const fs::path& path, int64_t max_bytes) {
  const std::vector<std::byte> bytes = read_file(path, max_bytes);
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace noisette
