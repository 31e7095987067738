#include "framework/core/check.h"
#include "framework/io/atomic_file.h"
#include "train/commands/commands.h"

namespace noisette::commands {

ParentFolders::ParentFolders(const std::filesystem::path& file, const std::string& command) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path folder = file.parent_path();
  for (fs::path p = folder; !p.empty() && !fs::exists(p, error); p = p.parent_path())
    made_.push_back(p);
  if (folder.empty()) return;
  fs::create_directories(folder, error);
  check_user(!error, "[{}] the folder {} cannot be made: {}", command, folder.string(),
             error.message());
}

ParentFolders::~ParentFolders() {
  std::error_code not_empty;
  for (const auto& folder : made_) std::filesystem::remove(folder, not_empty);
}

void check_writable(const std::filesystem::path& file) { const AtomicFile attempt(file); }

}  // namespace noisette::commands
