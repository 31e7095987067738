#include "train/simulated.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "framework/core/check.h"

extern char** environ;

namespace noisette {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// A folder for the time of one run.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "noisette-XXXXXX").string();
    check(mkdtemp(name.data()) != nullptr, "[bench] cannot make a folder in {}",
          fs::temp_directory_path().string());
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string text_of(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

/// This process' environment with some variables set anew, or gone where the value is empty.
std::vector<std::string> environment(const std::vector<std::pair<std::string, std::string>>& set) {
  std::vector<std::string> all;
  for (char** e = environ; *e != nullptr; ++e) {
    const std::string_view text(*e);
    const bool anew = std::any_of(set.begin(), set.end(),
                                  [&](const auto& s) { return text.starts_with(s.first + "="); });
    if (!anew) all.emplace_back(text);
  }
  for (const auto& [name, value] : set)
    if (!value.empty()) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> all;
  for (std::string& s : strings) all.push_back(s.data());
  all.push_back(nullptr);
  return all;
}

/// Runs the program with both its outputs in a file; its exit status.
int run(std::vector<std::string> arguments, std::vector<std::string> variables,
        const fs::path& output) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, output.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
  pid_t child = 0;
  const int error = posix_spawn(&child, arguments.front().c_str(), &files, nullptr,
                                pointers(arguments).data(), pointers(variables).data());
  posix_spawn_file_actions_destroy(&files);
  check(error == 0, "[bench] {} cannot be run: {}", arguments.front(), std::strerror(error));
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

double number(const Json& j, const char* name) { return j.value(name, 0.0); }
double ratio(double a, double b) { return b > 0 ? a / b : kNone; }

KernelFigures figures_of(const Json& profile, const KernelCase& c, const std::string& card) {
  KernelFigures f;
  double sectors = 0, least = 0, dram = 0, mma = 0, others = 0, products = 0, longest = 0;
  for (const Json& kernel : profile.at("kernels")) {
    const Json& known = kernel.at("static");
    f.registers = std::max(f.registers, known.value("registers", int64_t(0)));
    f.spilled +=
        known.value("spill_store_bytes", int64_t(0)) + known.value("spill_load_bytes", int64_t(0));
    if (const Json& loop = kernel.at("main_loop"); loop.is_object()) {
      mma += number(loop, "mma");
      others += number(loop, "others");
    }
    for (const Json& shape : kernel.at("shapes")) {
      const Json& counts = shape.at("counts");
      f.launches += shape.value("launches", int64_t(0));
      f.conflicts +=
          counts.value("wavefronts", int64_t(0)) - counts.value("least_wavefronts", int64_t(0));
      sectors += number(counts, "sectors");
      least += number(counts, "least_sectors");
      dram += number(shape, "dram_read_bytes") + number(shape, "dram_written_bytes");
      for (const auto& [unit, count] : shape.at("operations").items())
        if (unit.starts_with("tensor")) products += count.get<double>();
      const Json& estimate = shape.at("estimates").at(card);
      const double ns = number(estimate, "ns");
      f.microseconds += ns / 1e3;
      if (ns > longest) longest = ns, f.bound = estimate.value("bound", "");
    }
  }
  constexpr double kSector = 32;
  f.sectors = ratio(sectors, least);
  f.dram = c.least_bytes > 0 ? dram / c.least_bytes : kNone;
  f.traffic = c.tile_bytes > 0 ? sectors * kSector / c.tile_bytes : kNone;
  f.others_per_mma = ratio(others, mma);
  f.useful = c.flops > 0 ? ratio(c.flops, products) : kNone;
  return f;
}

}  // namespace

fs::path simulator_folder() {
  return fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "simulator";
}

KernelFigures simulate(const KernelCase& c, const std::string& card, const fs::path& simulator) {
  const Folder folder;
  const fs::path profile = folder.path() / "profile.json", output = folder.path() / "output";
  const int status =
      run({fs::read_symlink("/proc/self/exe").string(), "bench", "kernels", "--run", c.name},
          environment({{"LD_LIBRARY_PATH", simulator.string()},
                       {"SIM_DEVICE", card},
                       {"SIM_CHECKS", "off"},
                       {"SIM_SAMPLE", c.sample > 0 ? std::to_string(c.sample) : ""},
                       {"SIM_PROFILE", profile.string()}}),
          output);
  check(status == 0, "[bench] {} ended with {} on the software GPU: {}", c.name, status,
        text_of(output));
  return figures_of(Json::parse(text_of(profile)), c, card);
}

}  // namespace noisette
