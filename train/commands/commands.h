// The subcommands of `noisette`, one file each. Each add_*() declares its options and what runs
// when it is chosen.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace CLI {
class App;  // its header takes seconds to compile; train/commands/options.h has it
}

namespace noisette::commands {

void add_data(CLI::App& app);
void add_train(CLI::App& app);
void add_sample(CLI::App& app);
void add_eval(CLI::App& app);
void add_plan(CLI::App& app);
void add_info(CLI::App& app);
void add_config(CLI::App& app);
void add_convert(CLI::App& app);
void add_forward(CLI::App& app);
void add_bench(CLI::App& app);
void add_report(CLI::App& app);

/// The folders that a file to be written lies in: made where they are missing, removed again if
/// they are still empty in the end. Throws Error, naming `command`, when they cannot be made.
class ParentFolders {
 public:
  ParentFolders(const std::filesystem::path& file, const std::string& command);
  ~ParentFolders();
  ParentFolders(const ParentFolders&) = delete;
  ParentFolders& operator=(const ParentFolders&) = delete;

 private:
  std::vector<std::filesystem::path> made_;  // innermost first
};

/// Throws Error when a file of that name could not be written: asked before the long part, not
/// after it.
void check_writable(const std::filesystem::path& file);

/// Writes to standard output; an Error when that fails (a full disk, a closed pipe).
void print(const std::string& text);

}  // namespace noisette::commands
