// The program itself, started as a user starts it.
#pragma once
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "tests/train/training.h"

namespace noisette::test {

struct Outcome {
  int code = -1, signal = 0;  // exit code, or the signal that ended it
  std::string out = {}, err = {};
};

/// `noisette ARGUMENTS...`, with its output in files of `folder`.
class Program {
 public:
  /// file_bytes   the longest file it can write: a disk that is full; 0: no limit
  Program(const Folder& folder, std::vector<std::string> arguments, rlim_t file_bytes = 0)
      : out_(folder / "stdout.txt"), err_(folder / "stderr.txt") {
    arguments.insert(arguments.begin(), NOISETTE_PROGRAM);
    std::vector<char*> argv;
    for (std::string& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    std::string threads = "OMP_NUM_THREADS=1", folder_of_files = "TMPDIR=" + folder.path().string();
    char* environment[] = {threads.data(), folder_of_files.data(), nullptr};
    const int out = open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666),
              err = open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    pid_ = fork();
    if (pid_ != 0) {
      close(out);
      close(err);
      return;
    }
    if (dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0) _exit(99);
    if (file_bytes > 0) {
      const rlimit limit{file_bytes, file_bytes};
      std::signal(SIGXFSZ, SIG_IGN);
      setrlimit(RLIMIT_FSIZE, &limit);
    }
    execve(argv[0], argv.data(), environment);
    _exit(98);
  }
  ~Program() {
    if (pid_ <= 0) return;
    kill(SIGKILL);
    wait();
  }
  Program(const Program&) = delete;

  void kill(int signal) const { ::kill(pid_, signal); }
  bool running() const {
    siginfo_t info{};
    return waitid(P_PID, id_t(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
  }
  Outcome wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    Outcome o{.out = get(out_), .err = get(err_)};
    if (WIFEXITED(status)) o.code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) o.signal = WTERMSIG(status);
    return o;
  }

 private:
  std::filesystem::path out_, err_;
  pid_t pid_ = 0;
};

inline Outcome noisette(const Folder& folder, std::vector<std::string> arguments,
                        rlim_t file_bytes = 0) {
  return Program(folder, std::move(arguments), file_bytes).wait();
}

/// Waits until `condition` holds; a failure after a minute, or when the program has ended before.
inline bool wait_for(const Program& program, const std::function<bool()>& condition) {
  for (int i = 0; i < 60'000; ++i) {
    if (condition()) return true;
    if (!program.running()) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ADD_FAILURE() << (program.running() ? "waited for a minute" : "the program has ended");
  return false;
}

/// Exactly one line on standard error, with the program's name before it.
inline void expect_one_sentence(const Outcome& o, int code, const std::string& part) {
  EXPECT_EQ(o.code, code) << o.err;
  EXPECT_TRUE(o.err.starts_with("noisette: ")) << o.err;
  EXPECT_EQ(std::count(o.err.begin(), o.err.end(), '\n'), 1) << o.err;
  EXPECT_CONTAINS(o.err, part);
  EXPECT_EQ(o.out, "");
}

}  // namespace noisette::test
