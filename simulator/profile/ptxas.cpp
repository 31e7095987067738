#include "simulator/profile/ptxas.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <mutex>
#include <sstream>
#include <vector>

#include "simulator/device/settings.h"

extern char** environ;

namespace sim {
namespace {

/// The number before `word`: "Used 24 registers".
uint64_t number_before(std::string_view line, std::string_view word) {
  const size_t at = line.find(word);
  if (at == line.npos || at == 0) return 0;
  size_t begin = at;
  while (begin > 0 && std::isdigit(static_cast<unsigned char>(line[begin - 1]))) --begin;
  uint64_t value = 0;
  std::from_chars(line.data() + begin, line.data() + at, value);
  return value;
}

/// What stands between two quotes, or behind `word`.
std::string name_after(std::string_view line, std::string_view word) {
  const size_t at = line.find(word);
  if (at == line.npos) return "";
  std::string_view rest = line.substr(at + word.size());
  return std::string(rest.substr(0, rest.find_first_of("' \n")));
}

/// A file that is gone when this is.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view text) {
    const char* folder = std::getenv("TMPDIR");
    name_ = std::string(folder && *folder ? folder : "/tmp") + "/sim-XXXXXX.ptx";
    const int fd = mkstemps(name_.data(), 4);
    if (fd < 0) return;
    written_ = true;
    while (!text.empty() && written_) {
      const ssize_t n = write(fd, text.data(), text.size());
      written_ = n > 0;
      if (written_) text.remove_prefix(size_t(n));
    }
    close(fd);
  }
  ~TemporaryFile() { unlink(name_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  bool written() const { return written_; }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  bool written_ = false;
};

struct Ran {
  bool started = false;
  int status = -1;
  std::string output;
};

Ran run(std::vector<std::string> words) {
  Ran ran;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ran;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  std::vector<char*> arguments;
  for (std::string& w : words) arguments.push_back(w.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  ran.started =
      posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ) == 0;
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::array<char, 4096> buffer;
  while (ran.started) {
    const ssize_t n = read(ends[0], buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    ran.output.append(buffer.data(), size_t(n));
  }
  close(ends[0]);
  if (!ran.started) return ran;
  while (waitpid(child, &ran.status, 0) < 0 && errno == EINTR) {
  }
  return ran;
}

std::string program() {
  if (!settings().ptxas.empty()) return settings().ptxas;
#ifdef SIM_PTXAS_OF_BUILD
  if (access(SIM_PTXAS_OF_BUILD, X_OK) == 0) return SIM_PTXAS_OF_BUILD;
#endif
  return "ptxas";
}

}  // namespace

std::map<std::string, StaticFigures> read_ptxas_report(std::string_view text) {
  std::map<std::string, StaticFigures> all;
  std::string kernel, function;  // that is compiled; whose properties are told
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    if (const auto name = name_after(line, "Compiling entry function '"); !name.empty()) {
      kernel = name;
      all[kernel];
    } else if (const auto of = name_after(line, "Function properties for "); !of.empty()) {
      function = of;
    } else if (line.find("bytes stack frame") != line.npos && function == kernel) {
      StaticFigures& f = all[kernel];
      f.stack = number_before(line, " bytes stack frame");
      f.spill_stores = number_before(line, " bytes spill stores");
      f.spill_loads = number_before(line, " bytes spill loads");
    } else if (line.find("Used ") != line.npos && !kernel.empty()) {
      StaticFigures& f = all[kernel];
      f.registers = uint32_t(number_before(line, " registers"));
      f.barriers = uint32_t(number_before(line, " barriers"));
      f.shared = number_before(line, " bytes smem");
      f.constant = number_before(line, " bytes cmem[0]");
    }
  }
  return all;
}

AssembledModule assemble_module(const std::string& ptx, int arch, const std::string& kernel) {
  AssembledModule result;
  const TemporaryFile file(ptx);
  const std::string command = program();
  if (!file.written()) {
    result.failed = "the PTX cannot be written to " + file.name();
    return result;
  }
  std::vector<std::string> words{command, "-v", "-arch=sm_" + std::to_string(arch)};
  if (!kernel.empty()) words.insert(words.end(), {"--entry", kernel});
  words.insert(words.end(), {file.name(), "-o", "/dev/null"});
  const Ran ran = run(std::move(words));
  if (!ran.started)
    result.failed = command + " cannot be run; set SIM_PTXAS to the toolkit's ptxas";
  else if (!WIFEXITED(ran.status) || WEXITSTATUS(ran.status) != 0)
    result.failed = command + " failed: " + ran.output.substr(0, 300);
  else
    result.kernels = read_ptxas_report(ran.output);
  return result;
}

Assembled assemble(const std::string& ptx, const std::string& kernel, int arch) {
  const AssembledModule m = assemble_module(ptx, arch, kernel);
  Assembled result{.figures = {}, .failed = m.failed};
  if (const auto it = m.kernels.find(kernel); it != m.kernels.end())
    result.figures = it->second;
  else if (m.failed.empty())
    result.failed = program() + " says nothing of the kernel";
  return result;
}

namespace {

struct Kept {
  std::mutex mutex;
  std::map<std::pair<size_t, std::string>, Assembled> all;
};

/// Never destroyed: programs ask in destructors that run at exit.
Kept& kept() {
  static auto* const k = new Kept;
  return *k;
}

}  // namespace

const Assembled& assembled(const std::string& ptx, size_t module, const std::string& kernel,
                           int arch) {
  const std::lock_guard lock(kept().mutex);
  const auto [it, fresh] = kept().all.try_emplace({module, kernel});
  if (fresh) it->second = assemble(ptx, kernel, arch);
  return it->second;
}

const Assembled* assembled_before(size_t module, const std::string& kernel) {
  const std::lock_guard lock(kept().mutex);
  const auto it = kept().all.find({module, kernel});
  return it == kept().all.end() ? nullptr : &it->second;
}

}  // namespace sim
